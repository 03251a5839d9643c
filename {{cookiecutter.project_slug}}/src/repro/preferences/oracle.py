"""A synthetic annotator, which answers from the true rewards (Christiano et al. 2017, section 3.1)."""

from __future__ import annotations

from repro.preferences.segments import Segment

ORACLE = "oracle"  # the annotator's name in the store

_TIE_TOLERANCE = 1e-6  # returns are sums of float32, so that equal ones may differ in the last bits


class Oracle:
    """Prefers the segment with the larger true return, without error; equal returns are a tie."""

    annotator = ORACLE

    def answer(self, left: Segment, right: Segment) -> str:
        """`left`, `right` or `tie`."""
        difference = left.true_return - right.true_return
        if abs(difference) <= _TIE_TOLERANCE:
            return "tie"
        return "left" if difference > 0 else "right"
