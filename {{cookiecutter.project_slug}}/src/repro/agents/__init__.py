"""Agents: `make_agent` builds the one that a configuration asks for."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.agents.ppo import PPO
from repro.agents.rollout import Rollout
from repro.config import AgentConfig, UserError


class OnPolicyAgent(Protocol):
    """What learns from whole rollouts of its own."""

    network: nn.Module

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


def _sb3_ppo(*arguments: Any) -> OnPolicyAgent:
    """Stable-Baselines3's PPO. Raises UserError if it is not installed."""
    try:
        from repro.agents.sb3 import SB3PPO
    except ModuleNotFoundError as error:
        if error.name != "stable_baselines3":
            raise
        raise UserError(
            "agent.algorithm: sb3-ppo needs stable-baselines3, which is not installed; type: pip install '.[baseline]'"
        ) from None
    return SB3PPO(*arguments)


ON_POLICY: dict[str, Any] = {"ppo": PPO, "sb3-ppo": _sb3_ppo}


def make_agent(
    observation_space: Box,
    action_space: Discrete | Box,
    config: AgentConfig,
    device: torch.device,
    generator: torch.Generator,
    precision: str = "float32",
) -> OnPolicyAgent:
    """The agent of `config`. Raises UserError if it has no such actions."""
    if config.algorithm not in ON_POLICY:
        raise UserError(f"agent.algorithm: {config.algorithm} is not there yet; take one of {', '.join(ON_POLICY)}")
    agent: OnPolicyAgent = ON_POLICY[config.algorithm](
        observation_space, action_space, config, device, generator, precision
    )
    return agent
