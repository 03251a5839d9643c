"""A synthetic annotator, which answers from the true rewards (Christiano et al. 2017, section 3.1).

It is exact, or errs as the teachers of B-Pref do (Lee et al. 2021, arXiv 2111.03026, section 4 and algorithm 3), in any
composition. Where B-Pref's own code applies its thresholds twice, here each is applied once.
"""

from __future__ import annotations

import math

import numpy as np

from repro.config.preferences import OracleConfig
from repro.preferences.segments import Segment

ORACLE = "oracle"  # the annotator's name in the store

_TIE_TOLERANCE = 1e-6  # returns are sums of float32, so that equal ones may differ in the last bits


class Oracle:
    """Prefers the segment with the larger true return, as far as its errors let it.

    What it draws for a query follows from `seed` and the query's number alone: there is no state to save, and a query
    that is asked again, after a resume, is answered the same.
    """

    annotator = ORACLE

    def __init__(self, config: OracleConfig, seed: int):
        self.config, self.seed = config, seed

    def answer(self, number: int, left: Segment, right: Segment) -> str:
        """`left`, `right`, `tie` or `incomparable`, to query `number`.

        Segments are judged in this order: incomparable (by chance, or as both return too little), tie (as returns
        differ too little), then the better one (by what is remembered of it), which a mistake may turn round. Both
        thresholds are of undiscounted returns. With `rationality: null` equal returns are a tie; otherwise it guesses.
        """
        config = self.config
        skip, choice, mistake = np.random.default_rng([self.seed, number]).random(3)
        returns = left.true_return, right.true_return
        if skip < config.skip_probability:
            return "incomparable"
        if config.skip_threshold is not None and max(returns) < config.skip_threshold:
            return "incomparable"
        if abs(returns[0] - returns[1]) < config.equal_threshold:
            return "tie"
        difference = self._remembered(left) - self._remembered(right)
        if config.rationality is None:
            if abs(difference) <= _TIE_TOLERANCE:
                return "tie"
            prefers_left = difference > 0
        else:
            prefers_left = choice < _sigmoid(config.rationality * difference)
        if mistake < config.mistake:
            prefers_left = not prefers_left
        return "left" if prefers_left else "right"

    def _remembered(self, segment: Segment) -> float:
        """The return in which a step counts less by `discount` for each that follows it."""
        weights = self.config.discount ** np.arange(len(segment))[::-1]
        return float(weights @ segment.true_rewards.astype(np.float64))


def _sigmoid(value: float) -> float:
    return 0.5 + 0.5 * math.tanh(value / 2)  # which does not overflow
