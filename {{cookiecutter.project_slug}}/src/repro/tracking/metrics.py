"""The metrics of a run, `metrics.jsonl`: one JSON object a line, the primary record.

JSON has no NaN or infinity, so these are written as the strings "NaN", "Infinity" and "-Infinity" (as Protocol
Buffers do) and come back as floats: a diverged run must not look like one with missing values.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro.files import storage_error
from repro.reading import UserError

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
Row = dict[str, Any]  # metric name -> int or float; `env_step` is always present


class MetricsWriter:
    """Appends rows to a metrics file; each is on disk, whole, when `write` returns.

    A line torn by a killed process is removed on opening.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            os.ftruncate(self._file, _end_of_last_line(self._file))
        except OSError as error:
            raise storage_error(self.path, error) from None

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row. Values are numbers, numpy or torch scalars included. Raises UserError if the disk refuses."""
        if "env_step" not in row:
            raise ValueError("a row of metrics needs env_step, the agent steps taken so far")
        values = {name: encode(_number(name, value)) for name, value in row.items()}
        line = json.dumps(values, separators=(",", ":"))
        data = line.encode() + b"\n"
        start = self.position()
        try:
            if os.fstat(self._file).st_nlink == 0:
                raise UserError(f"{self.path}: was deleted while the run was writing to it; the run cannot go on")
            written = os.write(self._file, data)
            while written < len(data):  # the disk is filling up: the next call says so
                written += os.write(self._file, data[written:])
        except OSError as error:
            os.ftruncate(self._file, start)
            raise storage_error(self.path, error) from None

    def position(self) -> int:
        """The length of the file in bytes; what a checkpoint stores."""
        return os.fstat(self._file).st_size

    def truncate(self, position: int) -> None:
        """Forget the rows written after `position`, the length stored with a checkpoint. Raises UserError."""
        if position > self.position():
            raise UserError(
                f"{self.path}: holds {self.position()} bytes, the checkpoint says {position}; rows were removed since, "
                "so the run cannot be resumed: start a new one"
            )
        os.ftruncate(self._file, position)

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_metrics(path: Path, most: int | None = None) -> list[Row]:
    """All rows; a last line torn by a killed process is left out. Raises UserError for any other bad line.

    Args:
        most: read no more than so many, evenly spread over the file, the last one included; of those near by one with
            returns, as an episode does not end in every rollout.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; has the run written any metrics yet?") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    rows = []
    for number, line in enumerate(lines, start=1) if most is None else _spread(lines, most):
        row = decode_row(line)
        if row is not None:
            rows.append(row)
        elif number < len(lines):  # what follows the last newline is empty or torn
            raise UserError(
                f"{path}, line {number}: not a row of metrics: {_shown(line)}; "
                "remove the line, or restore the file from the run"
            )
    return rows


def _spread(lines: list[bytes], most: int) -> list[tuple[int, bytes]]:
    """At most `most` of the lines, with their numbers; what follows the last newline is no row."""
    count = len(lines) - 1
    if count <= most:
        return list(enumerate(lines, start=1))
    starts = [part * (count - 1) // (most - 1) for part in range(most)]
    chosen = [
        next((number for number in range(start, end) if b'"return/mean":' in lines[number]), start)
        for start, end in itertools.pairwise(starts)
    ]
    return [(number + 1, lines[number]) for number in (*chosen, count - 1)]


def read_last_row(path: Path) -> Row | None:
    """The last whole row, or None if there is none yet; reads only the end of the file."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
            lines = file.read().split(b"\n")
    except OSError:
        return None
    return next((row for line in reversed(lines) if (row := decode_row(line)) is not None), None)


def encode(value: int | float) -> int | float | str:
    """A number as JSON can hold it: "NaN", "Infinity" and "-Infinity" for those that it has no word for."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def decode_row(line: bytes) -> Row | None:
    """The row in a line, or None if the line holds none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or "env_step" not in row:
        return None
    row = {name: NON_FINITE.get(value, value) if isinstance(value, str) else value for name, value in row.items()}
    return row if all(isinstance(value, int | float) for value in row.values()) else None


def _number(name: str, value: Any) -> int | float:
    """`value` as Python's own type: numpy and torch scalars have `item`, and so have their arrays, which fail."""
    if type(value) is not float and type(value) is not int:
        with contextlib.suppress(AttributeError, ValueError, RuntimeError):
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"metric {name}: expected a number, got {value!r}")
    return value


def size_of_rows(path: Path) -> int:
    """Bytes of the whole rows in a file, which need not be there; what a kill cut off is not counted."""
    try:
        with path.open("rb") as file:
            return _end_of_last_line(file.fileno())
    except FileNotFoundError:
        return 0


def _end_of_last_line(file: int) -> int:
    """The position after the last newline of an open file."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - 65536)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace")
    return repr(text if len(text) <= 60 else text[:57] + "...")
