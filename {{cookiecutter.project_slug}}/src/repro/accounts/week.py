"""What a week brought: questions, results, what does not add up, hours."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from repro.accounts.budget import read_budget
from repro.accounts.ledger import add_up, book_runs
from repro.terminal.tables import Column, format_table
from repro.terminal.text import plain, wrap_after
from repro.tracking.archive import Record, effective_status
from repro.tracking.durations import format_hours
from repro.tracking.index import list_summaries, without_copies
from repro.worklog.confusions import read_confusions
from repro.worklog.entries import read_hours
from repro.worklog.rows import status_of


def format_week(root: Path, last: date, width: int | None = None) -> str:
    """What the seven days up to `last` brought: questions asked and answered, what does not add up, hours by stage.

    A run answers its question if it finished, or somebody closed it; others that ended are listed apart. A rerun asks
    the question of its original again, which counts once. Hours of a person are from the pages, those of compute from
    the records of the runs that were started. Raises UserError if budget.yaml cannot be read.
    """
    first = last - timedelta(days=6)
    records = _with_original_questions(without_copies(list_summaries(root))[::-1])
    started = [record for record in records if first <= _day(record, "started") <= last]
    ended = [record for record in records if first <= _last_day(record) <= last]
    answers = [record for record in ended if _is_answer(record)]
    others = [record for record in ended if not _is_answer(record)]
    lines = [f"{first} to {last}"]
    lines += ["", f"Questions asked: {_count(started)}", *_asked(started, width)]
    lines += ["", f"Questions answered: {_count(answers)}", *_results(answers, width)]
    lines += ["", f"Runs that ended without an answer: {len(others)}", *_results(others, width)] if others else []
    lines += _confused(root, first, last, width)
    lines += _hours(root, first, last, started, width)
    return "\n".join(lines)


def _with_original_questions(records: Sequence[Record]) -> list[Record]:
    """The records, those of reruns with the question of the run that was done first, if it stated one."""
    by_id = {record["id"]: record for record in records}
    found = []
    for record in records:
        first, seen = record, {record["id"]}
        while (original := first.get("rerun_of")) in by_id and original not in seen:
            first = by_id[original]
            seen.add(original)
        found.append(record | {"question": first.get("question") or record.get("question")})
    return found


def _is_answer(record: Record) -> bool:
    """Whether a run that ended answers a question."""
    over = effective_status(record) == "finished" or record.get("closed")
    return bool(over and record.get("question"))


def _count(records: list[Record]) -> int:
    """The number of questions that were stated."""
    return len(_by_question([record for record in records if record.get("question")]))


def _asked(started: list[Record], width: int | None) -> list[str]:
    """Each question, and how many runs with which seeds are to answer it."""
    lines = []
    for question, records in _by_question(started).items():
        counts = Counter(effective_status(record) for record in records)
        states = ", ".join(f"{count} {status}" for status, count in counts.items())
        seeds = list(dict.fromkeys(str(record["seed"]) for record in records))
        about = f"{states}; seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"
        lines += wrap_after("  ", question, width) + wrap_after("      ", about, width)
    return lines


def _results(ended: list[Record], width: int | None) -> list[str]:
    """Each question, what came out of each run that ended, and where to look."""
    lines = []
    for question, records in _by_question(ended).items():
        lines += wrap_after("  ", question, width)
        for record in records:
            result = plain(record["result"] or "no result")
            rerun = f" (rerun of {plain(record['rerun_of'])})" if record.get("rerun_of") else ""
            lines += wrap_after("      ", f"{result}; {status_of(record)}, {record['id']}{rerun}", width)
    return lines


def _by_question(records: list[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(plain(record.get("question") or "question not stated"), []).append(record)
    return found


def _confused(root: Path, first: date, last: date, width: int | None) -> list[str]:
    """How many confusions were opened and resolved in these days, and those open at their end."""
    found = read_confusions(root).values()
    opened = sum(str(first) <= confusion.opened <= str(last) for confusion in found)
    resolved = [confusion for confusion in found if confusion.resolved and first <= confusion.resolved <= last]
    still = [c for c in found if c.opened <= str(last) and not (c.resolved and c.resolved <= last)]
    lines = ["", f"Confusions: {opened} opened, {len(resolved)} resolved, {len(still)} open"]
    for state, group in (("resolved", resolved), ("open", still)):
        for confusion in group:
            text = f"{confusion.name} ({confusion.opened}) {confusion.text.replace('**', '')}"
            lines += wrap_after(f"  {state:<8}  ", text, width)
    return lines


def _hours(root: Path, first: date, last: date, started: list[Record], width: int | None) -> list[str]:
    """A table of the hours of seven days by stage, of a person and of compute."""
    budget = read_budget(root)
    person: defaultdict[str, float] = defaultdict(float)
    for _, stage, hours in read_hours(root, first, last):
        person[stage] += hours
    totals = add_up(book_runs(root, started, budget), lambda run: run.stage)
    compute = {name: total.hours for name, total in totals.items()}
    planned = [stage.name for stage in budget.stages]
    stages = [*planned, *sorted({*person, *compute} - {*planned})]
    rows = [(stage, person[stage], compute.get(stage, 0.0)) for stage in stages if stage in {*person, *compute}]
    if not rows:
        return ["", "Hours: none"]
    rows.append(("in all", math.fsum(person.values()), math.fsum(compute.values())))
    names, mine, its = zip(*rows, strict=True)
    columns = [
        Column("hours of", names, text=True),
        Column("person", [format_hours(hours) for hours in mine]),
        Column("compute", [format_hours(hours) for hours in its]),
    ]
    return ["", *format_table(columns, width, last=1)]


def _day(record: Record, field: str) -> date:
    """The day in a field of a record, the first of all days if it has none."""
    try:
        return datetime.fromisoformat(record[field]).date()
    except (KeyError, TypeError, ValueError):
        return date.min


def _last_day(record: Record) -> date:
    """The day a run ended; that of its closing if it crashed, and so could not write when."""
    return _day(record, "ended") if record.get("ended") else _day(record.get("closed") or {}, "at")
