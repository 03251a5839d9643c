"""Moving dots that the tests of the environment share."""

import numpy as np

from repro.config import MovingDotConfig
from repro.envs.moving_dot import MovingDotVectorEnv

WIDTH, HEIGHT = 160, 210


def dot_config(num_envs=4, **settings):
    frames = {"image_size": 36, "frame_stack": 4, "frame_skip": 4, "max_frames": 1000}
    values = {"id": "moving-dot", "num_envs": num_envs, "actions": "discrete", "target": (0.5, 0.5)} | frames | settings
    return MovingDotConfig(**values | {"target": list(values["target"])})


def small_envs(num_envs=4, **settings):
    return MovingDotVectorEnv(dot_config(num_envs, **settings), num_envs)


def positions_of(envs):
    return envs.get_state()["positions"]


def place(envs, positions):
    """Move the dots; the images follow with the next step."""
    state = envs.get_state()
    positions = np.array(positions, state["positions"].dtype)
    envs.set_state(state | {"positions": positions, "starts": positions})


def assert_same_steps(first, second):
    for one, other in zip(first[:4], second[:4], strict=True):
        np.testing.assert_array_equal(one, other)


class Distorted(MovingDotVectorEnv):
    """The dot with other rewards; or with the end of episodes called terminations."""

    negated = terminating = False

    def step(self, actions):
        observations, rewards, terminated, truncated, info = super().step(actions)
        if self.negated:
            rewards = 3.0 - 100 * rewards
        if self.terminating:
            terminated, truncated = truncated, terminated
        return observations, rewards, terminated, truncated, info
