"""Whether two runs went the same way: what they were given, and the first metric in which they part."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from repro.reading import UserError
from repro.tracking.archive import Record
from repro.tracking.metrics import decode_row
from repro.tracking.parameters import same_params

OF_THE_MACHINE = ("time/", "throughput/", "memory/")  # metrics that differ between equal runs
MISSING = object()


@dataclass(frozen=True)
class Difference:
    """Where two runs part: a metric and its values; None where a run lacks it, or the row."""

    env_step: int
    metric: str
    values: tuple[Any, Any]

    @property
    def shorter(self) -> int | None:
        """Which of the two, 0 or 1, has no row for this step, if that is the difference."""
        return self.values.index(None) if self.metric == "env_step" and None in self.values else None

    def __str__(self) -> str:
        if self.shorter is not None:
            return f"step {self.env_step:,}: the {('first', 'second')[self.shorter]} has no such row"
        one, other = ("nothing" if value is None else value for value in self.values)
        return f"step {self.env_step:,}, {self.metric}: {one} against {other}"


def first_difference(one: Path, other: Path) -> Difference | None:
    """The first metric, row by row, that is not the same bit for bit; None if there is none.

    Both are metrics.jsonl. What tells of the machine is left out, and so is a torn last line. Raises UserError if a
    file cannot be read or a line is damaged.
    """
    try:
        with open(one, "rb") as first, open(other, "rb") as second:
            lines = itertools.zip_longest(_whole_lines(first), _whole_lines(second))
            for number, (left, right) in enumerate(lines, start=1):
                if left is None or right is None:
                    step = _row(left, one, number)["env_step"] if left else _row(right, other, number)["env_step"]
                    return Difference(step, "env_step", (step, None) if left else (None, step))
                if not _same_text(left, right):
                    found = _compare_rows(_row(left, one, number), _row(right, other, number))
                    if found:
                        return found
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file; has the run written any metrics yet?") from None
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from None
    return None


def differing(values: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Dotted name -> its value in each of several nested mappings, of those that differ; None where it is absent."""
    flat = [dict(_flatten(mapping)) for mapping in values]
    names = dict.fromkeys(itertools.chain(*flat))
    return {
        name: [mapping.get(name) for mapping in flat]
        for name in names
        if any(repr(mapping.get(name, MISSING)) != repr(flat[0].get(name, MISSING)) for mapping in flat[1:])
    }


def same_task(one: Record, other: Record) -> bool:
    """Whether two runs have the same code, parameters and initial labels; their seeds may differ."""
    same_labels = one.get("preferences") == other.get("preferences")
    return one["code_hash"] == other["code_hash"] and same_params(one["params"], other["params"]) and same_labels


def circumstances(record: Record) -> dict[str, Any]:
    """What else a run depends on: versions, processors, data."""
    devices = record.get("devices") or {}
    return {
        **(record.get("versions") or {}),
        "device": record.get("device"),
        "processor": devices.get("cpu"),
        "gpus": ", ".join(devices.get("gpus") or []) or None,
        **{f"data: {path}": md5 for path, md5 in (record.get("data_hashes") or {}).items()},
    }


def _whole_lines(file: IO[bytes]) -> Iterator[bytes]:
    return (line for line in file if line.endswith(b"\n"))


def _same_text(left: bytes, right: bytes) -> bool:
    """Whether two lines are the same up to what tells of the machine, if this ends them; parsing takes longer."""
    starts = []
    for line in (left, right):
        start = line.find(b',"time/')
        rest = line[start:]
        if start < 0 or rest.count(b'":') != sum(rest.count(f',"{name}'.encode()) for name in OF_THE_MACHINE):
            return False
        starts.append(line[:start])
    return starts[0] == starts[1]


def _row(line: bytes, path: Path, number: int) -> dict[str, Any]:
    row = decode_row(line)
    if row is None:
        raise UserError(f"{path}, line {number}: not a row of metrics; remove the line, or restore the file")
    return {name: value for name, value in row.items() if not name.startswith(OF_THE_MACHINE)}


def _compare_rows(one: dict[str, Any], other: dict[str, Any]) -> Difference | None:
    for name in one | other:
        values = one.get(name), other.get(name)
        if repr(values[0]) != repr(values[1]):
            return Difference(min(one["env_step"], other["env_step"]), name, values)
    return None


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
