"""Across tasks and between methods: interquartile mean, probability of improvement, stratified bootstrap.

As in Agarwal et al. 2021 (Deep RL at the Edge of the Statistical Precipice, arXiv 2108.13264, section 4). Scores are
given by task, an array (seeds,) each, on a scale that tasks share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Tasks = Sequence[FloatArray]  # (..., seeds) each; what stands before the seeds is kept
RESAMPLES = 2000
SEEDS_FOR_BOOTSTRAP = 10  # of a task, so that the interval is not much too narrow, see bootstrap_interval


def interquartile_mean(tasks: Tasks) -> FloatArray:
    """Mean of the middle half of all scores, those of every task taken together: (...).

    A quarter of the scores, rounded down, is left out at each end, as `scipy.stats.trim_mean` does. Less noisy than
    the median, and unlike the mean not decided by a few seeds.
    """
    scores = np.sort(np.concatenate(tasks, axis=-1), axis=-1)
    cut = scores.shape[-1] // 4
    return scores[..., cut : scores.shape[-1] - cut].mean(axis=-1)


def probability_of_improvement(tasks: Tasks, others: Tasks) -> FloatArray:
    """How likely a seed of the first method scores higher than one of the other on a task; mean over tasks: (...).

    Equal scores count half. Of one task it is the Mann-Whitney U statistic divided by the number of pairs.
    """
    shares = []
    for ours, theirs in zip(tasks, others, strict=True):
        difference = ours[..., :, None] - theirs[..., None, :]
        shares.append(((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-2, -1)))
    return np.mean(shares, axis=0)


def bootstrap_interval(statistic: Callable[..., FloatArray], *methods: Tasks, seed: int = 0) -> tuple[float, float]:
    """The 95% percentile interval `(low, high)` of `statistic(*methods)`, by a stratified bootstrap.

    Seeds are drawn with replacement within each task and method, RESAMPLES times, from a generator of this `seed`: the
    same scores give the same interval. Of few seeds it is too narrow (nominal 95% cover about 85% with five seeds of
    one task, 90% with ten), so means on one task have a t-interval instead; it is narrower still where a probability of
    improvement is near 0 or 1.
    """
    generator = np.random.default_rng(seed)
    drawn = [
        [scores[generator.integers(len(scores), size=(RESAMPLES, len(scores)))] for scores in tasks]
        for tasks in methods
    ]
    low, high = np.quantile(statistic(*drawn), (0.025, 0.975))
    return float(low), float(high)
