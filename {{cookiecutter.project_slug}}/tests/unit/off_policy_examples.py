"""Off-policy agents and small runs of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from gymnasium.spaces import Box, Discrete
from project import SOURCE, TINY

from repro.agents.ddpg import DDPG
from repro.agents.dqn import DQN
from repro.agents.transitions import Transitions
from repro.config import DDPGConfig, DQNConfig, load_config

VECTORS = Box(-1, 1, (3,))
REPLAY = {
    "rollout_steps": 32,
    "discount": 0.9,
    "buffer_size": 1000,
    "learning_starts": 256,
    "update_every": 8,
    "gradient_steps": 2,
    "batch_size": 8,
    "max_gradient_norm": 10.0,
}
DQN_SETTINGS = REPLAY | {
    "algorithm": "dqn",
    "learning_rate": 1e-3,
    "double": True,
    "target_update_steps": 3,
    "exploration_initial": 1.0,
    "exploration_final": 0.1,
    "exploration_steps": 1000,
}
DDPG_SETTINGS = REPLAY | {
    "algorithm": "ddpg",
    "learning_rate": 1e-3,
    "value_learning_rate": 2e-3,
    "target_rate": 0.1,
    "exploration_noise": 0.2,
}


def make_dqn(seed: int = 0, **settings: Any) -> DQN:
    torch.manual_seed(seed)
    config = DQNConfig(**DQN_SETTINGS | settings)
    return DQN(VECTORS, Discrete(4), config, torch.device("cpu"), torch.Generator().manual_seed(seed))


def make_ddpg(seed: int = 0, **settings: Any) -> DDPG:
    """Two actions, in [-1, 3] and [2, 10]."""
    torch.manual_seed(seed)
    config = DDPGConfig(**DDPG_SETTINGS | settings)
    space = Box(torch.tensor([-1.0, 2.0]).numpy(), torch.tensor([3.0, 10.0]).numpy())
    return DDPG(VECTORS, space, config, torch.device("cpu"), torch.Generator().manual_seed(seed))


def batch(actions: torch.Tensor, seed: int = 0) -> Transitions:
    """Random transitions with these actions; about half of them terminated."""
    generator = torch.Generator().manual_seed(seed)
    count = len(actions)
    return Transitions(
        observations=torch.rand((count, 3), generator=generator),
        actions=actions,
        rewards=torch.randn(count, generator=generator),
        next_observations=torch.rand((count, 3), generator=generator),
        terminated=torch.rand(count, generator=generator) < 0.5,
    )


def weights(network: torch.nn.Module) -> torch.Tensor:
    """All parameters in one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def write_params(path: Path, algorithm: str) -> None:
    """Parameters of a run of about a second."""
    values = load_config(SOURCE / "presets/moving-dot-small.yaml", TINY).model_dump(mode="json")
    values["agent"] = DQN_SETTINGS if algorithm == "dqn" else DDPG_SETTINGS
    values["env"] |= {"actions": "discrete" if algorithm == "dqn" else "continuous", "image_size": 36}
    values["training"]["total_steps"] = 2048
    path.write_text(json.dumps(values))  # JSON is YAML
