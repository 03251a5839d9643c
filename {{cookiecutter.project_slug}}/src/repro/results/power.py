"""How many seeds it takes to show an effect."""

from __future__ import annotations

import math

from scipy.special import nctdtr, stdtrit

from repro.results.statistics import SEEDS_FOR_INTERVAL, UPPER

POWER = 0.8  # the chance to show what is there (Cohen 1988)
MOST_SEEDS = 1000
NO_DEVIATION = 1e-6  # of the effect: equal scores differ by rounding, and the noncentral t is nan of far less


def power(effect: float, deviation: float, seeds: int) -> float:
    """The chance that the 95% t-interval of a mean lies wholly above a threshold, if the mean is `effect` above it.

    `deviation`: the standard deviation over seeds, positive. Student's t with noncentrality effect / deviation x
    sqrt(seeds); the same of a difference of paired seeds.
    """
    shift = effect / deviation * math.sqrt(seeds)
    return 1 - float(nctdtr(seeds - 1, shift, stdtrit(seeds - 1, UPPER)))


def required_seeds(effect: float, deviation: float) -> int | None:
    """The fewest seeds, SEEDS_FOR_INTERVAL at least, with which `power` is POWER; None if MOST_SEEDS are too few."""
    if effect <= 0:
        return None
    if deviation <= NO_DEVIATION * effect:
        return SEEDS_FOR_INTERVAL
    return next((n for n in range(SEEDS_FOR_INTERVAL, MOST_SEEDS + 1) if power(effect, deviation, n) >= POWER), None)
