"""Environments of Gymnasium that several test files make, and how they are played."""

import numpy as np

from repro.config import GymConfig
from repro.envs import make_envs, random_actions


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
