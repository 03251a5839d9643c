"""Environments of Gymnasium: what agents see of them, how episodes end, and mistakes in one line."""

import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gym_examples import gym_config, gym_envs, play, some_actions
from gymnasium.spaces import Box, Discrete
from gymnasium.utils.env_checker import check_env

from repro.envs import describe_environment, make_envs
from repro.envs.base import SingleEnv
from repro.reading import UserError


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "Pendulum-v1", "FrozenLake-v1", "MountainCar-v0"])
def test_they_pass_the_environment_checker(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*spec.*|.*symmetric and normalized.*|.*probably too.*")
        check_env(SingleEnv(gym_envs(name, num_envs=1)))


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "FrozenLake-v1", "Pendulum-v1"])
def test_spaces_hold_what_is_observed(name):
    envs = gym_envs(name)
    observations, _ = envs.reset(seed=0)
    assert observations.dtype == np.float32 == envs.single_observation_space.dtype
    assert envs.observation_space.contains(observations)
    for observations, rewards, terminated, truncated in play(envs, some_actions(envs, 20)):
        assert envs.observation_space.contains(observations)
        assert rewards.shape == terminated.shape == truncated.shape == (4,)
        assert terminated.dtype == truncated.dtype == bool


def test_discrete_observations_become_one_hot_vectors():
    envs = gym_envs("FrozenLake-v1", settings={"is_slippery": False})
    assert envs.single_observation_space == Box(0, 1, (16,), np.float32)
    assert envs.reset(seed=0)[0].argmax(1).tolist() == [0, 0, 0, 0]
    right, down = np.full(4, 2), np.full(4, 1)
    squares = [envs.step(action)[0].argmax(1)[0] for action in (right, right, down, down, down)]
    assert squares == [1, 2, 6, 10, 14]
    observations, rewards, terminated, _, _ = envs.step(right)
    np.testing.assert_array_equal(observations, np.eye(16, dtype=np.float32)[[15] * 4])
    assert (rewards == 1).all() and terminated.all()


def test_settings_reach_the_environment():
    assert gym_envs("FrozenLake-v1", settings={"map_name": "8x8"}).single_observation_space.shape == (64,)
    assert (gym_envs(settings={"sutton_barto_reward": True}).reset(seed=0)[0] != 0).any()


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_after_the_end_of_an_episode_a_step_only_resets(name):
    """Its reward is 0, its action is ignored, it ends nothing, and it shows a start."""
    envs, other = gym_envs(name, max_steps=7), gym_envs(name, max_steps=7)
    envs.reset(seed=1), other.reset(seed=1)
    resets, done, length = 0, np.zeros(4, bool), np.zeros(4, int)
    for actions, ignored in zip(some_actions(envs, 60), some_actions(envs, 60, seed=1), strict=True):
        mask = done if actions.ndim == 1 else done[:, None]
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        np.testing.assert_array_equal(observations, other.step(np.where(mask, ignored, actions))[0])
        assert not rewards[done].any() and not (terminated | truncated)[done].any()
        length = np.where(done, 0, length + 1)
        np.testing.assert_array_equal(truncated, length == 7)
        resets += done.sum()
        done = terminated | truncated
    assert resets >= 4 * 7


def test_a_time_limit_replaces_that_of_gymnasium():
    for limit, name in ((30, "Acrobot-v1"), (700, "Acrobot-v1"), (30, "Pendulum-v1"), (300, "Pendulum-v1")):
        envs = gym_envs(name, num_envs=1, max_steps=limit)
        envs.reset(seed=0)
        neutral = np.ones(1, int) if isinstance(envs.single_action_space, Discrete) else np.zeros((1, 1))
        ends = [truncated[0] for _, _, _, truncated in play(envs, [neutral] * limit)]
        assert ends.index(True) == limit - 1


def test_what_it_returns_is_not_its_own_memory():
    for name in ("CartPole-v1", "Acrobot-v1", "FrozenLake-v1"):
        envs, other = gym_envs(name, max_steps=6), gym_envs(name, max_steps=6)
        for one in (envs, other):
            one.reset(seed=8)
        for actions in some_actions(envs, 20):
            outcome, expected = envs.step(actions), other.step(actions)
            for changed, kept in zip(outcome[:4], expected[:4], strict=True):
                np.testing.assert_array_equal(changed, kept)
                changed[:] = 1


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1"])
def test_starts_depend_on_the_seed_alone(name):
    def starts(seed):
        envs = gym_envs(name, max_steps=2)
        return [envs.reset(seed=seed)[0], *(one[0] for one in play(envs, [np.zeros(4, int)] * 9))]

    first, second, other = np.stack(starts(5)), np.stack(starts(5)), np.stack(starts(6))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any(axis=(0, 2)).all()
    assert len(np.unique(first[0], axis=0)) == 4


