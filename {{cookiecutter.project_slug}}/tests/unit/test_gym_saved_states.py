"""Saved states of Gymnasium's environments: going on from one is bit for bit the same as not having stopped."""

import numpy as np
import pytest
from gym_examples import assert_same, gym_config, gym_envs, play, some_actions
from gymnasium.envs.classic_control.acrobot import AcrobotEnv

from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.envs import saved_states
from repro.envs.gym import EnvLoop

PLAIN = [
    "CartPole-v1",
    "Acrobot-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
    "FrozenLake-v1",
    "CliffWalking-v1",
]
MUJOCO = [
    "InvertedPendulum-v5",
    "InvertedDoublePendulum-v5",
    "HalfCheetah-v5",
    "Hopper-v5",
    "Walker2d-v5",
    "Ant-v5",
    "Swimmer-v5",
    "Reacher-v5",
    "Pusher-v5",
    "Humanoid-v5",
]


def check_resumes(envs, resumed, path):
    """Save where an environment is to be reset next, and go on from the file."""
    actions = some_actions(envs, 100)
    envs.reset(seed=3)
    done = np.zeros(1)
    while not done.any():
        _, _, terminated, truncated, _ = envs.step(actions[0])
        done = terminated | truncated
    save_checkpoint(path, envs.get_state())
    expected = play(envs, actions)
    for _ in range(2):  # nothing of the first continuation is left in the second
        resumed.set_state(load_checkpoint(path))
        assert_same(expected, play(resumed, actions))


@pytest.mark.parametrize("name", PLAIN)
def test_it_continues_exactly_from_a_saved_state(name, tmp_path):
    envs, resumed = (gym_envs(name, max_steps=20, settings={}) for _ in range(2))
    assert envs.can_save_state
    check_resumes(envs, resumed, tmp_path / "state.pt")


def test_a_fixed_horizon_too(tmp_path):
    check_resumes(*(gym_envs(max_steps=20, fixed_horizon=True) for _ in range(2)), tmp_path / "state.pt")


@pytest.mark.parametrize("name", MUJOCO)
def test_mujoco_too(name, tmp_path):
    pytest.importorskip("mujoco")
    envs, resumed = (gym_envs(name, num_envs=2, max_steps=20) for _ in range(2))
    check_resumes(envs, resumed, tmp_path / "state.pt")


def test_what_is_derived_is_part_of_the_state(monkeypatch):
    """Ant's speed is the difference of two derived positions: the test above would notice if one were left out."""
    pytest.importorskip("mujoco")
    monkeypatch.setattr(saved_states, "MUJOCO_DERIVED", ())
    envs, resumed = (gym_envs("Ant-v5", num_envs=1) for _ in range(2))
    actions = some_actions(envs, 6)
    envs.reset(seed=3)
    play(envs, actions[:5])
    resumed.set_state(envs.get_state())
    assert envs.step(actions[5])[1] != resumed.step(actions[5])[1]


def test_a_class_that_we_do_not_know_cannot_be_saved(monkeypatch):
    monkeypatch.delitem(saved_states.KNOWN, AcrobotEnv)
    envs = EnvLoop(gym_config("Acrobot-v1"), 2)
    assert not envs.can_save_state
    with pytest.raises(KeyError):
        envs.get_state()


def test_a_saved_state_is_not_the_memory_of_the_environments():
    envs = gym_envs("Pendulum-v1")
    envs.reset(seed=0)
    state = envs.get_state()
    before = [np.array(one["state"]) for one in state["envs"]]
    play(envs, some_actions(envs, 5))
    assert state["steps"].tolist() == [0] * 4
    np.testing.assert_array_equal(before, [one["state"] for one in state["envs"]])
