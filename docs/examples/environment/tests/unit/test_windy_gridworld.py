"""The windy gridworld: its best way, and that a saved one goes on as it would have."""

from __future__ import annotations

import numpy as np
from gymnasium.utils.env_checker import check_env
from project import SOURCE

from repro.config import load_config
from repro.envs import make_envs
from repro.envs.windy_gridworld import WindyGridworld

UP, RIGHT, DOWN, LEFT = range(4)
BEST = [RIGHT] * 9 + [DOWN] * 4 + [LEFT] * 2  # 15 steps
CONFIG = load_config(SOURCE / "presets/windy-gridworld.yaml").env


def test_it_is_an_environment_of_gymnasium():
    check_env(WindyGridworld(render_mode="rgb_array"))


def test_the_best_way_takes_15_steps():
    env = WindyGridworld()
    env.reset()
    outcomes = [env.step(action) for action in BEST]
    assert [terminated for _, _, terminated, _, _ in outcomes] == [False] * 14 + [True]
    assert sum(reward for _, reward, *_ in outcomes) == CONFIG.reference_return == -15


def test_without_wind_the_goal_is_seven_steps_away():
    env = WindyGridworld(windy=False)
    env.reset()
    assert [env.step(RIGHT)[2] for _ in range(7)] == [False] * 6 + [True]


def test_a_saved_one_goes_on_as_it_would_have():
    generator = np.random.default_rng(0)
    envs, copy = make_envs(CONFIG), make_envs(CONFIG)
    assert envs.can_save_state
    envs.reset(seed=1)
    for _ in range(300):
        envs.step(generator.integers(4, size=envs.num_envs))
    copy.reset(seed=2)
    copy.set_state(envs.get_state())
    for _ in range(300):
        actions = generator.integers(4, size=envs.num_envs)
        for one, other in zip(envs.step(actions)[:4], copy.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(one, other)
