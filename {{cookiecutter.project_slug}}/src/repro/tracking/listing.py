"""Runs as text: the table of `repro runs` and the page of `repro show`."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from repro.tracking.archive import Record, effective_status

COLUMNS = ("run", "status", "seed", "steps", "time", "result", "question")
NARROWEST_TEXT = 40  # columns for result and question together; with less they get a line of their own


def format_runs(records: Iterable[Record], width: int | None = None) -> str:
    """A table, one run a row. `width` in characters; by default that of the terminal, without one unlimited.

    In a narrow terminal, result and question follow on a second line.
    """
    rows = [_row(record) for record in records]
    if not rows:
        return "no runs yet; start one with `repro train`"
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    sizes = [max(_width(row[column]) for row in [COLUMNS, *rows]) for column in range(len(COLUMNS))]
    left = sum(sizes[:5]) + 2 * 5
    if width is None:
        lines = [_line(row, sizes) for row in [COLUMNS, *rows]]
    elif width - left >= NARROWEST_TEXT:
        for_text = width - left - 2
        sizes[5] = min(sizes[5], max(for_text // 2, for_text - sizes[6]))
        sizes[6] = for_text - sizes[5]
        lines = [_line(row, sizes) for row in [COLUMNS, *rows]]
    else:
        lines = [_cut(_line(COLUMNS[:5], sizes), width)]
        for row in rows:
            lines.append(_cut(_line(row[:5], sizes), width))
            lines += [_cut(f"    {text}", width) for text in row[5:] if text]
    return "\n".join(lines)


def format_run(record: Record, last_row: Mapping[str, Any] | None = None) -> str:
    """Everything about one run that a person would ask for; `last_row` of its metrics is shown until it ends."""
    status = effective_status(record)
    if record.get("exit_code") is not None:
        status += f" (exit code {record['exit_code']})"
    mirror = record.get("wandb") or {}
    devices = record["devices"]
    entries = {
        "run": record["id"],
        "status": status,
        "question": record["question"],
        "result": record["result"],
        "evaluation": _scores(record.get("evaluation")),
        "gate": f"skipped: {record['skip_reason']}" if record["skip_reason"] else None,
        "prediction": _pairs(record["prediction"]),
        "started": record["started"],
        "resumed": ", ".join(record["resumed"]),
        "ended": record["ended"],
        "took": _duration(record),
        "command": " ".join(record["command"]),
        "set": ", ".join(record["overrides"]),
        "cell": record["cell"],
        "seed": record["seed"],
        "files": f"runs/{record['id']}",
        "code": f"{record['code_hash']}, commit {_commit(record)}",
        "notes": "; ".join(record["notes"]),
        "host": f"{record['host']}, {devices['cores']} cores, {', '.join([devices['cpu'], *devices.get('gpus', [])])}",
        "versions": _pairs(record["versions"]),
        "data": _pairs(record["data_hashes"]),
        "wandb": mirror.get("url") or mirror.get("mode"),
    }
    lines = [f"{name:<11}{_plain(value)}" for name, value in entries.items() if value not in (None, "")]
    metrics = record["result_metrics"] or last_row  # the former is of more than one row
    return "\n".join(lines + (["", "latest metrics:", *_groups(metrics)] if metrics else []))


def _scores(evaluation: Mapping[str, Any] | None) -> str:
    """Shares of the optimal return, of an evaluation by `repro evaluate`."""
    if not evaluation:
        return ""
    shares = ", ".join(f"{name} {evaluation[name]['score']:.3f}" for name in ("sampled", "greedy", "random"))
    return f"{shares} of the optimal return over {evaluation['episodes']} episodes"


def _groups(metrics: Mapping[str, Any]) -> list[str]:
    """A line for the metrics of each group: `policy/loss` and `policy/entropy` are of one."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        group, slash, rest = name.partition("/")
        groups.setdefault(group if slash else "", {})[rest if slash else name] = value
    width = max(map(len, groups))
    return [f"  {group:<{width}}  {_plain(_pairs(values))}" for group, values in groups.items()]


def _row(record: Record) -> tuple[str, ...]:
    if record["status"] == "unreadable":
        return (record["id"], "unreadable", "", "", "", "run.json is missing or damaged", "")
    metrics = record.get("result_metrics") or {}
    steps = metrics.get("env_step", record["params"].get("training", {}).get("total_steps"))
    question = record.get("question") or ""
    if record.get("skip_reason"):
        question = f"[gate skipped: {record['skip_reason']}] {question}"
    return (
        record["id"],
        effective_status(record),
        str(record["seed"]),
        _count(steps),
        _duration(record),
        _plain(record.get("result") or ""),
        _plain(question),
    )


def _duration(record: Record) -> str:
    """From start to end, or to now while running; of a crashed run it is not known."""
    try:
        start = datetime.fromisoformat(record["started"])
        if record.get("ended"):
            end = datetime.fromisoformat(record["ended"])
        elif effective_status(record) == "running":
            end = datetime.now().astimezone()
        else:
            return ""
    except (KeyError, TypeError, ValueError):
        return ""
    seconds = int((end - start).total_seconds())
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"


def _count(number: Any) -> str:
    if not isinstance(number, int):
        return ""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)


def _commit(record: Record) -> str:
    if record["commit"] is None:
        return "none"
    return record["commit"][:10] + (" with changes" if record["dirty"] else "")


def _pairs(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in (values or {}).items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> str:
    """One line without control characters: questions and results are typed or computed by anyone."""
    words = " ".join(str(value).split())
    return "".join(letter for letter in words if unicodedata.category(letter) not in ("Cc", "Cs"))


def _line(row: tuple[str, ...], sizes: list[int]) -> str:
    cells = [_cut(text, size) for text, size in zip(row, sizes, strict=False)]
    padded = [text + " " * (size - _width(text)) for text, size in zip(cells, sizes, strict=False)]
    return "  ".join(padded).rstrip()


def _cut(text: str, size: int) -> str:
    if _width(text) <= size:
        return text
    while text and _width(text) > size - 1:
        text = text[:-1]
    return text + "…"


def _width(text: str) -> int:
    """Columns in a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
