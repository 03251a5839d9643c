"""The statistics of labels as text: what `repro prefs` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from repro.terminal.tables import Column, format_table, wrap

NO_VALUE = "-"


def format_labels(found: Mapping[str, Any], width: int | None) -> str:
    """All of `label_statistics`, in lines of at most `width` characters."""
    parts = [wrap(_summary(found), width), _by_annotator(found["annotators"], width)]
    parts += [_by_strategy(found["strategies"], width), _agreements(found["agreements"], width)]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _summary(found: Mapping[str, Any]) -> list[str]:
    asked = f"{found['run']}: {found['queries']:,} comparisons of {found['segments']:,} segments"
    lines = [f"{asked}; {found['waiting']:,} without an answer", f"environment: {found['environment']}"]
    if not found["labels"]:
        return [*lines, "no labels to learn from yet"]
    same = f", which show {found['duplicates']:,} segments again" if found["duplicates"] else ""
    labels = f"{found['labels']:,} labels to learn from{same}: ties {_share(found['ties'])}"
    return [
        *lines,
        f"{labels}; left, of the others, {_share(found['left'])}",
        f"label entropy {found['entropy']:.3f} nats: no model's cross-entropy on them is lower",
        f"as the true return has it: {_share(found['true_agreement'])}, of left and right where true returns differ",
        "In brackets: 95% Wilson intervals.",
    ]


def _by_annotator(annotators: Mapping[str, Any], width: int | None) -> list[str]:
    if not annotators:
        return []
    rows = annotators.values()
    columns = [
        Column("annotator", list(annotators), text=True),
        Column("answers", [f"{row['answers']:,}" for row in rows]),
        *_answers(rows),
        Column("undone", [f"{row['undone']:,}" for row in rows], optional=2),
        Column("seconds", [_number(row["latency_median"], ".1f") for row in rows]),
        Column("per hour", [_number(row["per_hour"], ",.0f") for row in rows], optional=1),
        Column("repeats alike", [_share(row["repeats"]) for row in rows]),
        Column("as true return", [_share(row["true_agreement"]) for row in rows], optional=4),
    ]
    columns = [column for column in columns if set(column.cells) != {NO_VALUE}]  # an oracle takes no time
    timed = any(row["latency_median"] is not None for row in rows)
    explained = " (seconds: the median of an answer; per hour: pauses left out)" if timed else ""
    return [f"By annotator{explained}", *format_table(columns, width)]


def _by_strategy(strategies: Mapping[str, Any], width: int | None) -> list[str]:
    rows = strategies.values()
    columns = [
        Column("strategy", list(strategies), text=True),
        Column("asked", [f"{row['queries']:,}" for row in rows]),
        *_answers(rows),
        Column("waiting", [f"{row['waiting']:,}" for row in rows]),
        Column("as true return", [_share(row["true_agreement"]) for row in rows]),
    ]
    return ["By how they were chosen", *format_table(columns, width)]


def _answers(rows: Any) -> list[Column]:
    heads = {"left": "left", "right": "right", "tie": "tie", "incomparable": "can't tell"}
    return [
        Column(head, [f"{row[answer]:,}" for row in rows], optional=3 if answer != "tie" else 0)
        for answer, head in heads.items()
    ]


def _agreements(agreements: list[Mapping[str, Any]], width: int | None) -> list[str]:
    if not agreements:
        return []
    columns = [
        Column("between", [" and ".join(row["annotators"]) for row in agreements], text=True),
        Column("answered alike", [_share(row) for row in agreements]),
        Column("Cohen's kappa", [_number(row["kappa"], ".2f") for row in agreements]),
    ]
    return ["Agreement of annotators, on what both answered", *format_table(columns, width)]


def _share(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NO_VALUE
    low, high = 100 * found["low"], 100 * found["high"]
    return f"{found['share']:.0%} [{low:.0f}, {high:.0f}] of {found['of']:,}"


def _number(value: float | None, form: str) -> str:
    return NO_VALUE if value is None else f"{value:{form}}"
