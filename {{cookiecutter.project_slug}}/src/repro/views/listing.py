"""Runs as a table: what `repro runs` prints."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from repro.terminal.text import cut, format_count, format_score, pad, plain, width
from repro.tracking.archive import Record, effective_status
from repro.tracking.durations import active_seconds, format_hours
from repro.worklog.rows import asked

COLUMNS = ("run", "status", "seed", "steps", "time", "score", "result", "question")
NUMBERS = 6  # the columns before result and question
NARROWEST_TEXT = 40  # columns for result and question together; with less they get a line of their own


def format_runs(summaries: Iterable[Record], columns: int | None) -> str:
    """A table, one run a row. `columns` of the terminal; None: as many as are needed.

    In a narrow terminal, result and question follow on lines of their own.
    """
    rows = [_row(summary) for summary in summaries]
    sizes = [max(map(width, column)) for column in zip(COLUMNS, *rows, strict=True)]
    left = sum(sizes[:NUMBERS]) + 2 * NUMBERS
    if columns is None:
        lines = [_line(row, sizes) for row in [COLUMNS, *rows]]
    elif columns - left >= NARROWEST_TEXT:
        for_text = columns - left - 2
        result = min(sizes[-2], max(for_text // 2, for_text - sizes[-1]))
        sizes[-2:] = [result, for_text - result]
        lines = [_line(row, sizes) for row in [COLUMNS, *rows]]
    else:
        sizes = sizes[:NUMBERS]
        lines = [cut(_line(COLUMNS, sizes), columns)]
        for row in rows:
            lines.append(cut(_line(row, sizes), columns))
            lines += [cut(f"    {text}", columns) for text in row[NUMBERS:] if text]
    return "\n".join(lines)


def shown_status(summary: Record, status: str) -> str:
    """What it was closed as, else its effective status, with the host of one that was last known to run there."""
    if summary.get("closed"):
        return f"closed: {summary['closed']['outcome']}"
    if status == "running" and summary["host"] != socket.gethostname():
        return f"running on {plain(summary['host'])}"
    return status


def shown_seconds(summary: Record, status: str) -> float | None:
    """Time spent on a run of this effective status; None where it is not known."""
    return active_seconds(summary, running=status == "running") or None


def shown_question(summary: Record) -> str:
    """What was asked, and why the gate was skipped if it was."""
    question = asked(summary)
    return f"[gate skipped: {summary['skip_reason']}] {question}" if summary.get("skip_reason") else question


def _row(summary: Record) -> tuple[str, ...]:
    if summary["status"] == "unreadable":
        return (plain(summary["id"]), "unreadable", "", "", "", "", "run.json is missing or damaged", "")
    status = effective_status(summary)
    seconds = shown_seconds(summary, status)
    return (
        plain(summary["id"]),
        shown_status(summary, status),
        str(summary["seed"]),
        _steps(summary),
        "" if seconds is None else format_hours(seconds / 3600),
        format_score(summary["score"]),
        plain(summary.get("result") or ""),
        plain(shown_question(summary)),
    )


def _steps(summary: Record) -> str:
    """Steps done; `/60k`, of so many, where only the plan is known."""
    if summary["steps"] is None and (planned := format_count(summary["planned_steps"])):
        return f"/{planned}"
    return format_count(summary["steps"])


def _line(row: tuple[str, ...], sizes: list[int]) -> str:
    return "  ".join(pad(text, size) for text, size in zip(row, sizes, strict=False)).rstrip()
