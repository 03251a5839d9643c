"""Trust region policy optimisation (Schulman et al. 2015), the whole update on one page.

The policy takes one natural gradient step a rollout: conjugate gradient on products with the Fisher matrix (appendix
C), scaled to the trust region, then halved until the surrogate objective improves and the KL divergence keeps its
bound. The value function has a network of its own and is fitted to the returns. An entropy bonus is part of the
objective (Christiano et al. 2017, A.1).

The natural gradient is computed in float32 whatever the precision of the rest: it is a second derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from repro.config import TRPOConfig
from repro.optimisers import Adam


class TRPO:
    """A TRPO agent: `act` while collecting a rollout, then `update` on it."""

    action_spaces = (Discrete, Box)

    def __init__(
        self,
        observation_space: Box,
        action_space: Discrete | Box,
        config: TRPOConfig,
        device: torch.device,
        generator: torch.Generator,
        precision: str = "float32",
    ):
        self.config, self.device, self.generator = config, device, generator
        self.network = SeparateActorCritic(observation_space, action_space)
        self.runner = PolicyRunner(self.network, config, device, generator, precision)
        value = self.network.value.parameters()
        self.value_optimizer = Adam(value, config.value_learning_rate, eps=1e-5, fused=True)

    def act(self, observations: NDArray, greedy: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Actions (N, ...), their log-probabilities (N,) and values (N,), on the CPU. Raises UserError (diverged)."""
        return self.runner.act(observations, greedy)

    def value(self, observations: NDArray) -> Tensor:
        """Values of observations (N, ...), float32 (N,) on the CPU."""
        return self.runner.value(observations)

    def update(self, rollout: Rollout, progress: float) -> dict[str, float]:
        """Learn from one rollout; `progress` does not matter, as the trust region sets the step. Returns metrics."""
        config = self.config
        advantages = generalised_advantages(rollout, config.discount, config.gae_lambda)
        returns = advantages + rollout.values[:-1]
        rows = rollout.rows(self.device, advantages, returns)
        observations, actions, old_log_probs, row_advantages, row_returns = rows
        metrics = self._improve_policy(observations, actions, old_log_probs, normalise(row_advantages))
        value_loss = fit_values(
            self.network.value,
            self.value_optimizer,
            observations,
            row_returns,
            config,
            self.generator,
            self.runner.precision,
        )
        return metrics | {
            "value/loss": value_loss.item(),
            **value_metrics(rollout, returns),
            "learning_rate": config.value_learning_rate,  # the policy has none
        }

    def _improve_policy(
        self, observations: Tensor, actions: Tensor, behaviour_log_probs: Tensor, advantages: Tensor
    ) -> dict[str, float]:
        """One step within the trust region, or none. Returns metrics."""
        config, parameters = self.config, self.network.policy_parameters()
        with torch.no_grad():
            old = self._policy(observations)
            old_log_probs = old.log_prob(actions)

        def surrogate(policy: ActionDistribution) -> Tensor:
            ratios = (policy.log_prob(actions) - old_log_probs).exp()
            return (ratios * advantages).mean() + config.entropy_coefficient * policy.entropy().mean()

        policy = self._policy(observations)
        before = surrogate(policy)
        gradient = flatten(torch.autograd.grad(before, parameters, retain_graph=True))
        fisher = fisher_product(old.kl(policy).mean(), parameters, config.damping)
        direction = conjugate_gradient(fisher, gradient, config.conjugate_gradient_steps)
        curvature = (direction @ fisher(direction)).clamp_min(1e-20)  # 0 where nothing can be gained
        step = direction * (2 * config.max_kl / curvature).sqrt()

        start = flatten(parameters).detach()
        for halvings in range(config.line_search_steps):
            assign(parameters, start + 0.5**halvings * step)
            with torch.no_grad():
                policy = self._policy(observations)
                kl, after = old.kl(policy).mean(), surrogate(policy)
            if accepted := bool((after > before) & (kl <= config.max_kl)):
                break
        else:
            assign(parameters, start)
            policy, kl, after = old, torch.zeros(()), before
        entropy = policy.entropy().mean()
        log_ratios = policy.log_prob(actions) - behaviour_log_probs
        return {
            "policy/loss": (config.entropy_coefficient * entropy - after).item(),
            "policy/entropy": entropy.item(),
            "policy/approx_kl": approximate_kl(log_ratios).item(),
            "policy/kl": kl.item(),
            "policy/line_search_steps": halvings + 1,
            "policy/step_accepted": float(accepted),
            "gradient/norm": gradient.norm().item(),
        }

    def _policy(self, observations: Tensor) -> ActionDistribution:
        """Distributions of actions for a batch of observations, in float32. They stay when parameters move."""
        log_std = self.network.log_std
        return make_distribution(self.network.policy(observations), None if log_std is None else log_std.clone())

    def state_dict(self) -> dict[str, Any]:
        """Everything that `act` and `update` depend on."""
        return {
            "network": self.network.state_dict(),
            "value_optimizer": self.value_optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.value_optimizer.load_state_dict(state["value_optimizer"])
        self.generator.set_state(state["generator"].cpu())


Tensors = Sequence[Tensor]


def fisher_product(kl: Tensor, parameters: Tensors, damping: float) -> Callable[[Tensor], Tensor]:
    """Products of the Fisher matrix plus `damping` on its diagonal with vectors (parameters,).

    kl: mean KL(old || policy), a scalar, where the two are equal: its Hessian there is the Fisher matrix.
    """
    gradient = flatten(torch.autograd.grad(kl, parameters, create_graph=True))

    def product(vector: Tensor) -> Tensor:
        return flatten(torch.autograd.grad(gradient @ vector, parameters, retain_graph=True)) + damping * vector

    return product


def conjugate_gradient(product: Callable[[Tensor], Tensor], target: Tensor, steps: int) -> Tensor:
    """Approximate solution x of A x = target in at most `steps` products with A, symmetric and positive definite."""
    solution, residual = torch.zeros_like(target), target.clone()
    direction, error = residual.clone(), residual @ residual
    for _ in range(steps):
        if error <= 1e-12 * (target @ target):  # as exact as float32 gets
            break
        image = product(direction)
        length = error / (direction @ image)
        solution += length * direction
        residual -= length * image
        last, error = error, residual @ residual
        direction = residual + error / last * direction
    return solution


def flatten(tensors: Tensors) -> Tensor:
    """All numbers in one vector."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


@torch.no_grad()
def assign(parameters: Tensors, vector: Tensor) -> None:
    """The opposite of `flatten`, in place."""
    for parameter, part in zip(parameters, vector.split([one.numel() for one in parameters]), strict=True):
        parameter.copy_(part.view(parameter.shape))
