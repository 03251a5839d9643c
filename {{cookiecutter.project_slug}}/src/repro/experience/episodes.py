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
            scales: `score_scale` (2, N) of the episodes current at a row, for rows where one ended.
        """
        valid = storage.valid
        metrics = {
            "reward/mean": float(rewards[valid].mean()),
            "reward/std": float(rewards[valid].std()),
            "reward/correlation": correlation(rewards[valid], storage.true_rewards[valid]),
        }
        finished = self._add(np.where(valid, [storage.true_rewards, rewards, np.ones_like(rewards)], 0.0), storage.done)
        returns, predicted, lengths = finished
        if len(returns):
            environments, rows = np.nonzero(storage.done.T)
            scale = np.array(
                [scales[row][:, env] for env, row in zip(environments.tolist(), rows.tolist(), strict=True)]
            ).T
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

    def _add(self, steps: NDArray, done: NDArray) -> NDArray:
        """Go on by a rollout; returns the totals (3, E) of the episodes that ended in it, by environment and then time.

        steps: of each step what is added to the totals, (3, T, N). done: where an episode ended, bool (T, N).
        """
        sums = self.totals[:, None] + np.cumsum(steps, axis=1, dtype=np.float64)
        environments, rows = np.nonzero(done.T)
        ended = sums[:, rows, environments]
        first = np.diff(environments, prepend=-1) > 0  # of an environment in this rollout
        before = np.where(first, 0.0, np.roll(ended, 1, axis=1))
        last = np.diff(environments, append=-1) != 0
        self.totals = sums[:, -1].copy()
        self.totals[:, environments[last]] -= ended[:, last]
        return ended - before

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
