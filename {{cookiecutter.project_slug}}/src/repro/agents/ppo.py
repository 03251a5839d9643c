"""Proximal policy optimisation (Schulman et al. 2017) with a clipped objective, the whole update on one page.

Details that count after Huang et al. 2022 ("The 37 implementation details of PPO"): orthogonal initialisation,
Adam epsilon 1e-5, learning-rate annealing, advantages normalised in each minibatch, global gradient clipping.
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor

from repro.agents.acting import PolicyRunner
from repro.agents.flat_parameters import clip_gradient, flatten_parameters, zero_gradient
from repro.agents.networks import ActorCritic
from repro.agents.rollout import Rollout, approximate_kl, generalised_advantages, normalise, take
from repro.agents.values import value_metrics
from repro.config import PPOConfig
from repro.optimisers import Adam

ROW_METRICS = ("policy/loss", "value/loss", "policy/entropy")


class PPO:
    """A PPO agent: `act` while collecting a rollout, then `update` on it."""

    action_spaces = (Discrete, Box)

    def __init__(
        self,
        observation_space: Box,
        action_space: Discrete | Box,
        config: PPOConfig,
        device: torch.device,
        generator: torch.Generator,
        precision: str = "float32",
    ):
        self.config, self.device, self.generator = config, device, generator
        self.network = ActorCritic(observation_space, action_space)
        self.runner = PolicyRunner(self.network, config, device, generator, precision)
        self.parameters = flatten_parameters(self.network)
        self.optimizer = Adam([self.parameters], config.learning_rate, eps=1e-5, fused=True)

    def act(self, observations: NDArray, greedy: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Actions (N, ...), their log-probabilities (N,) and values (N,), on the CPU. Raises UserError (diverged)."""
        return self.runner.act(observations, greedy)

    def value(self, observations: NDArray) -> Tensor:
        """Values of observations (N, ...), float32 (N,) on the CPU."""
        return self.runner.value(observations)

    def update(self, rollout: Rollout, progress: float) -> dict[str, float]:
        """Learn from one rollout; `progress` in [0, 1) is the share of training that is behind. Returns metrics."""
        config = self.config
        if config.anneal_learning_rate:
            self.optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - progress)
        advantages = generalised_advantages(rollout, config.discount, config.gae_lambda)
        returns = advantages + rollout.values[:-1]
        rows = rollout.rows(self.device, advantages, returns)
        reported = []
        for _ in range(config.epochs):
            order = torch.randperm(len(rows[0]), generator=self.generator, device=self.device)
            for indices in order.tensor_split(config.minibatches):
                reported.append(self._update_minibatch(*(take(row, indices) for row in rows)))
        return (
            minibatch_metrics(reported, config)
            | value_metrics(rollout, returns)
            | {"learning_rate": self.optimizer.param_groups[0]["lr"]}
        )

    def _update_minibatch(
        self, observations: Tensor, actions: Tensor, old_log_probs: Tensor, advantages: Tensor, returns: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One gradient step. Returns ROW_METRICS and log(new / old) of each row, (4, rows), and the gradient's norm."""
        config = self.config
        policy, values = self.runner(observations)
        advantages = normalise(advantages)
        log_ratios = policy.log_prob(actions) - old_log_probs
        ratios = log_ratios.exp()
        clipped = ratios.clamp(1 - config.clip_range, 1 + config.clip_range)
        policy_losses = -torch.min(advantages * ratios, advantages * clipped)
        value_losses = 0.5 * (values - returns).square()
        entropies = policy.entropy()
        losses = policy_losses + config.value_coefficient * value_losses - config.entropy_coefficient * entropies

        zero_gradient(self.parameters)
        losses.mean().backward()
        gradient_norm = clip_gradient(self.parameters, config.max_gradient_norm)
        self.optimizer.step()
        with torch.no_grad():
            return torch.stack((policy_losses, value_losses, entropies, log_ratios)), gradient_norm

    def state_dict(self) -> dict[str, Any]:
        """Everything that `act` and `update` depend on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())


def minibatch_metrics(reported: list[tuple[Tensor, Tensor]], config: PPOConfig) -> dict[str, float]:
    """Means over all rows of all minibatches, and over their gradients, from what `_update_minibatch` returned.

    The KL divergence is of the last epoch alone, as Stable-Baselines3 has it: in the first the policy has hardly moved.
    """
    rows = torch.cat([of_rows for of_rows, _ in reported], dim=1)
    log_ratios = rows[-1]
    beyond = (log_ratios.exp() - 1).abs() > config.clip_range
    last_epoch = log_ratios[-(len(log_ratios) // config.epochs) :]
    return dict(zip(ROW_METRICS, rows[:-1].mean(1).tolist(), strict=True)) | {
        "policy/approx_kl": approximate_kl(last_epoch).item(),
        "policy/clip_fraction": beyond.float().mean().item(),
        "gradient/norm": torch.stack([norm for _, norm in reported]).mean().item(),
    }
