"""What an on-policy agent learns from: one rollout of all environments, and its advantages."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rollout:
    """T consecutive steps of N environments, time first.

    Under NEXT_STEP autoreset the row after the end of an episode only resets: its action was ignored. Such rows
    are False in `valid` and are left out of losses and statistics. The last observation of an episode stands in
    `observations` like any other, so that a truncated episode bootstraps from it.
    """

    observations: Tensor  # (T + 1, N, *observation), as the environment gives them
    actions: Tensor  # (T, N) int64 or (T, N, *action) float32
    log_probs: Tensor  # (T, N) float32, of the actions when they were taken
    values: Tensor  # (T + 1, N) float32, of `observations`
    rewards: Tensor  # (T, N) float32, true or learned
    terminated: Tensor  # (T, N) bool: no future reward after this step
    done: Tensor  # (T, N) bool: the episode ended with this step, terminated or truncated
    valid: Tensor  # (T, N) bool: False where the environment was only reset

    def rows(self, device: torch.device, *estimates: Tensor) -> tuple[Tensor, ...]:
        """Of each step that counts: observation, action, its log-probability, and `estimates` (T, N); (rows, ...)."""
        valid = self.valid.flatten().nonzero().squeeze(1)
        columns = (self.observations[:-1], self.actions, self.log_probs, *estimates)
        observations, *others = (column.flatten(0, 1).index_select(0, valid).to(device) for column in columns)
        if observations.dim() == 4:  # images are laid out once as convolutions want them, and not once a minibatch
            observations = observations.contiguous(memory_format=torch.channels_last)
        return observations, *others


def take(column: Tensor, indices: Tensor) -> Tensor:
    """Some of the rows of `column`, which `Rollout.rows` made, in the same layout; whole rows are copied at once."""
    if column.dim() == 4:
        return column.permute(0, 2, 3, 1).index_select(0, indices).permute(0, 3, 1, 2)
    return column.index_select(0, indices)


def generalised_advantages(rollout: Rollout, discount: float, gae_lambda: float) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, equation 16), float32 (T, N).

    A terminated step has no value after it; a truncated one bootstraps from the value of its last observation;
    neither passes on what comes after it.
    """
    values = rollout.values
    deltas = rollout.rewards + discount * (~rollout.terminated) * values[1:] - values[:-1]
    carried = (discount * gae_lambda * (~rollout.done).float()).numpy()
    advantages = deltas.numpy()  # changed in place, by numpy, whose small operations take a fraction of torch's time
    for step in reversed(range(len(advantages) - 1)):
        advantages[step] += carried[step] * advantages[step + 1]
    return deltas


def normalise(advantages: Tensor) -> Tensor:
    """To mean 0 and standard deviation 1, (rows,)."""
    deviation, mean = torch.std_mean(advantages)
    return (advantages - mean) / (deviation + 1e-8)


def approximate_kl(log_ratios: Tensor) -> Tensor:
    """Estimate of KL(old || new), a scalar, from log(new / old) of actions of the old policy.

    Unbiased and never negative (Schulman 2020, "Approximating KL divergence", k3).
    """
    return (log_ratios.exp() - 1 - log_ratios).mean()
