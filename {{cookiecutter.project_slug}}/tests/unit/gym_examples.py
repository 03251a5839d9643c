"""Environments of Gymnasium that several test files make, and how they are played."""

from pathlib import Path

import numpy as np

from repro.config import Config, GymConfig, parse_config
from repro.envs import make_envs, random_actions
from repro.reading import read_yaml

PRESET = Path(__file__).parents[2] / "presets" / "moving-dot.yaml"
TINY: dict[str, dict] = {
    "agent": {"rollout_steps": 32, "minibatches": 2},
    "preferences": {"segment_steps": 8, "initial_labels": 16, "total_labels": 24},
    "reward_model": {"network": "mlp", "pretraining_steps": 4, "steps_per_rollout": 2, "batch_size": 4},
    "training": {"total_steps": 1024, "precision": "float32", "checkpoint_rollouts": 2},
    "evaluation": {"episodes": 4},
}


def gym_config(name="CartPole-v1", **changes):
    values = {
        "id": name,
        "num_envs": 4,
        "max_steps": 50,
        "settings": {},
        "fixed_horizon": False,
        "normalise_observations": False,
        "random_return": 0.0,
        "reference_return": 500.0,
    }
    return GymConfig(**(values | changes))


def gym_envs(name="CartPole-v1", **changes):
    return make_envs(gym_config(name, **changes))


def some_actions(envs, steps, seed=0):
    """Random actions (steps, num_envs, ...)."""
    generator = np.random.default_rng(seed)
    return [random_actions(envs, generator) for _ in range(steps)]


def play(envs, actions):
    """What each of the steps answered: observations, rewards, terminated, truncated."""
    return [envs.step(one)[:4] for one in actions]


def assert_same(first, second):
    """Two plays are the same, bit for bit."""
    for one, other in zip(first, second, strict=True):
        for left, right in zip(one, other, strict=True):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)


def gym_parameters(env: GymConfig, source: str = "environment", **changes) -> Config:
    """Parameters of a run of about a second in `env`; `changes` are sections, of which some fields are replaced."""
    values = read_yaml(PRESET) | {"env": env.model_dump(), "reward": {"source": source}}
    for sections in (TINY, changes):
        for name, fields in sections.items():
            values[name] = values[name] | fields
    return parse_config(values)
