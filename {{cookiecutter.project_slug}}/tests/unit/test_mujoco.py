"""MuJoCo as Christiano et al. 2017 changed it: each change by what is paid and what ends."""

import numpy as np
import pytest
from gym_examples import gym_envs, play, some_actions
from gymnasium.utils.env_checker import check_env

from repro.envs.base import SingleEnv
from repro.envs.mujoco import TASKS

pytest.importorskip("mujoco")
pytestmark = pytest.mark.filterwarnings("ignore:.*spec.*|.*symmetric and normalized.*|.*probably too.*")


@pytest.mark.parametrize("name", TASKS)
def test_they_pass_the_environment_checker(name):
    check_env(SingleEnv(gym_envs(name, num_envs=1)))


@pytest.mark.parametrize("name", TASKS)
def test_nothing_but_time_ends_an_episode(name):
    envs = gym_envs(name, num_envs=2, fixed_horizon=True, max_steps=100)
    envs.reset(seed=0)
    usual = gym_envs(name, num_envs=2, max_steps=100)
    usual.reset(seed=0)
    actions = some_actions(envs, 100)
    *_, terminated, truncated = (np.stack(parts) for parts in zip(*play(envs, actions), strict=True))
    assert not terminated.any() and not truncated[:-1].any() and truncated[-1].all()
    ends = any(terminated.any() for _, _, terminated, _ in play(usual, actions))
    assert ends == (name not in ("Swimmer-v5", "HalfCheetah-v5", "Reacher-v5"))


@pytest.mark.parametrize(
    ("name", "healthy"),
    [
        ("Hopper-v5", 1),
        ("Walker2d-v5", 1),
        ("Ant-v5", 1),
        ("InvertedPendulum-v5", 1),
        ("InvertedDoublePendulum-v5", 10),
    ],
)
def test_the_penalty_for_what_would_end_it_is_the_reward_for_being_healthy(name, healthy):
    """Where the usual task ends, the fixed horizon pays so much less than a step before, and pays none of it later."""
    envs = gym_envs(name, num_envs=1, fixed_horizon=True, max_steps=200)
    envs.reset(seed=1)
    inner = envs.envs[0]
    paid = []
    for action in some_actions(envs, 200):
        *_, info = inner.step(action[0])
        paid.append(info["reward_survive"])
    assert set(paid) == {0, healthy} and paid[0] == healthy
    usual = gym_envs(name, num_envs=1, max_steps=200)
    usual.reset(seed=1)
    ended = [terminated[0] for _, _, terminated, _ in play(usual, some_actions(envs, paid.index(0) + 1))]
    assert ended == [False] * paid.index(0) + [True]


# "The OpenAI Gym continuous control tasks penalize large torques. Because torques are not directly visible to a human
# supervisor, [...] we removed them" (A.1). The cost of contact forces in Ant is none of torques, and stays.
NO_CONTROL_COST = {"ctrl_cost_weight": 0.0}
ROBOTS = ("Hopper-v5", "Walker2d-v5", "Swimmer-v5", "HalfCheetah-v5", "Ant-v5")
NO_TORQUE_PENALTY = dict.fromkeys(ROBOTS, NO_CONTROL_COST) | {"Reacher-v5": {"reward_control_weight": 0.0}}


@pytest.mark.parametrize("name", NO_TORQUE_PENALTY)
def test_without_the_penalty_on_torques_a_step_pays_what_it_paid_plus_the_penalty(name):
    usual = gym_envs(name, num_envs=1, fixed_horizon=True)
    free = gym_envs(name, num_envs=1, fixed_horizon=True, settings=NO_TORQUE_PENALTY[name])
    usual.reset(seed=2), free.reset(seed=2)
    for action in some_actions(usual, 20):
        seen, reward, _, _, info = usual.envs[0].step(action[0])
        other_seen, other_reward, *_ = free.envs[0].step(action[0])
        np.testing.assert_array_equal(seen, other_seen)
        assert info["reward_ctrl"] < 0
        assert other_reward == pytest.approx(reward - info["reward_ctrl"])


def test_the_pendulums_have_no_penalty_on_torques():
    for name in ("InvertedPendulum-v5", "InvertedDoublePendulum-v5"):
        envs = gym_envs(name, num_envs=1)
        envs.reset(seed=0)
        *_, info = envs.envs[0].step(np.ones(1))
        assert not [part for part in info if "ctrl" in part]


def test_a_short_horizon():
    envs = gym_envs("HalfCheetah-v5", num_envs=1, max_steps=15)
    envs.reset(seed=0)
    assert [truncated[0] for *_, truncated in play(envs, some_actions(envs, 15))] == [False] * 14 + [True]


def test_nothing_is_written_into_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gym_envs("HalfCheetah-v5", num_envs=1)  # of whose model the simulator complains
    assert not list(tmp_path.iterdir())
