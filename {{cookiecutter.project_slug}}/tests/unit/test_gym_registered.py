"""Environments that users register: variants in wrappers, some that cannot be drawn, one of a single action."""

import gymnasium
import numpy as np
import pytest
from gym_examples import gym_config, gym_envs, gym_parameters, play, some_actions
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.envs.registration import WrapperSpec
from gymnasium.spaces import Box, Discrete

from repro.envs import make_envs
from repro.envs.redrawing import Redrawing
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.training import make_trainer

NAME = "registered/Variant-v1"
CARTPOLE = "gymnasium.envs.classic_control.cartpole:CartPoleEnv"
ACROBOT = "gymnasium.envs.classic_control.acrobot:AcrobotEnv"
STICKY = WrapperSpec("StickyAction", "gymnasium.wrappers:StickyAction", {"repeat_action_probability": 0.9})


class Undrawn(PendulumEnv):
    """The least that an environment has: nothing about pictures."""

    metadata = {"render_modes": []}

    def __init__(self):
        super().__init__()


class OneAction(gymnasium.Env):
    """Pays 1 for the only thing that can be done, as probe environments do."""

    observation_space, action_space = Box(-1, 1, (1,), np.float32), Discrete(1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, True, False, {}


@pytest.fixture
def register():
    yield lambda entry, *wrappers: gymnasium.register(NAME, entry, additional_wrappers=wrappers)
    del gymnasium.registry[NAME]


def test_a_variant_of_cartpole_is_not_taken_for_cartpole(register):
    register(CARTPOLE, STICKY)
    variant, plain = (gym_envs(name, num_envs=1) for name in (NAME, "CartPole-v1"))
    variant.reset(seed=0)
    pushes = np.array([observed[0, 1] for observed, *_ in play(variant, [np.array([0]), np.array([1])] * 4)])
    assert type(variant) is not type(plain)
    assert (np.diff(np.sign(np.diff(pushes))) == 0).sum() >= 3  # the cart is pushed the same way again and again


def test_wrappers_may_have_a_state_that_is_not_saved(register):
    assert gym_envs("Acrobot-v1").can_save_state
    register(ACROBOT, STICKY)
    assert not gym_envs(NAME).can_save_state


def test_wrappers_may_change_what_is_observed(register):
    register(ACROBOT, STICKY)
    with pytest.raises(UserError, match=f"env.id: {NAME} cannot be drawn from its observations"):
        Redrawing(gym_config(NAME))


def test_one_that_says_nothing_about_pictures_trains_without_them(register):
    register(Undrawn)
    envs = gym_envs(NAME)
    assert envs.metadata["render_fps"] == 15
    envs.reset(seed=0)
    play(envs, some_actions(envs, 3))
    with pytest.raises(UserError, match=f"env.id: {NAME} cannot be drawn: it takes no render_mode; .*video_rollouts=0"):
        make_envs(gym_config(NAME), render=True)
    with pytest.raises(UserError, match="takes no render_mode"):
        Redrawing(gym_config(NAME))


def test_where_there_is_one_action_entropy_is_a_share_of_nothing(register, tmp_path):
    register(OneAction)
    config = gym_parameters(gym_config(NAME), training={"total_steps": 128, "device": "cpu", "threads": 1})
    with PreferenceStore(tmp_path / "preferences.db", NAME) as store:
        (row,) = make_trainer(config, 0, "run", store).rows()
    assert row["policy/entropy"] == 0 and "policy/entropy_share" not in row
    assert row["return/mean"] == 1
