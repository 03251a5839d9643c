"""PPO with an adaptive penalty on the KL divergence (Schulman et al. 2017, section 4), the whole update on one page.

Nothing is clipped. Instead each minibatch pays `penalty` times its KL divergence from the old policy, and after each
rollout the penalty is doubled if the policy has moved 1.5 times as far as `kl_target`, and halved if not 1/1.5 as far.
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
from repro.config import PenaltyPPOConfig
from repro.optimisers import Adam

METRICS = ("policy/loss", "value/loss", "policy/entropy", "gradient/norm")


class PenaltyPPO:
    """A PPO agent with a KL penalty: `act` while collecting a rollout, then `update` on it."""

    action_spaces = (Discrete, Box)

    def __init__(
        self,
        observation_space: Box,
        action_space: Discrete | Box,
        config: PenaltyPPOConfig,
        device: torch.device,
        generator: torch.Generator,
        precision: str = "float32",
    ):
        self.config, self.device, self.generator = config, device, generator
        self.network = ActorCritic(observation_space, action_space)
        self.runner = PolicyRunner(self.network, config, device, generator, precision)
        self.parameters = flatten_parameters(self.network)
        self.optimizer = Adam([self.parameters], config.learning_rate, eps=1e-5, fused=True)
        self.penalty = 1.0  # where it starts hardly matters, as it adapts quickly (section 4)

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
        with torch.no_grad():
            kl = approximate_kl(self.runner(rows[0])[0].log_prob(rows[1]) - rows[2]).item()
        self.penalty *= 2 if kl > 1.5 * config.kl_target else 0.5 if kl < config.kl_target / 1.5 else 1
        return (
            dict(zip(METRICS, torch.stack(reported).mean(0).tolist(), strict=True))
            | value_metrics(rollout, returns)
            | {
                "policy/approx_kl": kl,  # after the update
                "policy/kl_penalty": self.penalty,  # of the next update
                "learning_rate": self.optimizer.param_groups[0]["lr"],
            }
        )

    def _update_minibatch(
        self, observations: Tensor, actions: Tensor, old_log_probs: Tensor, advantages: Tensor, returns: Tensor
    ) -> Tensor:
        """One gradient step. Returns METRICS, (4,)."""
        config = self.config
        policy, values = self.runner(observations)
        log_ratios = policy.log_prob(actions) - old_log_probs
        policy_loss = -(normalise(advantages) * log_ratios.exp()).mean() + self.penalty * approximate_kl(log_ratios)
        value_loss = 0.5 * (values - returns).square().mean()
        entropy = policy.entropy().mean()
        loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy

        zero_gradient(self.parameters)
        loss.backward()
        gradient_norm = clip_gradient(self.parameters, config.max_gradient_norm)
        self.optimizer.step()
        return torch.stack((policy_loss, value_loss, entropy, gradient_norm)).detach()

    def state_dict(self) -> dict[str, Any]:
        """Everything that `act` and `update` depend on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "penalty": self.penalty,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.penalty = state["penalty"]
