"""A reward for seeing what was seldom seen, added to the environment's own (MBIE-EB, Strehl and Littman 2008)."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.experience.replay import Sample
from repro.experience.storage import Storage


class NoveltyReward:
    """The true reward and `bonus` / sqrt(n), where n counts how often an observation was met, this time included.

    Observations are counted as they are, so it is for environments that have few of them.
    """

    def __init__(self, bonus: float):
        self.bonus = bonus
        self.counts: Counter[str] = Counter()
        self.metrics: dict[str, float] = {}

    def relabel(self, storage: Storage) -> tuple[NDArray, NDArray]:
        """Count what the actions of the rollout led to, and pay for it; rows that only reset are neither."""
        rewards = storage.true_rewards.copy()
        for step, env in np.argwhere(storage.valid):
            name = _name(storage.observations[step + 1, env])
            self.counts[name] += 1
            rewards[step, env] += self._pay(name)
        paid = (rewards - storage.true_rewards)[storage.valid]
        self.metrics = {"reward/novelty": float(paid.mean()), "reward/observations_met": len(self.counts)}
        return rewards, storage.terminated

    def relabel_sample(self, sample: Sample) -> tuple[NDArray, NDArray]:
        """Pay by the counts as they are now; `relabel` has counted these steps, or will at the rollout's end."""
        paid = np.array([self._pay(_name(observation)) for observation in sample.next_observations], np.float32)
        return sample.true_rewards + paid, sample.terminated

    def _pay(self, name: str) -> float:
        return self.bonus / math.sqrt(max(1, self.counts[name]))

    def state_dict(self) -> dict[str, Any]:
        """What the next rewards depend on."""
        return {"counts": dict(self.counts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.counts = Counter(state["counts"])


def _name(observation: NDArray) -> str:
    return observation.tobytes().hex()
