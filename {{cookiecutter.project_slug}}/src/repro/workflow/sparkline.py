"""A run's learning curve as a dozen characters: ▁▂▂▃▅▆▇█."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from repro.tracking.curves import sample_curve
from repro.tracking.metrics import read_last_row

LEVELS = "▁▂▃▄▅▆▇█"
WIDTH = 12  # characters
CIRCUMSTANCES = ("env_step", "frames", "time/", "throughput/", "memory/")  # what says nothing of the learning


def draw_curve(path: Path) -> str:
    """The return of a run over its steps, or else the first metric there is, from its metrics.jsonl.

    Empty if there are no metrics. Of a large file only a part is read.
    """
    points = sample_curve(path, "return/mean")
    if not points:
        names = [name for name in read_last_row(path) or {} if not name.startswith(CIRCUMSTANCES)]
        points = sample_curve(path, names[0]) if names else []
    return sparkline([value for _, value in points])


def sparkline(values: Sequence[float]) -> str:
    """At most a dozen characters from the least of some finite values, ▁, to the greatest, █."""
    count = min(WIDTH, len(values))
    bins = [values[i * len(values) // count : (i + 1) * len(values) // count] for i in range(count)]
    means = [sum(value / len(part) for value in part) for part in bins]
    return "".join(LEVELS[_level(mean, min(means), max(means))] for mean in means)


def _level(mean: float, low: float, high: float) -> int:
    if high == low:
        return len(LEVELS) // 2 - 1
    share = (mean / 2 - low / 2) / (high / 2 - low / 2)  # halves: the range may be more than a float holds
    return min(len(LEVELS) - 1, int(share * len(LEVELS)))
