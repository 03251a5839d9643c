"""A learning curve as a line of characters: ▁▂▂▃▅▆▇█."""

from __future__ import annotations

from collections.abc import Sequence

LEVELS = "▁▂▃▄▅▆▇█"


def sparkline(
    curve: Sequence[tuple[float, float]],
    last_step: float,
    width: int,
    low: float | None = None,
    high: float | None = None,
) -> str:
    """Points (env step, finite value) in `width` characters for the steps from 0 to `last_step`, ▁ for `low`, █ `high`.

    Values in one character are averaged; where there are none, it stays as it was. `low` and `high` are by default
    the least and the greatest of what is drawn.
    """
    bins: dict[int, list[float]] = {}
    for step, value in curve:
        bins.setdefault(min(width - 1, int(step * width / max(1, last_step))), []).append(value)
    means = {number: _mean(values) for number, values in bins.items()}
    low = min(means.values(), default=0.0) if low is None else low
    high = max(means.values(), default=0.0) if high is None else high
    letters, letter = [], " "
    for number in range(max(means, default=-1) + 1):
        letter = _letter(means[number], low, high) if number in means else letter
        letters.append(letter)
    return "".join(letters)


def _mean(values: list[float]) -> float:
    """Without overflow, and exact where all are the same: what is constant is to look so."""
    return max(min(values), min(max(values), sum(value / len(values) for value in values)))


def _letter(mean: float, low: float, high: float) -> str:
    share = (mean / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5  # halves: it may overflow
    return LEVELS[min(len(LEVELS) - 1, max(0, int(share * len(LEVELS))))]
