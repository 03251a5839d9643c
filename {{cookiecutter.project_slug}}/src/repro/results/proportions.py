"""The interval of a proportion, without the libraries that take a while to load."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Two-sided 95% score interval `(low, high)` of a proportion (Wilson 1927), without continuity correction.

    Unlike the mean -+ z*s interval it stays within [0, 1] and is not empty at 0 of n or n of n.
    Raises ValueError unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes out of {n} trials is no proportion")
    z = NormalDist().inv_cdf(0.975)
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At the ends the bound is exactly 0 or 1; rounding would leave it a hair beside.
    return (0.0 if successes == 0 else centre - margin), (1.0 if successes == n else centre + margin)
