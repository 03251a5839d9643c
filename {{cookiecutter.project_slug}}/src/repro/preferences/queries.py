"""Which pairs of segments are shown to the annotator."""

from __future__ import annotations

import numpy as np

from repro.config import UserError


def uniform_pairs(segments_count: int, number: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """`number` pairs of different segments, drawn uniformly, as indices (left, right).

    No segment is drawn a second time before all have been drawn (but for an odd one out). Raises
    UserError when there are fewer than two segments.
    """
    if number == 0:
        return []
    if segments_count < 2:
        raise UserError(
            f"{segments_count} segments cannot be compared: shorten preferences.segment_steps or "
            "lengthen agent.rollout_steps, so that a rollout holds two segments"
        )
    pairs: list[tuple[int, int]] = []
    while len(pairs) < number:
        order = generator.permutation(segments_count).tolist()
        pairs.extend(zip(order[0::2], order[1::2], strict=False))  # an odd one out is left
    return pairs[:number]
