"""Deep deterministic policy gradient (Lillicrap et al. 2016), the whole update on one page.

As there: target networks that follow slowly, the action entering the action-value network after its first layers,
final layers that start near zero. The noise is Gaussian: a correlated process as there is not needed (Fujimoto et al.
2018).
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from repro.agents.divergence import check_finite
from repro.agents.networks import initialise, make_encoder
from repro.agents.transitions import Transitions
from repro.config import DDPGConfig
from repro.device import autocast
from repro.optimisers import Adam

SAVED = ("network", "value", "target", "target_value", "optimizer", "value_optimizer")  # attributes with a state_dict


class Actor(nn.Module):
    """Observations to actions, scaled to [-1, 1]: float32 (batch, actions)."""

    def __init__(self, observation_space: Box, actions: int):
        super().__init__()
        self.encoder, features = make_encoder(observation_space)
        self.action = initialise(nn.Linear(features, actions), gain=0.01)

    def forward(self, observations: Tensor) -> Tensor:
        """See the class."""
        return torch.tanh(self.action(self.encoder(observations)).float())


class Critic(nn.Module):
    """Observations and actions, scaled to [-1, 1], to values: float32 (batch,)."""

    def __init__(self, observation_space: Box, actions: int):
        super().__init__()
        self.encoder, features = make_encoder(observation_space)
        self.joint = initialise(nn.Linear(features + actions, features), math.sqrt(2))
        self.value = initialise(nn.Linear(features, 1), gain=0.01)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """See the class."""
        joint = torch.cat([self.encoder(observations), actions], dim=1)
        return self.value(torch.relu(self.joint(joint))).float().squeeze(1)


class DDPG:
    """A DDPG agent: `act` for continuous actions, `update` on batches of what was done before."""

    action_spaces = (Box,)

    def __init__(
        self,
        observation_space: Box,
        action_space: Box,
        config: DDPGConfig,
        device: torch.device,
        generator: torch.Generator,
        precision: str = "float32",
    ):
        self.config, self.device, self.generator = config, device, generator
        self.precision = precision
        self.low, self.high = (torch.from_numpy(bound).to(device) for bound in (action_space.low, action_space.high))
        actions = math.prod(action_space.shape)
        self.network = Actor(observation_space, actions).to(device)
        self.value = Critic(observation_space, actions).to(device)
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self.target_value = copy.deepcopy(self.value).requires_grad_(False)
        self.optimizer = Adam(self.network.parameters(), config.learning_rate, fused=True)
        self.value_optimizer = Adam(self.value.parameters(), config.value_learning_rate, fused=True)
        self.updates = 0  # gradient steps so far

    def explore(self, steps: int) -> dict[str, float]:
        """The noise is the same all the time. Returns metrics."""
        return {"exploration/noise": self.config.exploration_noise}

    @torch.inference_mode()
    def act(self, observations: NDArray, greedy: bool = False) -> Tensor:
        """Actions float32 (N, *action) on the CPU, within their bounds; with Gaussian noise unless greedy.

        Raises UserError if the network has diverged.
        """
        with autocast(self.device, self.precision):
            actions = self.network(torch.from_numpy(observations).to(self.device))
        check_finite(actions, observations, self.config)
        if not greedy:
            noise = torch.randn(actions.shape, generator=self.generator, device=self.device)
            actions = (actions + self.config.exploration_noise * noise).clamp(-1, 1)
        actions = actions.reshape(-1, *self.low.shape)
        return self.low.lerp(self.high, (actions + 1) / 2).cpu()

    def update(self, batch: Transitions) -> dict[str, Tensor]:
        """One gradient step of both networks. Returns metrics."""
        batch = batch.to(self.device)
        actions = (2 * (batch.actions - self.low) / (self.high - self.low) - 1).flatten(1)
        targets = self.targets(batch)
        with autocast(self.device, self.precision):
            values = self.value(batch.observations, actions)
        value_loss = functional.mse_loss(values, targets)
        value_gradient = self._step(value_loss, self.value, self.value_optimizer)

        with autocast(self.device, self.precision):
            policy_loss = -self.value(batch.observations, self.network(batch.observations)).mean()
        policy_gradient = self._step(policy_loss, self.network, self.optimizer)

        self._follow(self.target, self.network)
        self._follow(self.target_value, self.value)
        self.updates += 1
        metrics = {
            "policy/loss": policy_loss,
            "value/loss": value_loss,
            "value/mean": values.mean(),
            "value/target_mean": targets.mean(),
            "gradient/norm": value_gradient,
            "gradient/policy_norm": policy_gradient,
        }
        return {name: value.detach() for name, value in metrics.items()}

    @torch.no_grad()
    def targets(self, batch: Transitions) -> Tensor:
        """What the values of the batch's actions should be, float32 (B,), as in algorithm 1 of the paper."""
        with autocast(self.device, self.precision):
            following = self.target_value(batch.next_observations, self.target(batch.next_observations))
        return batch.rewards + self.config.discount * (~batch.terminated) * following

    def _step(self, loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer) -> Tensor:
        """One gradient step of one network; returns the norm of its gradient. What others gathered is dropped."""
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), self.config.max_gradient_norm)
        optimizer.step()
        return norm

    @torch.no_grad()
    def _follow(self, target: nn.Module, network: nn.Module) -> None:
        """Move the target network towards the other by the share `target_rate` (Polyak averaging)."""
        for slow, fast in zip(target.parameters(), network.parameters(), strict=True):
            slow.lerp_(fast, self.config.target_rate)

    def state_dict(self) -> dict[str, Any]:
        """Everything that `act` and `update` depend on."""
        states = {name: getattr(self, name).state_dict() for name in SAVED}
        return states | {"generator": self.generator.get_state(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        for name in SAVED:
            getattr(self, name).load_state_dict(state[name])
        self.generator.set_state(state["generator"].cpu())
        self.updates = state["updates"]
