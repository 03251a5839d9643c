"""Pearson's correlation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

FEWEST = 3  # of fewer it is 1, -1 or undefined


def correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Of two arrays of one shape; nan where one of them does not vary, or has fewer than FEWEST values."""
    one, other = np.ravel(first).astype(np.float64), np.ravel(second).astype(np.float64)
    if len(one) < FEWEST or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