def test_continuous_actions_are_clipped_to_their_bounds():
    """HalfCheetah's control cost, for one, would grow with what the motors cannot do."""

    class Payer(gymnasium.Env):
        observation_space, action_space = Box(-1, 1, (1,)), Box(np.float32([-1, 0]), np.float32([2, 1]))

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(1, np.float32), {}

        def step(self, action):
            return np.zeros(1, np.float32), float(action.sum()), False, False, {}

    gymnasium.register("Payer-v0", Payer)
    try:
        envs = gym_envs("Payer-v0", num_envs=3)
    finally:
        gymnasium.registry.pop("Payer-v0")
    envs.reset(seed=0)
    rewards = envs.step(np.float32([[-5, -5], [9, 9], [0.5, 0.25]]))[1]
    assert rewards.tolist() == [-1, 3, 0.75]
    assert not envs.can_save_state


def test_the_parameters_say_what_returns_score():
    envs = gym_envs("Acrobot-v1", random_return=-499.5, reference_return=-70)
    assert envs.random_returns().tolist() == [-499.5] * 4 and envs.optimal_returns().tolist() == [-70] * 4


def test_descriptions_tell_apart_what_cannot_be_compared():
    variants = [
        gym_config(),
        gym_config(fixed_horizon=True),
        gym_config(max_steps=51),
        gym_config("FrozenLake-v1"),
        gym_config("FrozenLake-v1", settings={"is_slippery": False}),
    ]
    assert len({describe_environment(one) for one in variants}) == 5
    assert describe_environment(gym_config(num_envs=9, reference_return=1.0)) == describe_environment(gym_config())


def test_an_environment_of_another_package_is_there_once_that_is_imported(tmp_path, monkeypatch):
    """And one that needs what is not installed says what."""
    entry = "gymnasium.envs.classic_control.pendulum:PendulumEnv"
    register = f"import gymnasium\ngymnasium.register('mine/Swing-v3', entry_point='{entry}')\n"
    (tmp_path / "my_tasks.py").write_text(register)
    (tmp_path / "needy_tasks.py").write_text("import not_there_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    envs = gym_envs("my_tasks:mine/Swing-v3")
    observations, _ = envs.reset(seed=0)
    np.testing.assert_array_equal(observations, gym_envs("Pendulum-v1").reset(seed=0)[0])
    with pytest.raises(UserError, match="needs the package not_there_at_all, which is not installed"):
        gym_envs("needy_tasks:mine/Swing-v4")
    del gymnasium.registry["mine/Swing-v3"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "CartPol-v1"}, "env.id: CartPol-v1 is no environment that Gymnasium knows; did you mean CartPole-v1"),
        (
            {"name": "cartpole-v9"},
            "env.id: cartpole-v9 is no environment that Gymnasium knows; did you mean CartPole-v1",
        ),
        ({"name": "Foo-v1"}, "env.id: Foo-v1 is no environment that Gymnasium knows; it lists them with: python -c"),
        ({"name": "no_module:Foo-v1"}, "env.id: no_module:Foo-v1 needs the package no_module, which is not installed"),
        ({"name": "..x:Foo-v1"}, "env.id: ..x:Foo-v1 needs the package ..x, which is not installed"),
        ({"name": "json:CartPol-v1"}, "env.id: json:CartPol-v1 is no environment that Gymnasium knows; did you"),
        ({"name": "Blackjack-v1"}, "env.id: Blackjack-v1 has observations Tuple(Discrete(32), Discrete(11)"),
        ({"settings": {"gravity": 1}}, "env.settings: CartPole-v1 cannot be made with {'gravity': 1}"),
        ({"name": "FrozenLake-v1", "settings": {"map_name": "9"}}, "env.settings: FrozenLake-v1 cannot be made with"),
        ({"name": "FrozenLake-v1", "fixed_horizon": True}, "env.fixed_horizon: FrozenLake-v1 cannot go on after its"),
        (
            {"fixed_horizon": True, "settings": {"sutton_barto_reward": True}},
            "env.settings: sutton_barto_reward cannot go with fixed_horizon",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_is_named_in_one_line(changes, message):
    with pytest.raises(UserError) as caught:
        gym_envs(**changes)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_missing_extra_is_named_with_what_to_type(monkeypatch):
    for module in [name for name in sys.modules if name.startswith(("mujoco", "gymnasium.envs.mujoco"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "mujoco", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"^env.id: Hopper-v5 needs mujoco, which is not installed; type: pip install"):
        make_envs(gym_config("Hopper-v5"))
