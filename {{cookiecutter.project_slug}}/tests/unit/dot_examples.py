"""Moving dots that the tests of the environment share."""

import numpy as np

from repro.envs.moving_dot import MovingDotVectorEnv

WIDTH, HEIGHT = 160, 210


def small_envs(num_envs=4, **settings):
    return MovingDotVectorEnv(num_envs, **{"image_size": 36, **settings})


def positions_of(envs):
    return np.array(envs.get_state()["positions"])


def place(envs, positions):
    """Move the dots; the images follow with the next step."""
    positions = np.asarray(positions).tolist()
    envs.set_state(envs.get_state() | {"positions": positions, "starts": positions})


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
