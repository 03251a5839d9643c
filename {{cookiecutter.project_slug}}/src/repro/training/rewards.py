"""Where rewards come from: the environment, or a model of preferences. The only seam between the two worlds."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from repro.experience.replay import Sample
from repro.experience.storage import Storage
from repro.preferences.reward_model import RewardModel


class RewardSource(Protocol):
    """Decides what the agent may know of a rollout, or of a sample of earlier steps."""

    metrics: dict[str, float]  # of the last relabelling

    def relabel(self, storage: Storage) -> tuple[NDArray, NDArray]:
        """Rewards float32 (T, N) and terminations bool (T, N) for the agent."""

    def relabel_sample(self, sample: Sample) -> tuple[NDArray, NDArray]:
        """Rewards float32 (B,) and terminations bool (B,) for the agent, as they are now."""


class TrueReward:
    """The environment's own rewards, of which the agent learns no more than the sign if `clipped`, and terminations."""

    def __init__(self, clipped: bool = False):
        self.clipped = clipped
        self.metrics: dict[str, float] = {}

    def relabel(self, storage: Storage) -> tuple[NDArray, NDArray]:
        """What the environment said; the storage keeps the true rewards (Mnih et al. 2015 clip at -1 and 1)."""
        return self._clip(storage.true_rewards), storage.terminated

    def relabel_sample(self, sample: Sample) -> tuple[NDArray, NDArray]:
        """The same of single steps."""
        return self._clip(sample.true_rewards), sample.terminated

    def _clip(self, rewards: NDArray) -> NDArray:
        return np.sign(rewards) if self.clipped else rewards


class LearnedReward:
    """Predicted rewards. Terminations are hidden: they can tell the agent what to do (Christiano et al. 2017, A)."""

    def __init__(self, model: RewardModel):
        self.model = model
        self.metrics: dict[str, float] = {}

    def relabel(self, storage: Storage) -> tuple[NDArray, NDArray]:
        """One batched forward pass over the observations that the actions led to."""
        following = storage.observations[1:]
        raw = self.model.raw(following.reshape(-1, *following.shape[2:]))  # (M, T * N)
        normalised, valid = self.model.normalise(raw), torch.from_numpy(storage.valid.reshape(-1))
        self.metrics = {
            "reward_model/raw_mean": float(raw[:, valid].mean()),
            "reward_model/raw_std": float(raw[:, valid].std(1).mean()),
            "reward_model/disagreement": float(normalised[:, valid].std(0, correction=0).mean()),
        }
        rewards = normalised.mean(0).numpy().reshape(following.shape[:2])
        return rewards, np.zeros_like(storage.terminated)

    def relabel_sample(self, sample: Sample) -> tuple[NDArray, NDArray]:
        """What the model thinks now, whatever it thought when these steps were taken."""
        return self.model.predict(sample.next_observations), np.zeros_like(sample.terminated)
