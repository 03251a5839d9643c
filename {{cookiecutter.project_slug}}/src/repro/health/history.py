"""The metrics of a run, as far back as checks look: the first values of each, and the latest rows."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]

RECENT_ROWS = 300  # as far back as checks look
FIRST = 5  # values of each metric are kept from the start
LATELY = 5  # values, whose middle one is how things are now; so many rows lie between two looks at most


class History:
    """What checks look at: a run up to its latest row."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows: deque[Row] = deque(maxlen=RECENT_ROWS)
        self.count = 0  # rows in all
        self._start = 0  # agent steps at the first row
        self._first: dict[str, list[float]] = defaultdict(list)
        self._counts: dict[str, int] = defaultdict(int)  # of finite values
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Go on by a row of metrics."""
        if not self.count:
            self._start = row["env_step"]
        self.rows.append(row)
        self.count += 1
        for name, value in row.items():
            if math.isfinite(value):
                self._counts[name] += 1
                if self._counts[name] <= FIRST:
                    self._first[name].append(value)

    @property
    def latest(self) -> Row:
        """The latest row."""
        return self.rows[-1]

    @property
    def env_step(self) -> int:
        """Agent steps done."""
        return int(self.latest["env_step"])

    def values(self, metric: str, count: int = RECENT_ROWS) -> list[float]:
        """The latest finite values, at most `count`, oldest first."""
        values: list[float] = []
        if metric not in self._counts:
            return values
        for row in reversed(self.rows):
            if len(values) == count:
                break
            value = row.get(metric, math.nan)
            if math.isfinite(value):
                values.append(value)
        return values[::-1]

    def lately(self, metric: str) -> float | None:
        """The middle one of the latest values; None where there are too few."""
        values = self.values(metric, LATELY)
        return statistics.median(values) if len(values) == LATELY else None

    def at_first(self, metric: str) -> float | None:
        """The middle one of the first values; None where there are too few, or the latest are among them."""
        return statistics.median(self._first[metric]) if self._counts[metric] >= FIRST + LATELY else None

    def progress(self, total_steps: int) -> float:
        """The share of training that is done, not counting what was before the first row, such as initial labels."""
        return (self.env_step - self._start) / max(1, total_steps - self._start)


def trend(values: Sequence[float]) -> float:
    """Kendall's rank correlation with time: 1 if each value is above all earlier ones, -1 if below all of them.

    Mann (1945). It does not change where values are scaled, and one outlier hardly matters.
    """
    pairs = list(itertools.combinations(values, 2))
    return sum((later > earlier) - (later < earlier) for earlier, later in pairs) / len(pairs)
