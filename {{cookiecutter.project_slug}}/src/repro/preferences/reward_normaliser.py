"""The scale of learned rewards: what a preference model predicts has neither an origin nor a unit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MEMORY = 50  # gradient steps


class RewardNormaliser:
    """Brings each member's rewards to mean 0 and a chosen standard deviation over the labelled segments.

    Their mean and variance are those of the last MEMORY gradient steps or so, a plain average at first; or measured.
    """

    def __init__(self, members: int, reward_std: float):
        self.reward_std = reward_std
        self.mean, self.variance = torch.zeros(members, 1), torch.ones(members, 1)
        self.steps = 0  # gradient steps that were followed

    def normalise(self, raw: Tensor, steps: Tensor | int = 1) -> Tensor:
        """Members' rewards (M, B), or sums over `steps` (B,), normalised."""
        return (raw - steps * self.mean) / (self.variance.sqrt() + 1e-8) * self.reward_std

    def follow(self, rewards: Tensor) -> None:
        """Take into account what was predicted in a gradient step, (M, N) on the CPU."""
        self.steps += 1
        weight = 1 / min(MEMORY, self.steps)
        self.mean = (1 - weight) * self.mean + weight * rewards.mean(1, keepdim=True)
        self.variance = (1 - weight) * self.variance + weight * rewards.var(1, keepdim=True)

    def measure(self, rewards: Tensor) -> None:
        """Forget what was before: mean and variance are those of these predictions, (M, N) on the CPU."""
        self.mean, self.variance = rewards.mean(1, keepdim=True), rewards.var(1, keepdim=True)

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {"mean": self.mean, "variance": self.variance, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.mean, self.variance, self.steps = state["mean"], state["variance"], state["steps"]
