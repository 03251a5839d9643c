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

from repro.agents.networks import ActorCritic, Categorical, DiagonalGaussian
from repro.agents.rollout import Rollout, generalised_advantages
from repro.config import PPOConfig, UserError


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
        self.half = precision == "bfloat16"
        self.network = ActorCritic(observation_space, action_space).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate, eps=1e-5, fused=True)

    @torch.inference_mode()
    def act(self, observations: NDArray, greedy: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Actions (N, ...), their log-probabilities (N,) and values (N,), all on the CPU.

        Raises UserError if the network has diverged so far that there is nothing to sample from.
        """
        outputs, values = self._forward(torch.from_numpy(observations).to(self.device))
        if not (outputs.isfinite().all() and values.isfinite().all()):
            raise UserError(
                "training has diverged: the outputs of the agent's network are not finite; lower its "
                f"learning rate (agent.learning_rate is {self.config.learning_rate:g})"
            )
        policy = self._policy(outputs)
        actions = policy.mode() if greedy else policy.sample(self.generator)
        return actions.cpu(), policy.log_prob(actions).cpu(), values.cpu()

    @torch.inference_mode()
    def value(self, observations: NDArray) -> Tensor:
        """Values of observations (N, ...), float32 (N,) on the CPU."""
        return self._forward(torch.from_numpy(observations).to(self.device))[1].cpu()

    def update(self, rollout: Rollout, progress: float) -> dict[str, float]:
        """Learn from one rollout; `progress` in [0, 1) is the share of training that is behind. Returns metrics."""
        config = self.config
        if config.anneal_learning_rate:
            self.optimizer.param_groups[0]["lr"] = config.learning_rate * (1 - progress)
        advantages = generalised_advantages(rollout, config.discount, config.gae_lambda)
        returns = advantages + rollout.values[:-1]
        valid = rollout.valid.flatten()
        rows = tuple(
            tensor.flatten(0, 1)[valid].to(self.device)
            for tensor in (rollout.observations[:-1], rollout.actions, rollout.log_probs, advantages, returns)
        )
        totals: dict[str, Tensor] = {}
        for _ in range(config.epochs):
            order = torch.randperm(len(rows[0]), generator=self.generator, device=self.device)
            for indices in order.tensor_split(config.minibatches):
                for name, value in self._update_minibatch(*(row[indices] for row in rows)).items():
                    totals[name] = totals.get(name, 0) + value
        updates = config.epochs * config.minibatches
        return {name: total.item() / updates for name, total in totals.items()} | {
            "value/explained_variance": explained_variance(
                rollout.values[:-1].flatten()[valid], returns.flatten()[valid]
            ),
            "value/mean": float(rollout.values[:-1].flatten()[valid].mean()),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }

    def _update_minibatch(
        self, observations: Tensor, actions: Tensor, old_log_probs: Tensor, advantages: Tensor, returns: Tensor
    ) -> dict[str, Tensor]:
        """One gradient step."""
        config = self.config
        outputs, values = self._forward(observations)
        policy = self._policy(outputs)
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_ratios = policy.log_prob(actions) - old_log_probs
        ratios = log_ratios.exp()
        clipped = ratios.clamp(1 - config.clip_range, 1 + config.clip_range)
        policy_loss = -torch.min(advantages * ratios, advantages * clipped).mean()
        value_loss = 0.5 * (values - returns).square().mean()
        entropy = policy.entropy().mean()
        loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy

        self.optimizer.zero_grad()
        loss.backward()
        gradient_norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.max_gradient_norm)
        self.optimizer.step()
        metrics = {
            "policy/loss": policy_loss,
            "policy/entropy": entropy,
            "policy/approx_kl": (ratios - 1 - log_ratios).mean(),  # Schulman 2020, "Approximating KL divergence"
            "policy/clip_fraction": ((ratios - 1).abs() > config.clip_range).float().mean(),
            "value/loss": value_loss,
            "gradient/norm": gradient_norm,
        }
        return {name: value.detach() for name, value in metrics.items()}

    def _forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """The policy's outputs and the values for a batch of observations."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            return self.network(observations)

    def _policy(self, outputs: Tensor) -> Categorical | DiagonalGaussian:
        """Distributions of actions."""
        log_std = self.network.log_std
        return Categorical(outputs) if log_std is None else DiagonalGaussian(outputs, log_std)

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


def explained_variance(predictions: Tensor, targets: Tensor) -> float:
    """1 - Var[targets - predictions] / Var[targets]; nan where the targets do not vary."""
    variance = targets.var()
    return float(1 - (targets - predictions).var() / variance) if variance > 0 else float("nan")
