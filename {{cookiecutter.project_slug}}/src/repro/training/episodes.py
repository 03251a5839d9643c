"""Returns and lengths of the episodes that end while training, true and predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.training.storage import Storage


class EpisodeStatistics:
    """Follows the current episode of each environment from rollout to rollout."""

    def __init__(self, num_envs: int):
        self.totals = np.zeros((3, num_envs))  # true return, predicted return, steps

    def update(self, storage: Storage, rewards: NDArray, optimal: dict[int, NDArray]) -> dict[str, float]:
        """Metrics of the episodes that ended in this rollout; none if none did.

        Args:
            rewards: what the agent was trained on, (T, N).
            optimal: best possible returns (N,) of the episodes current at a row, for rows where one ended.
        """
        finished: list[NDArray] = []
        best: list[float] = []
        for row in range(len(rewards)):
            self.totals += storage.valid[row] * np.stack(
                [storage.true_rewards[row], rewards[row], np.ones(len(rewards[row]))]
            )
            ended = storage.done[row]
            if ended.any():
                finished += list(self.totals[:, ended].T)
                best += list(optimal[row][ended])
                self.totals[:, ended] = 0
        valid = storage.valid
        metrics = {"reward/correlation": correlation(rewards[valid], storage.true_rewards[valid])}
        if finished:
            returns, predicted, lengths = np.stack(finished, axis=1)
            metrics |= {
                "return/mean": float(returns.mean()),
                "return/std": float(returns.std()),
                "return/min": float(returns.min()),
                "return/max": float(returns.max()),
                "predicted_return/mean": float(predicted.mean()),
                "return/fraction_of_optimal": float(returns.sum() / np.sum(best)),
                "episode/length_mean": float(lengths.mean()),
            }
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """For an exact resume."""
        return {"totals": self.totals.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.totals = np.asarray(state["totals"]).copy()  # may be a tensor


def correlation(first: NDArray, second: NDArray) -> float:
    """Pearson's correlation; nan where one of the two does not vary."""
    if first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
