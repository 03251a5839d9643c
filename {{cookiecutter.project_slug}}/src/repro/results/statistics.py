"""Intervals over seeds: Student's t for means and paired differences, Welch's for differences, pointwise t for curves.

Those of success rates are in `repro.results.proportions`, those across tasks in `repro.results.aggregates`.

The t-interval is used per task because the usual percentile bootstrap is far too narrow for few seeds
(its nominal 95% covers about 75% with three seeds, 90% with ten; the t-interval 94-96%). With fewer than
SEEDS_FOR_INTERVAL seeds it is so wide that it reaches beyond what scores can be (0.61 [-0.09, 1.30]), and rests on one
or two differences between seeds: there the lowest and highest seed are shown, which claim nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit  # needs no import of scipy.stats, which is slow

FloatArray = NDArray[np.float64]
UPPER = 0.975  # the quantile at the upper end of a two-sided 95% interval
SEEDS_FOR_INTERVAL = 5


def t_interval(values: ArrayLike) -> tuple[float, float, float]:
    """Mean and two-sided 95% t-interval `(mean, low, high)` of independent values, one per seed.

    mean -+ t(n-1) * s / sqrt(n), s with n-1 in the denominator (Student 1908). One value has no
    interval: its bounds are nan. Raises ValueError if there is no value or one is not finite.
    """
    column = np.asarray(values, dtype=np.float64).reshape(-1, 1)
    mean, low, high = curve_interval(column)
    return float(mean[0]), float(low[0]), float(high[0])


def difference_interval(values: ArrayLike, others: ArrayLike) -> tuple[float, float, float]:
    """Difference of two means, `values` less `others`, and its two-sided 95% interval `(difference, low, high)`.

    Welch's t (1947): the two samples are independent, and need not have the same variance or size. Where one has a
    single value there is no interval: its bounds are nan. Raises ValueError as `t_interval`.
    """
    samples = [np.asarray(sample, dtype=np.float64) for sample in (values, others)]
    difference = t_interval(samples[0])[0] - t_interval(samples[1])[0]
    sizes = [len(sample) for sample in samples]
    if min(sizes) == 1:
        return difference, math.nan, math.nan
    squares = [float(sample.var(ddof=1)) / size for sample, size in zip(samples, sizes, strict=True)]
    if not any(squares):
        return difference, difference, difference
    freedom = sum(squares) ** 2 / sum(square**2 / (size - 1) for square, size in zip(squares, sizes, strict=True))
    margin = float(stdtrit(freedom, UPPER)) * math.sqrt(sum(squares))
    return difference, difference - margin, difference + margin


def paired_interval(values: ArrayLike, others: ArrayLike) -> tuple[float, float, float]:
    """Mean of the differences of pairs, `values` less `others`, and its 95% t-interval `(difference, low, high)`.

    For runs of two methods with the same seeds: what a seed shares (starts, initial weights) drops out of the
    difference, and nothing is assumed if it shares nothing. Raises ValueError as `t_interval`, or without pairs.
    """
    first, second = np.asarray(values, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"pairs need as many values on both sides, found {first.size} and {second.size}")
    return t_interval(first - second)


def align_curves(curves: Sequence[tuple[FloatArray, ...]], num: int = 200) -> tuple[FloatArray, FloatArray]:
    """Put curves with different steps on one grid, by linear interpolation, never by extrapolation.

    `curves` holds a pair (steps, values) for each seed, steps strictly increasing. Returns the grid of `num`
    steps, evenly spaced over the range that all curves cover, and the values as (seeds, num).
    Raises ValueError if the curves have no range in common.
    """
    start = max(steps[0] for steps, _ in curves)
    end = min(steps[-1] for steps, _ in curves)
    if start >= end:
        raise ValueError(f"the curves share no range of steps: one starts at {start:g}, one ends at {end:g}")
    grid = np.linspace(start, end, num)
    return grid, np.stack([np.interp(grid, steps, values) for steps, values in curves])


def curve_interval(matrix: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean and 95% t-interval of each column of (seeds, points): `(mean, low, high)`, each (points,).

    Pointwise: each point is covered with 95% confidence, the whole curve with less. With one
    seed the bounds are nan. Raises ValueError if there is no seed or a value is not finite.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or len(matrix) == 0:
        raise ValueError(f"an interval needs at least one value, found an array of shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError("an interval needs finite values")
    n = len(matrix)
    mean = matrix.mean(axis=0)
    if n == 1:
        unknown = np.full_like(mean, np.nan)
        return mean, unknown, unknown.copy()
    margin = stdtrit(n - 1, UPPER) * matrix.std(axis=0, ddof=1) / math.sqrt(n)
    return mean, mean - margin, mean + margin


def curve_spread(matrix: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean of each column of (seeds, points), and what is shown around it: the t-interval, or the range of few seeds.

    Otherwise as `curve_interval`; `spread_name` says which of the two it is.
    """
    mean, low, high = curve_interval(matrix)
    if 1 < len(values := np.asarray(matrix)) < SEEDS_FOR_INTERVAL:
        return mean, values.min(axis=0), values.max(axis=0)
    return mean, low, high


def spread(values: ArrayLike) -> tuple[float, float, float]:
    """The same for one value per seed."""
    mean, low, high = curve_spread(np.asarray(values, dtype=np.float64).reshape(-1, 1))
    return float(mean[0]), float(low[0]), float(high[0])


def spread_name(seeds: int) -> str:
    """What `spread` shows around the mean of so many seeds."""
    return "95% t-interval" if seeds >= SEEDS_FOR_INTERVAL else "range"
