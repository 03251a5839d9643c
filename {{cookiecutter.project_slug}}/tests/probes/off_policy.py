"""Off-policy agents on the probe environments, through the loop that all training uses; and probes with continuous
actions of which the best lies off the middle of their range."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
from environments import Probe
from gymnasium.spaces import Box

from repro.agents.ddpg import DDPG
from repro.agents.dqn import DQN
from repro.config import parse_config
from repro.preferences.store import PreferenceStore
from repro.reading import read_yaml
from repro.training import trainer as shared
from repro.training.off_policy import OffPolicyTrainer

PRESET = Path(__file__).parents[2] / "presets" / "moving-dot-true-reward.yaml"
REPLAY = {
    "rollout_steps": 16,
    "discount": 0.8,
    "buffer_size": 2000,
    "learning_starts": 64,
    "update_every": 1,
    "gradient_steps": 1,
    "batch_size": 64,
    "max_gradient_norm": 10.0,
}
AGENTS = {
    "dqn": {
        "learning_rate": 3e-3,
        "double": True,
        "target_update_steps": 20,
        "exploration_initial": 1.0,
        "exploration_final": 0.1,
        "exploration_steps": 2000,
    },
    "ddpg": {"learning_rate": 3e-4, "value_learning_rate": 1e-2, "target_rate": 0.02, "exploration_noise": 0.3},
}


class Continuous(Probe):
    """One action in [0, 4], of which 3 is paid 1 and every other one less."""

    action_space = Box(0, 4, (1,), np.float32)

    def pay(self, actions):
        return 1 - (actions[:, 0] - 3) ** 2


class ContinuousByObservation(Continuous):
    """1 is best after -1, and 3 after 1: does the policy depend on the observation?"""

    def observe(self):
        return self.coins()

    def pay(self, actions):
        return 1 - (actions[:, 0] - 2 - self.last) ** 2


class ContinuousLater(Continuous):
    """Two steps; the first action is observed in the second one, in which its distance from 3 is to be paid for."""

    steps = 2

    def reset(self, *, seed=None, options=None):
        self.first = np.zeros(self.num_envs)
        return super().reset()

    def observe(self):
        return np.where(self.time == 1, self.first / 4, -1)

    def pay(self, actions):
        paid = np.where(self.time == 1, 1 - (self.first - 3) ** 2, 0)
        self.first = actions[:, 0].astype(float)
        return paid


def train_agent(algorithm: str, probe: type[Probe], tmp_path: Path, seed: int, steps: int, **settings) -> DQN | DDPG:
    """An agent after so many steps of each of 8 environments."""
    values = read_yaml(PRESET)
    values["agent"] = {"algorithm": algorithm} | REPLAY | AGENTS[algorithm] | settings
    values["training"] |= {"total_steps": 8 * steps, "threads": 1, "precision": "float32"}
    envs = probe(seed, num_envs=8)
    envs.optimal_returns = lambda: np.ones(envs.num_envs)
    values["env"]["num_envs"] = envs.num_envs
    with (
        PreferenceStore(tmp_path / "preferences.db", "probe") as store,
        patch.object(shared, "make_envs", lambda _, render: envs),
    ):
        trainer = OffPolicyTrainer(parse_config(values), seed, "run", store)
        for _ in trainer.rows():
            pass
    return trainer.agent


def observed(*numbers: float) -> np.ndarray:
    """Observations (N, 1)."""
    return np.array(numbers, np.float32)[:, None]
