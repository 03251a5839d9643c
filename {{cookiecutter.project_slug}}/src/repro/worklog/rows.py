"""The row of a run in the work log: what its cells say, and how it is found again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from repro.terminal.sparkline import sparkline
from repro.tracking.archive import effective_status
from repro.tracking.curves import sample_curve
from repro.tracking.durations import shown_time
from repro.tracking.index import outcome
from repro.tracking.metrics import read_last_row
from repro.worklog.pages import CELL, COLUMNS, escape, find_region, table_row, with_row, without_rows

CURVE_WIDTH = 12  # characters
CIRCUMSTANCES = ("env_step", "frames", "time/", "throughput/", "memory/")  # what says nothing of the learning
CRASHED = "crashed: resume or close it"


def is_over(record: dict[str, Any], folder: Path) -> bool:
    """Whether the run in a folder has ended, as far as is known; one that crashed has not until somebody closes it."""
    status = effective_status(record, folder)
    return status in ("finished", "failed", "interrupted") or (status == "crashed" and bool(record.get("closed")))


def put_run(page: list[str], region: str, root: Path, record: dict[str, Any], path: Path) -> list[str]:
    """The page with the row of a run, made from its record, in one of its regions. Raises UserError."""
    cells = _cells(root, record, region)
    row = table_row([cells[column] for column in COLUMNS[region]])
    near = f"| {cells['environment']} |" if region == "results" else None
    return with_row(page, region, row, path, lambda line: run_of(line, region) == record["id"], near)


def drop_run(page: list[str], region: str, run: str, path: Path) -> list[str]:
    """The page without the row of a run in one of its regions. Raises UserError."""
    return without_rows(page, region, path, lambda line: run_of(line, region) == run)


def rows_by_run(page: Sequence[str], region: str, path: Path) -> dict[str, str]:
    """The rows of a region by the run they belong to. Raises UserError if the region is damaged."""
    start, end = find_region(page, region, path)
    return {run: line for line in page[start + 1 : end] if (run := run_of(line, region))}


def run_of(line: str, region: str) -> str | None:
    """The run that a row belongs to: its run column links to it."""
    before = rf"{CELL}\|" * COLUMNS[region].index("run")
    match = re.match(rf"\s*\|{before}\s*\[([^\[\]|]+)\]\(", line)
    return unquote(match[1], errors="surrogateescape") if match else None


def link_name(run: str) -> str:
    """The name of a run's folder as a link says it: without what would end the link, or the table's cell."""
    return re.sub(r"[^\w.,~+=@-]", lambda letter: quote(letter[0], errors="surrogateescape"), run)


def status_of(record: dict[str, Any], folder: Path | None = None) -> str:
    """The effective status, and what the run was closed as. A summary knows its `folder`, a record does not."""
    closed = record.get("closed")
    return effective_status(record, folder) + (f", closed as {closed['outcome']}" if closed else "")


def asked(record: dict[str, Any]) -> str:
    """The question of a run, after the ablation that it is asked of; empty if there is neither."""
    ablation = f"[{record['ablation']}]" if record.get("ablation") else None
    return " ".join(filter(None, (ablation, record.get("question"))))


def _cells(root: Path, record: dict[str, Any], region: str) -> dict[str, str]:
    """The text of every column for a run."""
    folder = root / "runs" / record["id"]
    name = link_name(record["id"])
    crashed = region == "runs" and effective_status(record, folder) == "crashed"
    texts = {
        "seed": record.get("seed"),
        "question": asked(record) or "not stated",
        "started": shown_time(record.get("started")),
        "environment": (record["params"].get("env") or {}).get("id", "unknown"),
        "result": outcome(record),
        "curve": draw_curve(folder / "metrics.jsonl") if region == "results" else None,
        "status": CRASHED if crashed else status_of(record, folder),
    }
    cells = {name: escape("" if text is None else str(text)) for name, text in texts.items()}
    url = (record.get("wandb") or {}).get("url") or ""
    mirror = f" · [W&B]({quote(url, safe=':/?#@!$&*+,;=%~')})" if url.startswith(("https://", "http://")) else ""
    return cells | {"run": f"[{name}](../runs/{name}){mirror}"}


def draw_curve(path: Path) -> str:
    """The return of a run over its steps, or else the first metric there is, from its metrics.jsonl.

    Empty if there are no metrics. Of a large file only a part is read.
    """
    points = sample_curve(path, "return/mean")
    if not points:
        names = [name for name in read_last_row(path) or {} if not name.startswith(CIRCUMSTANCES)]
        points = sample_curve(path, names[0]) if names else []
    return sparkline(points, max((step for step, _ in points), default=0), CURVE_WIDTH)
