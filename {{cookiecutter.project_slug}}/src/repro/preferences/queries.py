"""Which pairs of segments are shown to the annotator.

In one choice no segment stands in two pairs: what a reward model holds out for validation shares no segment with what
it learns. Pairs are indices (left, right) into the segments of the choice; there are fewer where segments run out.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pairs = list[tuple[int, int]]


def uniform_pairs(segments_count: int, number: int, generator: np.random.Generator) -> Pairs:
    """`number` pairs, drawn uniformly."""
    order = generator.permutation(segments_count).tolist()
    return list(zip(order[0::2], order[1::2], strict=False))[:number]  # an odd one out is left


def informative_pairs(
    returns: NDArray,
    number: int,
    candidates: int,
    strategy: Literal["disagreement", "entropy"],
    generator: np.random.Generator,
) -> Pairs:
    """The best `number` of `candidates` times as many random pairs (Christiano et al. 2017, section 2.2.4).

    Args:
        returns: (members, segments), the sum of rewards that each member of the ensemble predicts.
        strategy: what is largest in the best pairs. disagreement: the variance of the predicted preference over the
            members; entropy: of their mean prediction, which is also large where they agree that it is a tie.
    """
    left, right = _candidates(returns.shape[1], number * candidates, generator)
    preferred = 0.5 + 0.5 * np.tanh((returns[:, left] - returns[:, right]) / 2)  # P(left > right), (members, pairs)
    scores = preferred.var(0) if strategy == "disagreement" else _entropy(preferred.mean(0))
    pairs: Pairs = []
    used: set[int] = set()
    for best in np.argsort(-scores, kind="stable"):  # candidates are in random order: so are equally good ones
        pair = int(left[best]), int(right[best])
        if len(pairs) == number:
            break
        if used.isdisjoint(pair):
            pairs.append(pair)
            used.update(pair)
    return pairs


def _candidates(count: int, number: int, generator: np.random.Generator) -> tuple[NDArray, NDArray]:
    """The left and the right ones of `number` pairs of two segments each, or of all pairs if there are no more."""
    left, right = np.triu_indices(count, k=1)
    if number < len(left):
        left = generator.integers(count, size=number)
        right = (left + generator.integers(1, count, size=number)) % count
        return left, right
    order, swapped = generator.permutation(len(left)), generator.random(len(left)) < 0.5
    return np.where(swapped, right, left)[order], np.where(swapped, left, right)[order]


def _entropy(probability: NDArray) -> NDArray:
    """Of a yes or no, in nats."""
    clipped = probability.clip(1e-12, 1 - 1e-12)
    return -(clipped * np.log(clipped) + (1 - clipped) * np.log1p(-clipped))
