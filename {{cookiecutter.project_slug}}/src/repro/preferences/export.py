"""Preferences outside a database, for DVC and for people: a folder of three files.

`labels.jsonl`: one labelled query a line. `segments.npz`: the segments they name. `meta.json`: what they
are of, and what they cost. The same content gives the same bytes, so there are no times of day in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from repro.files import write_atomic
from repro.preferences.segments import Segment, load_segments, save_segments
from repro.reading import UserError

ANSWERS = ("left", "right", "tie", "incomparable")

_META_FIELDS: dict[str, Any] = {
    "name": str,
    "seed": int,
    "env_steps": int,
    "labels": int,
    "environment": (str, type(None)),
}
_LABEL_FIELDS: dict[str, Any] = {
    "number": int,
    "answer": str,
    "annotator": str,
    "left": str,
    "right": str,
    "strategy": str,
    "env_step": int,
    "latency_seconds": (int, float, type(None)),
    "labelled_at": int,
}


def write_export(
    directory: Path, meta: dict[str, Any], labels: Iterable[dict[str, Any]], segments: dict[str, Segment]
) -> None:
    """Write the folder; each file appears whole or not at all. segments: by hash. Raises UserError."""
    save_segments(directory / "segments.npz", list(segments.values()))
    lines = []
    for label in labels:
        returns = [segments[label[side]].true_return for side in ("left", "right")]
        line = {field: label[field] for field in _LABEL_FIELDS} | {"true_returns": returns}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    write_atomic(directory / "labels.jsonl", "".join(lines).encode())
    write_atomic(directory / "meta.json", (json.dumps(meta, ensure_ascii=False, indent=2) + "\n").encode())


def read_export(directory: Path) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Segment]]:
    """Read and check the folder; returns meta, labels, and segments by hash. Raises UserError."""
    meta = _parse_object(_read(directory / "meta.json"), str(directory / "meta.json"), _META_FIELDS)
    segments = {segment.hash: segment for segment in load_segments(directory / "segments.npz")}
    path = directory / "labels.jsonl"
    labels: list[dict[str, Any]] = []
    numbers: set[int] = set()
    for line_number, line in enumerate(_read(path).split("\n")[:-1], start=1):
        place = f"{path}, line {line_number}"
        label = _parse_object(line, place, _LABEL_FIELDS)
        for side in ("left", "right"):
            if label[side] not in segments:
                raise UserError(f"{place}: {side} names segment {label[side]}, which segments.npz does not hold")
        if label["answer"] not in ANSWERS:
            raise UserError(f"{place}: answer {label['answer']!r} is not one of {', '.join(ANSWERS)}")
        if label["number"] in numbers:
            raise UserError(f"{place}: query {label['number']} is labelled twice")
        numbers.add(label["number"])
        labels.append(label)
    if len(labels) != meta["labels"]:
        raise UserError(f"{path}: holds {len(labels)} labels where meta.json says {meta['labels']}")
    return meta, labels, segments


def _parse_object(text: str, place: str, fields: dict[str, Any]) -> dict[str, Any]:
    """A JSON object that has these fields with these types."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{place}: expected an object, found {type(value).__name__}")
    for field, kinds in fields.items():
        if field not in value:
            raise UserError(f"{place}: {field} is missing")
        if not isinstance(value[field], kinds) or isinstance(value[field], bool):
            raise UserError(f"{place}: {field} is {json.dumps(value[field])[:60]}, which has the wrong type")
        if isinstance(value[field], int) and not 0 <= value[field] < 2**63:
            raise UserError(f"{place}: {field} is out of range")
        if isinstance(value[field], str) and not value[field].isprintable():
            raise UserError(f"{place}: {field} holds unprintable characters")
    return value


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; export the preferences again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if not text.endswith("\n"):
        raise UserError(f"{path}: truncated: its last line has no end")
    return text
