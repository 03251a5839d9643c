"""Agents: `make_agent` builds the one that a configuration asks for."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.agents.a2c import A2C
from repro.agents.ddpg import DDPG
from repro.agents.dqn import DQN
from repro.agents.ppo import PPO
from repro.agents.rollout import Rollout
from repro.agents.sb3 import SB3PPO
from repro.agents.transitions import Transitions
from repro.agents.trpo import TRPO
from repro.agents.vpg import VPG
from repro.config import AgentConfig
from repro.reading import UserError


class OnPolicyAgent(Protocol):
    """What learns from whole rollouts of its own."""

    network: nn.Module
    action_spaces: tuple[type, ...]  # that it can act in

    def act(self, observations: NDArray, greedy: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Actions (N, ...), their log-probabilities (N,) and values (N,), all on the CPU."""

    def value(self, observations: NDArray) -> Tensor:
        """Values of observations (N, ...), float32 (N,) on the CPU."""

    def update(self, rollout: Rollout, progress: float) -> dict[str, float]:
        """Learn from one rollout; `progress` in [0, 1) is the share of training that is behind. Returns metrics."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that `act` and `update` depend on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""


class OffPolicyAgent(Protocol):
    """What learns from single steps, whoever did them and when."""

    network: nn.Module  # what acts
    action_spaces: tuple[type, ...]  # that it can act in
    updates: int  # gradient steps so far

    def explore(self, steps: int) -> dict[str, float]:
        """Explore as is due `steps` agent steps into training. Returns metrics.

        Before the first call it explores as at the end of training.
        """

    def act(self, observations: NDArray, greedy: bool = False) -> Tensor:
        """Actions (N, ...) on the CPU, with exploration or greedy."""

    def update(self, batch: Transitions) -> dict[str, Tensor]:
        """One gradient step. Returns metrics."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that `act` and `update` depend on, but for `explore`."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""


Agent = OnPolicyAgent | OffPolicyAgent
AGENTS: dict[str, Any] = {  # by what `agent.algorithm` says
    "ppo": PPO,
    "a2c": A2C,
    "vpg": VPG,
    "trpo": TRPO,
    "sb3-ppo": SB3PPO,
    "dqn": DQN,
    "ddpg": DDPG,
}


def make_agent(
    observation_space: Box,
    action_space: Discrete | Box,
    config: AgentConfig,
    device: torch.device,
    generator: torch.Generator,
    precision: str = "float32",
) -> Agent:
    """The agent of `config`.

    Raises UserError if it has no such actions; sb3-ppo also if it is not installed, or is to compute in bfloat16.
    """
    check_actions(config.algorithm, action_space)
    agent: Agent = AGENTS[config.algorithm](observation_space, action_space, config, device, generator, precision)
    return agent


def check_actions(algorithm: str, action_space: Discrete | Box) -> None:
    """Raise UserError if the algorithm has no such actions."""
    if not isinstance(action_space, AGENTS[algorithm].action_spaces):
        able = [name for name, agent in AGENTS.items() if isinstance(action_space, agent.action_spaces)]
        raise UserError(
            f"agent.algorithm: {algorithm} has no actions such as the environment's, {action_space}; "
            f"take one of {', '.join(able)}"
        )
