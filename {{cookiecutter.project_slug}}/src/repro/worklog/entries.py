"""What is written to the work log: pages, runs and their results, thoughts, hours, what does not add up.

Each run has one row in the whole log: in log 3 of the latest page while it is in progress, and from then on in log 4
of the page of the day it ended, beside the question it answers. The form of a page is in `pages.py`, what passes from
one to the next in `carry.py`.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from repro.reading import UserError
from repro.worklog.carry import ensure_page, settle_runs, warn
from repro.worklog.confusions import Confusion, parse_line, read_confusions
from repro.worklog.pages import (
    HEADINGS,
    escape,
    find_line,
    find_region,
    list_pages,
    locked,
    newline_of,
    one_line,
    page_day,
    printable,
    read_cells,
    read_lines,
    replace_page,
    table_row,
    with_row,
)
from repro.worklog.rows import drop_run, put_run

DAY = 24.0  # hours


def check_no_later_page(root: Path, day: date | None = None) -> None:
    """Raise UserError if there is a page that lies in the future, seen from a day (default: today).

    What is written to an earlier page would not come along. Tomorrow's is no wonder: machines in other time zones.
    """
    day = day or date.today()
    latest = max(list_pages(root), default=None)
    if latest and (ahead := (page_day(latest) - day).days) > 1:
        raise UserError(
            f"{latest}: this page is {ahead} days ahead of today, {day}; set the clock, or rename the page to its day"
        )


def open_page(root: Path, day: date | None = None) -> Path:
    """The page of a day (default: today), created if it is missing. Raises UserError."""
    with _page(root, day) as path:
        return path


def enter_run(root: Path, record: dict[str, Any], day: date | None = None) -> None:
    """Put a run that starts, or is resumed, into log 3 of today's page.

    `record` is the content of its run.json. Raises UserError if today's page has lost its markers (it is left as it
    is), or a page lies in the future; the run itself need not stop for that.
    """
    check_no_later_page(root, day)
    _move_run(root, "runs", record, day)


def enter_result(root: Path, record: dict[str, Any], day: date | None = None) -> None:
    """Move a run that ended from log 3, on whichever page, to log 4 of the page of the day it ended.

    Its curve is read from metrics.jsonl in its folder. A row that is there already is replaced. Raises UserError
    as `enter_run` does.
    """
    today = day or date.today()
    if day is None and record.get("ended"):
        day = datetime.fromisoformat(record["ended"]).date()
    check_no_later_page(root, max(today, day or today))
    _move_run(root, "results", record, day)


def add_note(root: Path, text: str, now: datetime | None = None) -> Path:
    """Append `- HH:MM text` to log 2 of today's page; further lines are indented. Raises UserError."""
    lines = [printable(line) for line in text.strip().splitlines()]
    if not any(lines):
        raise UserError('the note is empty; write it as: repro log add "what I am thinking"')
    now = now or datetime.now()
    with _page(root, now.date()) as path:
        page = read_lines(path)
        end = find_line(page, HEADINGS[2], path)
        heading = find_line(page[:end], HEADINGS[1], path)
        confused = [i for i in range(heading, end) if page[i].rstrip() == "<!-- confused:start -->"]
        end = (confused or [end])[0]
        while not page[end - 1].strip():  # stops at the heading at the latest
            end -= 1
        newline = newline_of(page[heading])
        note = [f"- {now:%H:%M} {lines[0]}", *(f"  {line}".rstrip() for line in lines[1:])]
        before = [newline] if end - 1 == heading else []
        after = [newline] if page[end].strip() else []
        replace_page(path, page[:end] + before + [line + newline for line in note] + after + page[end:])
    return path


def add_hours(root: Path, hours: float, stage: str, what: str = "", day: date | None = None) -> tuple[Path, float]:
    """Book hours of a person's work to a stage of budget.yaml, on today's page; returns it and the day's total.

    Raises UserError for hours that a day does not have.
    """
    hours = round(hours, 2)
    if not 0 < hours <= DAY:
        raise UserError(f"hours: {hours:g} will not do; give a number above 0, and at most 24, such as 2.5")
    with _page(root, day) as path:
        page = read_lines(path)
        booked = math.fsum(hours for _, hours in _hours_on(page, path))
        if round(booked + hours, 2) > DAY:
            raise UserError(
                f"hours: {hours:g} on top of the {booked:g} booked for {page_day(path)} are more than a day has; "
                "correct the table of hours in log 1"
            )
        row = table_row([escape(stage), f"{hours:g}", escape(what)])
        replace_page(path, with_row(page, "hours", row, path))
    return path, booked + hours


