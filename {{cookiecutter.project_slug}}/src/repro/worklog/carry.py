"""What passes from page to page: the open output, what does not add up, the rows of unfinished runs.

Text is copied to a page when that is made. Rows of runs move: every command that writes to the log settles them, so
that what a killed process, or a page damaged at the time, left undone is put right by the next.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import unquote

from repro.reading import UserError
from repro.terminal.text import shorten
from repro.tracking import provenance
from repro.tracking.archive import Record, read_named_record, read_record, run_ids
from repro.tracking.index import list_summaries
from repro.worklog.confusions import read_confusions
from repro.worklog.pages import (
    HEADINGS,
    empty_page,
    escape,
    find_line,
    find_region,
    list_pages,
    page_day,
    page_path,
    read_damaged,
    read_lines,
    replace_page,
    with_row,
)
from repro.worklog.rows import drop_run, is_over, put_run, rows_by_run, run_of, status_of

MARK = re.compile(r"\*Carried over from \d{4}-\d\d-\d\d\.\*")
DONE = re.compile(r"[-*+] \[[xX]\] ")
LINK = re.compile(r"\[([^\[\]|]+)\]\(")
DATED = re.compile(r"\d{4}-\d\d-\d\d_")  # as the name of a run folder begins that nobody renamed
AT_ONCE = 20  # runs that get a row that they never had; the next command goes on, so that each is quick


@dataclass(frozen=True)
class Rows:
    """A page that is not damaged: its lines, and its rows in log 3 and log 4 by run."""

    page: list[str]
    runs: dict[str, str]
    results: dict[str, str]


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


def settle_runs(root: Path, path: Path, moved: str | None = None) -> None:
    """Bring the rows of runs up to date on the page that is written to; the lock is held.

    Rows of unfinished runs on earlier pages come to this one, with what their records say by now; so does a run that
    never got a row. One that ended without a row in log 4 gets it here. This page is written first, so that a process
    killed in between leaves a row twice rather than not at all; of two in log 4, the next command keeps the later. A
    page that is damaged is left alone, with a warning if it is this or the last. The row of a run that was `moved` to
    this page goes from all others.
    """
    pages = _read_rows(root, path)
    if path not in pages:
        return
    stand = {run: other for other, rows in sorted(pages.items()) for run in rows.results}  # the latest page in log 4
    if moved and stand.pop(moved, None) and moved in pages[path].results:
        stand[moved] = path
    listed = list_summaries(root) if stand else ()
    summaries = {run["id"]: run for run in listed if run["status"] != "unreadable"}
    page, resumed = pages[path].page, set()
    for run, row in _unsettled(root, path, pages, stand, summaries).items():
        record = _record(root, run)
        # Of a run that is not here, a row in log 4 is all that says so.
        has_ended = is_over(record, root / "runs" / run) if record else run in stand
        if has_ended:
            page = drop_run(page, "runs", run, path)
            if record and run not in stand:
                page = put_run(page, "results", root, record, path)
        else:
            resumed.add(run)
            page = drop_run(page, "results", run, path)
            page = put_run(page, "runs", root, record, path) if record else _keep_row(page, row, run, path)
    for other, rows in sorted(pages.items(), key=lambda item: item[0] != path):
        page = page if other == path else rows.page
        for run in rows.runs:
            if other < path or (other > path and run == moved):
                page = drop_run(page, "runs", run, other)
        for run, row in rows.results.items():
            if run in resumed or stand.get(run) != other:
                page = drop_run(page, "results", run, other)
            elif run in summaries and not _says_closing(row, summaries[run]) and (record := _record(root, run)):
                page = put_run(page, "results", root, record, other)  # what closed it was killed
        if page != rows.page:
            replace_page(other, page)


def warn(message: str) -> None:
    """Tell of what was not done, and go on; paths as short as they can be written from here."""
    print(f"warning: {shorten(message)}", file=sys.stderr)


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


def _read_rows(root: Path, path: Path) -> dict[Path, Rows]:
    """What stands on the pages of the log that are not damaged; a warning if this one is, or the last before it."""
    pages: dict[Path, Rows] = {}
    last = _last_before(root, path)
    for other in list_pages(root):
        try:
            page = read_lines(other)
            pages[other] = Rows(page, rows_by_run(page, "runs", other), rows_by_run(page, "results", other))
        except UserError as error:
            if other in (path, last):
                warn(f"rows of runs are not brought up to date: {error}")
    return pages


def _unsettled(
    root: Path, path: Path, pages: Mapping[Path, Rows], stand: Mapping[str, Path], summaries: Mapping[str, Record]
) -> dict[str, str]:
    """The runs that may have to get a row on this page, or lose one: each with its row in log 3, or "".

    The latter are those that were resumed, and killed before they could move their row out of log 4, where it may
    `stand` on another page; and those that never got a row, if this is the last page.
    """
    found = {run: row for other, rows in pages.items() if other <= path for run, row in rows.runs.items()}
    for run in stand:
        if stand[run] <= path and run in summaries and not is_over(summaries[run], root / "runs" / run):
            found[run] = ""
    if path == max(list_pages(root)):
        before = max((other for other in pages if other < path), default=path)
        found |= dict.fromkeys(_without_row(root, page_day(before), pages), "")
    return found


def _without_row(root: Path, since: date, pages: Mapping[Path, Rows]) -> list[str]:
    """Runs of this project, started on this day or later, that never got a row; the oldest, if there are many.

    They were killed before, or the page was damaged. What a damaged page mentions is taken to have its row there.
    """
    known = {run for rows in pages.values() for run in (*rows.runs, *rows.results)}
    for path in list_pages(root):
        if path not in pages:
            with contextlib.suppress(UserError):  # cannot be read: a warning said so
                known |= {unquote(run) for line in read_damaged(path) for run in LINK.findall(line)}
    # Most names are enough to tell: of thousands of records, few are read.
    recent = [run for run in run_ids(root) if not DATED.match(run) or run[:10] >= str(since)]
    own = (run for run in sorted(recent) if run not in known and _is_missing(root, run, since, known))
    return list(itertools.islice(own, AT_ONCE))


def _is_missing(root: Path, run: str, since: date, known: Collection[str]) -> bool:
    """Whether a run is of this project, was started since, and has no row under the name its folder had before."""
    record = _record(root, run)
    if record is None:
        return False
    if record.get("project") is not None and record["project"] != provenance.project(root).get("name"):
        return False
    day = run if DATED.match(run) else record.get("started") or ""
    return day[:10] >= str(since) and read_named_record(root / "runs" / run)[1] not in known


def _says_closing(row: str, summary: Record) -> bool:
    """Whether a row of log 4 says how its run was closed, if it was."""
    return not summary["closed"] or all(escape(text) in row for text in (status_of(summary), summary["result"]))


def _keep_row(page: list[str], row: str, run: str, path: Path) -> list[str]:
    """The page with the row of a run whose record is not here: it may be on another machine."""
    return with_row(page, "runs", row.rstrip("\r\n"), path, lambda line: run_of(line, "runs") == run)


def _record(root: Path, run: str) -> Record | None:
    """The record of exactly this run, or None if it cannot be read."""
    if Path(run).name != run:  # not the name of a folder
        return None
    try:
        return read_record(root / "runs" / run)
    except (OSError, ValueError):
        return None
