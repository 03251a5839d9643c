"""Looking back in the work log: a search, and what a week brought."""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from repro.reading import UserError
from repro.tracking.archive import Record, effective_status
from repro.tracking.durations import format_hours
from repro.tracking.index import list_summaries
from repro.tracking.text import plain
from repro.tracking.text import width as columns_of
from repro.workflow.budget import read_budget
from repro.workflow.confusions import parse_line, read_confusions
from repro.workflow.ledger import Booked, add_up, book_runs
from repro.workflow.pages import COLUMNS, HEADINGS, list_pages, page_day, printable, read_cells, read_damaged
from repro.workflow.run_rows import status_of
from repro.workflow.tables import Column, format_table
from repro.workflow.worklog import read_hours

NARROWEST = 40  # columns


@dataclass(frozen=True)
class Hit:
    """A line of the log that was searched for."""

    day: date
    log: str  # "log 2", or "" above the first heading
    text: str


def search_log(root: Path, words: Sequence[str]) -> list[Hit]:
    """The lines and table rows that hold all words, in any case, oldest first; what was carried over stands once.

    Raises UserError if there is no word.
    """
    wanted = [word.casefold() for word in " ".join(words).split()]
    if not wanted:
        raise UserError("WORDS: nothing to search for; write e.g.: repro log search entropy seed")
    bare = [word.replace("\\", "") for word in wanted]
    hits, carried = [], set()
    for path in list_pages(root):
        log = ""
        for line in read_damaged(path):
            if line.rstrip() in HEADINGS:
                log = f"log {HEADINGS.index(line.rstrip()) + 1}"
                continue
            if "](" not in line and not all(word in line.casefold().replace("\\", "") for word in bare):
                continue  # most lines; those with links are read as they are seen
            text = _visible(line)
            if text in carried or not all(word in text.casefold() for word in wanted):
                continue
            if parse_line(line) or (log == "log 1" and not line.lstrip().startswith("|")):
                carried.add(text)
            hits.append(Hit(page_day(path), log, text))
    return hits


def format_hits(hits: Iterable[Hit], words: Sequence[str], width: int | None = None, highlight: bool = False) -> str:
    """A line a hit: day, log, text; wrapped to `width` columns, with the words in bold if `highlight`."""
    lines = [line for hit in hits for line in _wrap(f"{hit.day}  {hit.log:<5}  ", hit.text, width)]
    if highlight:
        any_word = "|".join(re.escape(word) for word in sorted(" ".join(words).split(), key=len, reverse=True))
        lines = [re.sub(any_word, lambda match: f"\x1b[1m{match[0]}\x1b[0m", line, flags=re.I) for line in lines]
    return "\n".join(lines)


def format_week(root: Path, last: date, width: int | None = None) -> str:
    """What the seven days up to `last` brought: questions asked and answered, what does not add up, hours by stage.

    A run answers its question if it finished, or somebody closed it; others that ended are listed apart. A rerun asks
    the question of its original again, which counts once. Hours of a person are from the pages, those of compute from
    the records of the runs that were started. Raises UserError if budget.yaml cannot be read.
    """
    first = last - timedelta(days=6)
    records = _with_original_questions(list_summaries(root)[::-1])
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
        lines += _wrap("  ", question, width) + _wrap("      ", about, width)
    return lines


def _results(ended: list[Record], width: int | None) -> list[str]:
    """Each question, what came out of each run that ended, and where to look."""
    lines = []
    for question, records in _by_question(ended).items():
        lines += _wrap("  ", question, width)
        for record in records:
            result = plain(record["result"] or "no result")
            rerun = f" (rerun of {plain(record['rerun_of'])})" if record.get("rerun_of") else ""
            lines += _wrap("      ", f"{result}; {status_of(record)}, {record['id']}{rerun}", width)
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
            lines += _wrap(f"  {state:<8}  ", text, width)
    return lines


def _hours(root: Path, first: date, last: date, started: list[Record], width: int | None) -> list[str]:
    """A table of the hours of seven days by stage, of a person and of compute."""
    budget = read_budget(root)
    person: defaultdict[str, float] = defaultdict(float)
    for _, stage, hours in read_hours(root, first, last):
        person[stage] += hours
    compute = {name: total.hours for name, total in add_up(book_runs(root, started, budget), _stage_of).items()}
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


def _stage_of(run: Booked) -> str:
    return run.stage


def _day(record: Record, field: str) -> date:
    """The day in a field of a record, the first of all days if it has none."""
    try:
        return datetime.fromisoformat(record[field]).date()
    except (KeyError, TypeError, ValueError):
        return date.min


def _last_day(record: Record) -> date:
    """The day a run ended; that of its closing if it crashed, and so could not write when."""
    return _day(record, "ended") if record.get("ended") else _day(record.get("closed") or {}, "at")


def _visible(line: str) -> str:
    """What a reader of the rendered page sees of a line; nothing of markers and the lines under a table's head."""
    if re.fullmatch(r"\s*(<!--.*-->|\|[\s:|-]+\||)\s*", line):
        return ""
    if line.lstrip().startswith("|"):
        cells = read_cells(line)
        line = "" if tuple(cells) in COLUMNS.values() else " | ".join(cell for cell in cells if cell)
    return printable(re.sub(r"\[([^\[\]]*)\]\([^()\s]*\)", r"\1", line)).rstrip()


def _wrap(prefix: str, text: str, width: int | None) -> list[str]:
    """Lines of at most `width` columns of a terminal (None: one line), the later ones indented as the first."""
    if width is None:
        return [prefix + text]
    # A wide character takes two columns: a placeholder stands for the second while lines are filled, and may come
    # to stand in the next one.
    filled = "".join(letter + "\0" * (columns_of(letter) - 1) for letter in text)
    lines = textwrap.wrap(
        filled,
        max(width, NARROWEST) - (filled != text),
        initial_indent=prefix,
        subsequent_indent=" " * len(prefix),
        break_on_hyphens=False,
    )
    return [line.replace("\0", "") for line in lines]