def read_hours(root: Path, first: date = date.min, last: date = date.max) -> list[tuple[date, str, float]]:
    """The hours that were booked from the first to the last day, oldest first: (day, stage, hours).

    Those of a page that is damaged there are not counted, with a warning.
    """
    booked = []
    for path in list_pages(root):
        if first <= (day := page_day(path)) <= last:
            try:
                booked += [(day, *hours) for hours in _hours_on(read_lines(path), path)]
            except UserError as error:
                warn(f"hours are not counted: {error}")
    return booked


def add_confusion(root: Path, text: str, now: date | None = None) -> tuple[Path, Confusion]:
    """Write down what does not add up, in log 2 of today's page, unless it is there and open. Raises UserError."""
    text = one_line(text)
    if not text:
        raise UserError('the text is empty; write it as: repro log confused "what does not add up"')
    with _page(root, now) as path:
        known = read_confusions(root)
        same = [found for found in known.values() if found.text == text and not found.resolved]
        if same:
            return path, same[0]
        new = Confusion(max(known, default=0) + 1, str(page_day(path)), text, None)
        replace_page(path, with_row(read_lines(path), "confused", new.line, path))
    return path, new


def resolve_confusion(root: Path, name: str, explanation: str, now: date | None = None) -> tuple[Path, Confusion]:
    """Tick the box of a confusion (C3) on today's page and append the explanation. Raises UserError."""
    explanation = one_line(explanation)
    if not explanation:
        raise UserError(f'the explanation is missing; write it as: repro log confused --resolve {name} "what it was"')
    check_no_later_page(root, now)
    with locked(root):
        found = _find_open(root, name)
        path = ensure_page(root, now)
        line = found.line.replace("[ ]", "[x]", 1) + f" **Resolved {page_day(path)}:** {explanation}"
        page = read_lines(path)
        replace_page(path, with_row(page, "confused", line, path, lambda old: _is_confusion(old, found.number)))
        settle_runs(root, path)
    return path, found


def _find_open(root: Path, name: str) -> Confusion:
    """The open confusion of this name. Raises UserError."""
    known = read_confusions(root)
    number = int(name[1:]) if re.fullmatch(r"[cC]\d{1,9}", name) else None
    if number not in known:
        open_ones = [found.name for found in known.values() if not found.resolved]
        hint = f"open are {', '.join(open_ones)}" if open_ones else "none is open"
        raise UserError(f"--resolve {name}: there is no such confusion; {hint}")
    found = known[number]
    if found.resolved:
        raise UserError(f"--resolve {name}: was resolved on {found.resolved}; see: repro log search {found.name}")
    return found


def _is_confusion(line: str, number: int) -> bool:
    found = parse_line(line)
    return found is not None and found.number == number


def _move_run(root: Path, region: str, record: dict[str, Any], day: date | None) -> None:
    """Write the run's row into one region of one page, and remove it from wherever else it stands."""
    other_region = {"runs": "results", "results": "runs"}[region]
    with locked(root):
        path = ensure_page(root, day)
        page = put_run(read_lines(path), region, root, record, path)
        replace_page(path, drop_run(page, other_region, record["id"], path))
        settle_runs(root, path, moved=record["id"])


def _hours_on(page: list[str], path: Path) -> list[tuple[str, float]]:
    start, end = find_region(page, "hours", path)
    booked = []
    for row in page[start + 1 : end]:
        cells = read_cells(row)
        if not cells or cells[:2] == ["stage", "hours"] or re.fullmatch(r":?-+:?", cells[0]):
            continue
        try:
            hours = float(cells[1])
        except (IndexError, ValueError):
            hours = math.nan
        if not 0 < hours <= DAY:
            raise UserError(f"{path}: the row '{row.strip()}' has no number of hours; write | stage | 2.5 | what |")
        booked.append((cells[0], hours))
    return booked


@contextlib.contextmanager
def _page(root: Path, day: date | None) -> Iterator[Path]:
    """Hold the log's lock over what is done on the page of a day, which is made first if need be, settled after."""
    check_no_later_page(root, day)
    with locked(root):
        path = ensure_page(root, day)
        yield path
        settle_runs(root, path)
