"""A few rows of a metrics file, however long that is: for small plots of many runs."""

from __future__ import annotations

import math
import os
from pathlib import Path

from repro.tracking.metrics import decode_row

WHOLE = 1 << 18  # bytes; of a larger file, blocks at even distances are read, and the end
BLOCK = 1 << 13  # bytes: several rows, as not every row has every metric
END = 1 << 16  # bytes


def sample_curve(path: Path, metric: str, count: int = 100) -> list[tuple[float, float]]:
    """At most about `count` points (env_step, value) of a metric, the last ones included; none if there are none.

    Values that are not finite are left out, and so are damaged rows.
    """
    try:
        lines = _sample_lines(path, count)
    except OSError:  # no metrics yet
        return []
    named = f'"{metric}"'.encode()
    rows = [row for line in lines if named in line and (row := decode_row(line)) is not None]
    # Blocks may overlap.
    points = {row["env_step"]: row[metric] for row in rows if isinstance(row.get(metric), int | float)}
    finite = [point for point in sorted(points.items()) if all(map(math.isfinite, point))]
    if len(finite) <= count:
        return finite
    return [finite[i * (len(finite) - 1) // (count - 1)] for i in range(count)]


def _sample_lines(path: Path, count: int) -> list[bytes]:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= WHOLE:
            return file.read().split(b"\n")
        lines = []
        for part in range(count):
            file.seek(part * size // count)
            if part:
                file.readline(END)  # to the start of a row
            if file.tell() < size - END:  # the end comes by itself
                lines += (file.read(BLOCK) + file.readline(END)).split(b"\n")
        file.seek(size - END)
        file.readline(END)
        return lines + file.read().split(b"\n")
