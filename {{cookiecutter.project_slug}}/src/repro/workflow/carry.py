"""What passes from page to page: the open output, what does not add up, the rows of unfinished runs.

Text is copied to a page when that is made. Rows of runs move: every command that writes to the log settles them, so
that what a killed process, or a page damaged at the time, left undone is put right by the next.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

from repro.config import UserError
from repro.tracking.archive import load_run
from repro.workflow.confusions import read_confusions
from repro.workflow.pages import (
    HEADINGS,
    empty_page,
    find_line,
    find_region,
    list_pages,
    page_day,
    page_path,
    read_lines,
    replace_page,
    with_row,
)
from repro.workflow.run_rows import drop_run, is_over, put_run, rows_by_run, run_of

MARK = re.compile(r"\*Carried over from \d{4}-\d\d-\d\d\.\*")
DONE = re.compile(r"[-*+] \[[xX]\] ")


def ensure_page(root: Path, day: date | None = None) -> Path:
    """The page of a day (default: today), created from what is open if it is missing; the lock is held.

    A damaged last page does not stand in the way: what cannot be read from it is named in a warning.
    """
    path = page_path(root, day)
    if not path.exists():
        last = _last_before(root, path)
        output: list[str] = []
        if last is not None:
            try:
                output = _open_output(last)
            except UserError as error:
                warn(f"log 1 is not carried over: {error}")
        open_ones = [confusion.line for confusion in read_confusions(root, path).values() if not confusion.resolved]
        replace_page(path, [empty_page(page_day(path), output, open_ones)])
    return path


def settle_runs(root: Path, path: Path) -> None:
    """Bring the rows of runs up to date on the page that is written to; the lock is held.

    Rows of unfinished runs on earlier pages come to this one, with what their records say by now; a run that ended
    without a row in log 4 gets it here. This page is written first, so that a process killed in between leaves a
    row twice rather than not at all. A page that is damaged is left alone, with a warning if it is this or the last.
    """
    pages: dict[Path, list[str]] = {}
    unfinished: dict[str, str] = {}  # run -> its row in log 3, here or on an earlier page
    ended: set[str] = set()  # runs with a row in log 4, on any page
    last = _last_before(root, path)
    for other in list_pages(root):
        try:
            page = read_lines(other)
            rows = rows_by_run(page, "runs", other)
            ended |= rows_by_run(page, "results", other).keys()
        except UserError as error:
            if other in (path, last):
                warn(f"rows of runs are not brought up to date: {error}")
            continue
        pages[other] = page
        if other <= path:
            unfinished |= rows
    if path not in pages:
        return
    page, resumed = pages[path], set()
    for run, row in unfinished.items():
        record = _record(root, run)
        if run in ended if record is None else is_over(record):
            page = drop_run(page, "runs", run, path)
            if run not in ended and record:
                page = put_run(page, "results", root, record, path)
        else:
            resumed.add(run)
            page = drop_run(page, "results", run, path)
            page = put_run(page, "runs", root, record, path) if record else _keep_row(page, row, run, path)
    if page != pages[path]:
        replace_page(path, page)
    for other, before in pages.items():
        if other != path:
            page = before
            for run in unfinished if other < path else ():
                page = drop_run(page, "runs", run, other)
            for run in resumed & ended:
                page = drop_run(page, "results", run, other)
            if page != before:
                replace_page(other, page)


def warn(message: str) -> None:
    """Tell of what was not done, and go on; paths as short as they can be written from here."""
    print(f"warning: {message}".replace(f"{Path.cwd()}{os.sep}", ""), file=sys.stderr)


def _last_before(root: Path, path: Path) -> Path | None:
    return max((other for other in list_pages(root) if other < path), default=None)


def _open_output(path: Path) -> list[str]:
    """The text of log 1, without what is ticked, the hours and blank edges; marked, once, with where it is from.

    Raises UserError if the page is damaged there.
    """
    page = read_lines(path)
    start, end = find_line(page, HEADINGS[0], path), find_line(page, HEADINGS[1], path)
    first, last = find_region(page, "hours", path)
    text = [line.rstrip("\r\n") for i, line in enumerate(page[:end]) if i > start and not first <= i <= last]
    kept: list[str] = []
    ticked = False
    for line in text:
        ticked = bool(DONE.match(line)) or (ticked and line.startswith((" ", "\t")))
        if not ticked:
            kept.append(line)
    if not any(line.strip() and not MARK.fullmatch(line.strip()) for line in kept):
        return []
    while not kept[0].strip():
        del kept[0]
    while not kept[-1].strip():
        del kept[-1]
    if any(MARK.fullmatch(line.strip()) for line in kept):
        return kept
    return [f"*Carried over from {page_day(path)}.*", "", *kept]


def _keep_row(page: list[str], row: str, run: str, path: Path) -> list[str]:
    """The page with the row of a run whose record is not here: it may be on another machine."""
    return with_row(page, "runs", row.rstrip("\r\n"), path, lambda line: run_of(line, "runs") == run)


def _record(root: Path, run: str) -> dict[str, Any] | None:
    """The record of exactly this run, or None if it cannot be read."""
    try:
        found = load_run(root, run)
    except UserError:
        return None
    return found.record if found.id == run else None
