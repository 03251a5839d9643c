"""Intervals over seeds: Student's t for means, Wilson's score for success rates, pointwise t for curves.

The t-interval is used per task because the usual percentile bootstrap is far too narrow for few seeds
(its nominal 95% covers about 75% with three seeds, 90% with ten; the t-interval 94-96%).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit  # these need no import of scipy.stats, which is slow

FloatArray = NDArray[np.float64]


def t_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean and two-sided t-interval `(mean, low, high)` of independent values, one per seed.

    mean -+ t(n-1) * s / sqrt(n), s with n-1 in the denominator (Student 1908). One value has no
    interval: its bounds are nan. Raises ValueError if there is no value or one is not finite.
    """
    column = np.asarray(values, dtype=np.float64).reshape(-1, 1)
    mean, low, high = curve_interval(column, confidence)
    return float(mean[0]), float(low[0]), float(high[0])


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided score interval `(low, high)` of a proportion (Wilson 1927), without continuity correction.

    Unlike the mean -+ z*s interval it stays within [0, 1] and is not empty at 0 of n or n of n.
    Raises ValueError unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes out of {n} trials is no proportion")
    z = float(ndtri(_upper_quantile(confidence)))
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At the ends the bound is exactly 0 or 1; rounding would leave it a hair beside.
    return (0.0 if successes == 0 else centre - margin), (1.0 if successes == n else centre + margin)


def align_curves(curves: Sequence[tuple[ArrayLike, ...]], num: int = 200) -> tuple[FloatArray, FloatArray]:
    """Put curves with different steps on one grid, by linear interpolation, never by extrapolation.

    `curves` holds a pair (steps, values) for each seed, steps strictly increasing. Returns the grid of `num`
    steps, evenly spaced over the range that all curves cover, and the values as (seeds, num).
    Raises ValueError if a curve is malformed or the curves have no range in common.
    """
    if not curves:
        raise ValueError("no curves to align")
    arrays = [(np.asarray(steps, np.float64), np.asarray(values, np.float64)) for steps, values in curves]
    for steps, values in arrays:
        if steps.ndim != 1 or steps.shape != values.shape or steps.size == 0:
            raise ValueError(f"a curve needs as many steps as values, found {steps.shape} and {values.shape}")
        if not (np.isfinite(steps).all() and np.isfinite(values).all()):
            raise ValueError("a curve holds values that are not finite")
        if (np.diff(steps) <= 0).any():
            raise ValueError("the steps of a curve must increase")
    start = max(steps[0] for steps, _ in arrays)
    end = min(steps[-1] for steps, _ in arrays)
    if start >= end:
        raise ValueError(f"the curves share no range of steps: one starts at {start:g}, one ends at {end:g}")
    grid = np.linspace(start, end, num)
    return grid, np.stack([np.interp(grid, steps, values) for steps, values in arrays])


def curve_interval(matrix: ArrayLike, confidence: float = 0.95) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean and t-interval of each column of (seeds, points): `(mean, low, high)`, each (points,).

    Pointwise: each point is covered with the given confidence, the whole curve with less. With one
    seed the bounds are nan. Raises ValueError if there is no seed or a value is not finite.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    upper = _upper_quantile(confidence)
    if matrix.ndim != 2 or len(matrix) == 0:
        raise ValueError(f"an interval needs at least one value, found an array of shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError("an interval needs finite values")
    n = len(matrix)
    mean = matrix.mean(axis=0)
    if n == 1:
        unknown = np.full_like(mean, np.nan)
        return mean, unknown, unknown.copy()
    margin = stdtrit(n - 1, upper) * matrix.std(axis=0, ddof=1) / math.sqrt(n)
    return mean, mean - margin, mean + margin


def _upper_quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, not at {confidence}")
    return (1 + confidence) / 2
