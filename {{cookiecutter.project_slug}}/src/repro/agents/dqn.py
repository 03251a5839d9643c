"""Deep Q-learning (Mnih et al. 2015) with a target network, optionally double; the whole update on one page.

Double is van Hasselt et al. 2016. The Huber loss is Mnih et al.'s "clipping the error term to [-1, 1]"; Adam stands
where they have RMSprop.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from repro.agents.divergence import check_finite
from repro.agents.networks import initialise, make_encoder
from repro.agents.transitions import Transitions
from repro.config import DQNConfig
from repro.device import autocast
from repro.optimisers import Adam


class DQN:
    """A DQN agent: `act` for discrete actions, `update` on batches of what was done before."""

    action_spaces = (Discrete,)

    def __init__(
        self,
        observation_space: Box,
        action_space: Discrete,
        config: DQNConfig,
        device: torch.device,
        generator: torch.Generator,
        precision: str = "float32",
    ):
        self.config, self.device, self.generator = config, device, generator
        self.precision = precision
        self.actions = int(action_space.n)
        encoder, features = make_encoder(observation_space)
        self.network = nn.Sequential(encoder, initialise(nn.Linear(features, self.actions), gain=1.0)).to(device)
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = Adam(self.network.parameters(), config.learning_rate, fused=True)
        self.updates = 0  # gradient steps so far
        self.epsilon = config.exploration_final  # probability of a random action

    def explore(self, steps: int) -> dict[str, float]:
        """Act as `steps` agent steps into training: epsilon is annealed linearly. Returns metrics."""
        config = self.config
        progress = min(1.0, steps / config.exploration_steps)
        self.epsilon = (1 - progress) * config.exploration_initial + progress * config.exploration_final
        return {"exploration/epsilon": self.epsilon}

    @torch.inference_mode()
    def act(self, observations: NDArray, greedy: bool = False) -> Tensor:
        """Actions int64 (N,) on the CPU: of the highest value, or with probability epsilon any.

        Raises UserError if the network has diverged.
        """
        values = self._forward(self.network, torch.from_numpy(observations).to(self.device))
        check_finite(values, observations, self.config)
        actions = values.argmax(dim=1)
        if not greedy:
            chance = torch.rand(actions.shape, generator=self.generator, device=self.device)
            any_actions = torch.randint(self.actions, actions.shape, generator=self.generator, device=self.device)
            actions = torch.where(chance < self.epsilon, any_actions, actions)
        return actions.cpu()

    def update(self, batch: Transitions) -> dict[str, Tensor]:
        """One gradient step. Returns metrics."""
        config, batch = self.config, batch.to(self.device)
        targets = self.targets(batch)
        values = self._forward(self.network, batch.observations).gather(1, batch.actions[:, None]).squeeze(1)
        loss = functional.smooth_l1_loss(values, targets)

        self.optimizer.zero_grad()
        loss.backward()
        gradient_norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.max_gradient_norm)
        self.optimizer.step()
        self.updates += 1
        if self.updates % config.target_update_steps == 0:
            self.target.load_state_dict(self.network.state_dict())
        metrics = {
            "value/loss": loss,
            "value/mean": values.mean(),
            "value/target_mean": targets.mean(),
            "gradient/norm": gradient_norm,
        }
        return {name: value.detach() for name, value in metrics.items()}

    @torch.no_grad()
    def targets(self, batch: Transitions) -> Tensor:
        """What the values of the batch's actions should be, float32 (B,).

        The reward, and unless that ended everything, the discounted value of the best next action: which one that is
        says the target network, or in double Q-learning the network itself; what it is worth, the target network.
        """
        following = self._forward(self.target, batch.next_observations)
        chooser = self._forward(self.network, batch.next_observations) if self.config.double else following
        best = following.gather(1, chooser.argmax(dim=1, keepdim=True)).squeeze(1)
        return batch.rewards + self.config.discount * (~batch.terminated) * best

    def _forward(self, network: nn.Module, observations: Tensor) -> Tensor:
        """Values of all actions, float32 (batch, actions)."""
        with autocast(self.device, self.precision):
            return network(observations).float()

    def state_dict(self) -> dict[str, Any]:
        """Everything that `act` and `update` depend on, but for `explore`."""
        return {
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.target.load_state_dict(state["target"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.updates = state["updates"]
