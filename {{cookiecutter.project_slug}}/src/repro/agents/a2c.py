"""Synchronous advantage actor-critic (Mnih et al. 2016), the whole update on one page: one gradient step a rollout.

As in Christiano et al. 2017, A.2, and the implementation it names (OpenAI Baselines): n-step returns (gae_lambda 1,
n = rollout_steps), advantages that are not normalised, TensorFlow's RMSprop, global gradient clipping. It is PPO with
one epoch, one minibatch and nothing to clip (Huang et al. 2022, "A2C is a special case of PPO").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.agents.acting import PolicyRunner
from repro.agents.networks import ActorCritic
from repro.agents.rollout import Rollout, approximate_kl, generalised_advantages
from repro.agents.values import value_metrics
from repro.config import A2CConfig
from repro.optimisers import uncompiled


class A2C:
    """An A2C agent: `act` while collecting a rollout, then `update` on it."""

    action_spaces = (Discrete, Box)

    def __init__(
        self,
        observation_space: Box,
        action_space: Discrete | Box,
        config: A2CConfig,
        device: torch.device,
        generator: torch.Generator,
        precision: str = "float32",
    ):
        self.config, self.device, self.generator = config, device, generator
        self.network = ActorCritic(observation_space, action_space)
        self.runner = PolicyRunner(self.network, config, device, generator, precision)
        self.optimizer: torch.optim.Optimizer = RMSpropTF(
            self.network.parameters(), config.learning_rate, config.rmsprop_decay, config.rmsprop_epsilon
        )

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
        observations, actions, old_log_probs, row_advantages, row_returns = rows
        policy, values = self.runner(observations)
        policy_loss = -(policy.log_prob(actions) * row_advantages).mean()
        value_loss = 0.5 * (values - row_returns).square().mean()
        entropy = policy.entropy().mean()
        loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy

        self.optimizer.zero_grad()
        loss.backward()
        gradient_norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.max_gradient_norm)
        self.optimizer.step()
        with torch.no_grad():
            moved, _ = self.runner(observations)
        return {
            "policy/loss": policy_loss.item(),
            "policy/entropy": entropy.item(),
            "policy/approx_kl": approximate_kl(moved.log_prob(actions) - old_log_probs).item(),  # after the step
            "value/loss": value_loss.item(),
            "gradient/norm": gradient_norm.item(),
            **value_metrics(rollout, returns),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }

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


@uncompiled
class RMSpropTF(torch.optim.Optimizer):
    """RMSprop as TensorFlow has it: epsilon is added inside the root, and the mean of squared gradients starts at one.

    PyTorch adds epsilon outside and starts at zero: its first steps are 1 / sqrt(1 - decay) times a sign, ten times
    larger, and so are all where gradients are small.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, decay: float, epsilon: float):
        super().__init__(parameters, {"lr": lr, "decay": decay, "epsilon": epsilon})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move each parameter by -lr * gradient / sqrt(mean square + epsilon)."""
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                if not state:
                    state["mean_square"] = torch.ones_like(parameter)
                gradient, mean_square = parameter.grad, state["mean_square"]
                mean_square.mul_(group["decay"]).addcmul_(gradient, gradient, value=1 - group["decay"])
                parameter.addcdiv_(gradient, (mean_square + group["epsilon"]).sqrt_(), value=-group["lr"])
