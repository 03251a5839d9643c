"""What an off-policy agent learns from: single steps, drawn from all that was done before."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Transitions:
    """A batch of B steps, none of which joins two episodes.

    The last observation of an episode stands in `next_observations` like any other, so that a truncated episode
    bootstraps from it.
    """

    observations: Tensor  # (B, *observation), as the environment gives them
    actions: Tensor  # (B,) int64 or (B, *action) float32
    rewards: Tensor  # (B,) float32, true or learned
    next_observations: Tensor  # (B, *observation)
    terminated: Tensor  # (B,) bool: no future reward after this step

    def to(self, device: torch.device) -> Transitions:
        """The same on another device."""
        return Transitions(**{name: tensor.to(device) for name, tensor in vars(self).items()})
