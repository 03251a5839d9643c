"""Labelled pairs of segments, in batches: padded to one length, and with each member's own draw of them."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from repro.preferences.segments import Segment


@dataclass(frozen=True)
class _Comparison:
    """Left and right: observations, lengths in steps, true returns; the label; how often each member drew it."""

    number: int
    observations: tuple[Tensor, Tensor]
    lengths: tuple[int, int]
    true_returns: tuple[float, float]
    preference: float
    draws: Tensor  # float32 (M,)


class Comparisons:
    """Labelled pairs of segments, and which of them each member learns from; what it does not, it is validated on.

    With `bootstrap` a member draws each comparison Poisson(1) times, which is drawing as many as there are with
    replacement (Christiano et al. 2017, section 2.2.3) where more are to come (Oza and Russell 2001): 1/e are left out.
    Otherwise it holds out a `validation_fraction`, and learns from each of the others once.

    Only the last `window` comparisons are kept, all if it is None (appendix A.2: 3,000).
    """

    def __init__(
        self,
        members: int,
        validation_fraction: float,
        seed: int,
        bootstrap: bool = False,
        window: int | None = None,
    ):
        self.members, self.validation_fraction, self.seed = members, validation_fraction, seed
        self.bootstrap, self.window = bootstrap, window
        self._kept: list[_Comparison] = []  # by number: a corrected label is as old as it was

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, number: int, left: Segment, right: Segment, preference: float) -> None:
        """Add comparison `number`; `preference` is the probability that the left one is better: 1, 0 or 0.5."""
        insort(
            self._kept,
            _Comparison(
                number,
                (torch.from_numpy(left.observations), torch.from_numpy(right.observations)),
                (len(left), len(right)),
                (left.true_return, right.true_return),
                preference,
                self._draw(number),
            ),
            key=lambda comparison: comparison.number,
        )
        if self.window:
            del self._kept[: -self.window]

    def remove(self, number: int) -> None:
        """Forget comparison `number`, unless the window has left it behind already."""
        self._kept = [one for one in self._kept if one.number != number]

    def _draw(self, number: int) -> Tensor:
        """From the number alone, so that a resumed run draws the same comparisons."""
        generator = np.random.default_rng([self.seed, number])
        if self.bootstrap:
            return torch.from_numpy(generator.poisson(1.0, self.members).astype(np.float32))
        return torch.from_numpy((generator.random(self.members) >= self.validation_fraction).astype(np.float32))

    def segments(self, indices: Tensor) -> Tensor:
        """Observations of the left segments, then of the right ones, (2B, ...); zeros follow shorter ones."""
        chosen = self._chosen(indices)
        return _padded([one.observations[side] for side in (0, 1) for one in chosen])

    def lengths(self, indices: Tensor) -> Tensor:
        """Steps of these segments, int64 (2B,)."""
        chosen = self._chosen(indices)
        return torch.tensor([one.lengths[side] for side in (0, 1) for one in chosen])

    def labels(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Preferences float32 (B,) and held-out masks bool (M, B)."""
        preferences, draws = self.drawn(indices)
        return preferences, draws == 0

    def drawn(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Preferences float32 (B,) and how often each member drew these comparisons, float32 (M, B)."""
        chosen = self._chosen(indices)
        return torch.tensor([one.preference for one in chosen]), torch.stack([one.draws for one in chosen], dim=1)

    def true_returns(self, indices: Tensor) -> Tensor:
        """True returns of these segments, float32 (2B,): for diagnostics, and for regression on them (section 3.3)."""
        chosen = self._chosen(indices)
        return torch.tensor([one.true_returns[side] for side in (0, 1) for one in chosen])

    def _chosen(self, indices: Tensor) -> list[_Comparison]:
        return [self._kept[index] for index in indices.tolist()]


def pad_segments(segments: Sequence[Segment]) -> tuple[Tensor, Tensor]:
    """Observations (B, ...) of segments of any length, followed by zeros, and their lengths in steps, int64 (B,)."""
    observations = _padded([torch.from_numpy(one.observations) for one in segments])
    return observations, torch.tensor([len(one) for one in segments])


def _padded(observations: list[Tensor]) -> Tensor:
    if all(len(one) == len(observations[0]) for one in observations):
        return torch.stack(observations)  # four times as fast
    return pad_sequence(observations, batch_first=True)
