"""All runs on one HTML page that opens from disk: nothing is loaded from elsewhere, and it reads without scripts too.

The markup around the rows is in `runs_page.html`. All text that comes from runs is escaped.
"""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from repro.files import write_atomic
from repro.reading import UserError
from repro.terminal.text import counted, format_count, format_score, plain
from repro.tracking import provenance
from repro.tracking.archive import Record, effective_status
from repro.tracking.curves import sample_curve
from repro.tracking.durations import format_hours, shown_time
from repro.views.listing import shown_question, shown_seconds, shown_status

CURVES = 200  # of the first so many runs only
WIDTH, HEIGHT, MARGIN = 100, 24, 2  # of a curve, in its own units


def write_runs_page(root: Path, summaries: Sequence[Record], path: Path) -> Path:
    """Write the page of these runs, in this order; returns its path. Raises UserError."""
    if not path.parent.is_dir():
        raise UserError(f"{path}: the folder {path.parent} does not exist; make it first")
    title = f"Runs of {provenance.project(root).get('name', root.name)}"
    folders = _link(os.path.relpath(root / "runs", path.parent))
    rows = [_row(root, run, folders, with_curve=number < CURVES) for number, run in enumerate(summaries)]
    parts = {"title": html.escape(plain(title)), "summary": _summary(summaries), "rows": "\n".join(rows)}
    page = Path(__file__).with_name("runs_page.html").read_text(encoding="utf-8")
    for name, part in parts.items():  # escaped, so that no part holds the name of another
        page = page.replace(f"<!-- {name} -->", part)
    write_atomic(path, page.encode())
    return path


def _summary(summaries: Sequence[Record]) -> str:
    """How many runs there are, of each status; when this was."""
    statuses = [effective_status(run) for run in summaries]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in sorted(set(statuses)))
    return f"{counted(len(summaries), 'run')}: {html.escape(counts)}; {datetime.now().astimezone():%Y-%m-%d %H:%M}"


def _row(root: Path, run: Record, folders: str, with_curve: bool) -> str:
    date, dash, rest = (html.escape(part) for part in plain(run["id"]).partition("_"))  # a narrow one breaks there
    link = f'<a href="{html.escape(folders)}/{_link(run["id"])}/"><span class=day>{date}{dash}</span><wbr>{rest}</a>'
    status = effective_status(run)
    outcome = (run.get("closed") or {}).get("outcome")
    colour = "finished" if outcome == "succeeded" else outcome or status
    shown = f'<span class="s {html.escape(colour)}">{html.escape(shown_status(run, status))}</span>'
    if status == "unreadable":
        return f'<tr><th scope="row">{link}<td>{shown}{"<td>" * 8}<td>run.json is missing or damaged</tr>'
    seconds = shown_seconds(run, status)
    cells = [
        f"<td>{shown}",
        f"<td>{html.escape(plain(shown_time(run['started'])))}",
        _number(run["seed"], str(run["seed"])),
        f"<td>{html.escape(plain(run['stage'] or ''))}",
        _number(run["steps"], format_count(run["steps"])),
        _number(seconds, "" if seconds is None else format_hours(seconds / 3600)),
        _number(run["score"], format_score(run["score"])),
        _number(run["return"], f"{run['return']:.1f}" if isinstance(run["return"], int | float) else ""),
        f"<td>{_curve(root / 'runs' / run['id']) if with_curve else ''}",
        f"<td>{_text(shown_question(run))}<div class=result>{_text(run['result'])}</div>",
    ]
    return f'<tr><th scope="row">{link}{"".join(cells)}</tr>'


def _link(path: str) -> str:
    """A path as links write it; that of a folder may hold any bytes."""
    return quote(path, errors="surrogateescape")


def _number(value: object, shown: str) -> str:
    known = f' data-v="{value}"' if isinstance(value, int | float) else ""
    return f"<td class=n{known}>{html.escape(shown)}"


def _text(value: object) -> str:
    return html.escape(plain(value or ""))


def _curve(folder: Path) -> str:
    """The return over the steps as an SVG, with its range for those who cannot see it; empty without two points."""
    points = sample_curve(folder / "metrics.jsonl", "return/mean")
    if len(points) < 2:
        return ""
    steps, returns = zip(*points, strict=True)
    low, high = min(returns), max(returns)
    across = (steps[-1] - steps[0]) or 1.0
    up = (high - low) or 1.0
    line = " ".join(
        f"{WIDTH * (step - steps[0]) / across:.1f},{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / up:.1f}"
        for step, value in points
    )
    label = f"return from {returns[0]:.1f} to {returns[-1]:.1f}, between {low:.1f} and {high:.1f}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'<title>{label}</title><polyline points="{line}"/></svg>'
    )
