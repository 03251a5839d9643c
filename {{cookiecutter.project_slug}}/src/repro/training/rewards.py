"""Where rewards come from: the environment, or a model of preferences. The only seam between the two worlds."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from repro.preferences.reward_model import RewardModel
from repro.training.storage import Storage


class RewardSource(Protocol):
    """Decides what the agent may know of a rollout."""

    def relabel(self, storage: Storage) -> tuple[NDArray, NDArray]:
        """Rewards float32 (T, N) and terminations bool (T, N) for the agent."""


class TrueReward:
    """The environment's own rewards and terminations."""

    def relabel(self, storage: Storage) -> tuple[NDArray, NDArray]:
        """What the environment said."""
        return storage.true_rewards, storage.terminated


class LearnedReward:
    """Predicted rewards. Terminations are hidden: they can tell the agent what to do (Christiano et al. 2017, A)."""

    def __init__(self, model: RewardModel):
        self.model = model

    def relabel(self, storage: Storage) -> tuple[NDArray, NDArray]:
        """One batched forward pass over the observations that the actions led to."""
        following = storage.observations[1:]
        rewards = self.model.predict(following.reshape(-1, *following.shape[2:])).reshape(following.shape[:2])
        return rewards, np.zeros_like(storage.terminated)
