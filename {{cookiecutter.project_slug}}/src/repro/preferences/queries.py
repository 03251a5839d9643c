"""Which pairs of segments are shown to the annotator."""

from __future__ import annotations

import numpy as np


def uniform_pairs(segments_count: int, number: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """`number` pairs of segments, drawn uniformly, as indices (left, right); fewer where segments run out.

    No segment stands in two pairs: what a reward model holds out for validation shares no frame with what it learns.
    """
    order = generator.permutation(segments_count).tolist()
    return list(zip(order[0::2], order[1::2], strict=False))[:number]  # an odd one out is left
