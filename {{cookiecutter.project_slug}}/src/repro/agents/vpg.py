"""Vanilla policy gradient: REINFORCE (Williams 1992) with a learned baseline, the whole update on one page.

One gradient step of the policy on the whole rollout, with advantages normalised over it; then the baseline is fitted
to the returns, in a network of its own so that fitting it does not move the policy (Achiam 2018, "Spinning Up").
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor

from repro.agents.acting import PolicyRunner
from repro.agents.distributions import ActionDistribution, make_distribution
from repro.agents.networks import SeparateActorCritic
from repro.agents.rollout import Rollout, approximate_kl, generalised_advantages, normalise
from repro.agents.values import fit_values, value_metrics
from repro.config import VPGConfig
from repro.device import autocast
from repro.optimisers import Adam


class VPG:
    """A VPG agent: `act` while collecting a rollout, then `update` on it."""

    action_spaces = (Discrete, Box)

    def __init__(
        self,
        observation_space: Box,
        action_space: Discrete | Box,
        config: VPGConfig,
        device: torch.device,
        generator: torch.Generator,
        precision: str = "float32",
    ):
        self.config, self.device, self.generator = config, device, generator
        self.network = SeparateActorCritic(observation_space, action_space)
        self.runner = PolicyRunner(self.network, config, device, generator, precision)
        policy, value = self.network.policy_parameters(), self.network.value.parameters()
        self.optimizer = Adam(policy, config.learning_rate, eps=1e-5, fused=True)
        self.value_optimizer = Adam(value, config.value_learning_rate, eps=1e-5, fused=True)

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
            self.value_optimizer.param_groups[0]["lr"] = config.value_learning_rate * (1 - progress)
        advantages = generalised_advantages(rollout, config.discount, config.gae_lambda)
        returns = advantages + rollout.values[:-1]
        rows = rollout.rows(self.device, advantages, returns)
        observations, actions, old_log_probs, row_advantages, row_returns = rows
        policy = self._policy(observations)
        policy_loss = -(policy.log_prob(actions) * normalise(row_advantages)).mean()
        entropy = policy.entropy().mean()
        self.optimizer.zero_grad()
        (policy_loss - config.entropy_coefficient * entropy).backward()
        gradient_norm = torch.nn.utils.clip_grad_norm_(self.network.policy_parameters(), config.max_gradient_norm)
        self.optimizer.step()
        with torch.no_grad():
            moved = self._policy(observations)
        value_loss = fit_values(
            self.network.value,
            self.value_optimizer,
            observations,
            row_returns,
            config,
            self.generator,
            self.runner.precision,
        )
        return {
            "policy/loss": policy_loss.item(),
            "policy/entropy": entropy.item(),
            "policy/approx_kl": approximate_kl(moved.log_prob(actions) - old_log_probs).item(),  # after the step
            "value/loss": value_loss.item(),
            "gradient/norm": gradient_norm.item(),  # of the policy
            **value_metrics(rollout, returns),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }

    def _policy(self, observations: Tensor) -> ActionDistribution:
        """Distributions of actions for a batch of observations."""
        with autocast(self.device, self.runner.precision):
            outputs = self.network.policy(observations)
        return make_distribution(outputs.float(), self.network.log_std)

    def state_dict(self) -> dict[str, Any]:
        """Everything that `act` and `update` depend on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "value_optimizer": self.value_optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.value_optimizer.load_state_dict(state["value_optimizer"])
        self.generator.set_state(state["generator"].cpu())
