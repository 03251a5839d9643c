"""Returns and lengths of the episodes that end while training, true and predicted, and what is a score."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.correlation import correlation
from repro.envs.base import ResumableVectorEnv
from repro.experience.storage import Storage


def score_scale(envs: ResumableVectorEnv) -> NDArray[np.float64]:
    """The returns that score 0 (random actions) and 1 (the best possible or known) in each current episode, (2, N)."""
    return np.stack([envs.random_returns(), envs.optimal_returns()])


def score(returns: NDArray, scale: NDArray) -> float:
    """Where the sum of the returns (E,) lies between those that score 0 and 1, `scale` (2, E).

    For one scale, as of a game, that is the normalised score of Mnih et al. 2015; sums let an episode in which there is
    little to gain count little. It is nan where there is nothing to gain in any.
    """
    lowest, highest = scale.sum(axis=1)
    return float((returns.sum() - lowest) / (highest - lowest)) if highest != lowest else float("nan")


class EpisodeStatistics:
    """Follows the current episode of each environment from rollout to rollout."""

    def __init__(self, num_envs: int):
        self.totals = np.zeros((3, num_envs))  # true return, predicted return, steps

    def update(self, storage: Storage, rewards: NDArray, scales: dict[int, NDArray]) -> dict[str, float]:
        """Metrics of the rewards, and of the episodes that ended in this rollout; of these none if none did.

        Args:
            rewards: what the agent was trained on, (T, N).
            scales: `score_scale` (2, N) of the episodes current at a row, for the rows where one ended, in their order.
        """
        valid = storage.valid
        metrics = {
            "reward/mean": float(rewards[valid].mean()),
            "reward/std": float(rewards[valid].std()),
            "reward/correlation": correlation(rewards[valid], storage.true_rewards[valid]),
        }
        steps = np.where(valid, [storage.true_rewards, rewards, np.ones_like(rewards)], 0.0)
        returns, predicted, lengths = self._finish(steps, storage.done)
        if len(returns):
            scale = np.concatenate([scale[:, storage.done[row]] for row, scale in scales.items()], axis=1)
            metrics |= (
                describe("return/", returns)
                | describe("episode/length_", lengths)
                | {
                    "return/score": score(returns, scale),
                    "predicted_return/mean": float(predicted.mean()),
                    "episode/count": len(returns),
                }
            )
        return metrics

    def _finish(self, steps: NDArray, done: NDArray) -> NDArray:
        """Go on by a rollout; returns the totals (3, E) of the episodes that ended in it, in the order of time.

        steps: of each step what is added to the totals, (3, T, N). done: where an episode ended, bool (T, N).
        """
        finished, start = [np.zeros((3, 0))], 0
        for row in np.flatnonzero(done.any(axis=1)).tolist():
            ended = np.flatnonzero(done[row])
            self.totals += steps[:, start : row + 1].sum(axis=1, dtype=np.float64)
            finished.append(self.totals[:, ended])
            self.totals[:, ended] = 0
            start = row + 1
        self.totals += steps[:, start:].sum(axis=1, dtype=np.float64)
        return np.concatenate(finished, axis=1)

    def state_dict(self) -> dict[str, Any]:
        """For an exact resume."""
        return {"totals": self.totals.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.totals = np.asarray(state["totals"]).copy()  # may be a tensor


def describe(prefix: str, values: NDArray) -> dict[str, float]:
    """Mean, standard deviation, least and greatest of some values, as metrics."""
    return {
        f"{prefix}mean": float(values.mean()),
        f"{prefix}std": float(values.std()),
        f"{prefix}min": float(values.min()),
        f"{prefix}max": float(values.max()),
    }
