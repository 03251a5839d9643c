"""CartPole in native batches: the same as Gymnasium's single ones, and with a fixed horizon."""

import numpy as np
import pytest
from gym_examples import gym_config, gym_envs, play, some_actions
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

from repro.envs.cartpole import NativeCartPole
from repro.envs.gym import EnvLoop


def test_a_batch_equals_single_environments_from_the_same_starts():
    config = gym_config(num_envs=6, max_steps=40)
    envs, loop = NativeCartPole(config, 6), EnvLoop(config, 6)
    envs.reset(seed=0), loop.reset(seed=0)
    ended = 0
    for actions in some_actions(envs, 200):
        if (starting := envs.steps == 0).any():
            for index in np.flatnonzero(starting):
                loop.envs[index].unwrapped.state = envs.state[:, index].copy()
        native, single = envs.step(actions), loop.step(actions)
        again = (envs.steps == 0)[:, None]  # both were reset, each to a start of its own
        np.testing.assert_allclose(np.where(again, 0, native[0]), np.where(again, 0, single[0]), atol=1e-5)
        for one, other in zip(native[1:4], single[1:4], strict=True):
            np.testing.assert_array_equal(one, other)
        ended += (native[2] | native[3]).sum()
    assert ended > 30


@pytest.mark.parametrize("settings", [{}, {"sutton_barto_reward": True}], ids=["usual", "sutton-barto"])
def test_it_is_gymnasium_s_batch_bit_for_bit(settings):
    ours, theirs = gym_envs(num_envs=7, max_steps=30, settings=settings), CartPoleVectorEnv(7, 30, **settings)
    np.testing.assert_array_equal(ours.reset(seed=1)[0], theirs.reset(seed=1)[0])
    ended = np.zeros(2, int)
    for actions in some_actions(ours, 1000):
        mine, other = ours.step(actions), theirs.step(actions)
        for one, expected in zip(mine[:4], other[:4], strict=True):
            assert one.dtype == expected.dtype
            np.testing.assert_array_equal(one, expected)
        np.testing.assert_array_equal(ours.state, theirs.state)
        ended += mine[2].sum(), mine[3].sum()
    assert (ended > 20).all()


def test_truncation_is_not_termination():
    envs = gym_envs(num_envs=8, max_steps=12)
    envs.reset(seed=0)
    alternate = [np.full(8, step % 2) for step in range(12)]
    *before, last = play(envs, alternate)  # which keeps poles up for so long
    assert not any((terminated | truncated).any() for *_, terminated, truncated in before)
    assert last[3].all() and not last[2].any()


class TestFixedHorizon:
    def test_only_time_ends_an_episode(self):
        envs = gym_envs(fixed_horizon=True, max_steps=60)
        envs.reset(seed=0)
        for step, (_, _, terminated, truncated) in enumerate(play(envs, some_actions(envs, 61 * 3)), start=1):
            assert not terminated.any()
            assert truncated.all() == truncated.any() == (step % 61 == 60)

    def test_it_pays_one_where_the_pole_is_up_and_the_cart_on_the_track_else_nothing(self):
        """What is paid can be told from the observation, whatever happened before."""
        envs = gym_envs(num_envs=16, fixed_horizon=True, max_steps=300)
        envs.reset(seed=0)
        limits, paid = (2.4, 12 * 2 * np.pi / 360), []
        for observations, rewards, _, _ in play(envs, some_actions(envs, 300)):
            inside = (np.abs(observations[:, [0, 2]]) <= limits).all(axis=1)
            np.testing.assert_array_equal(rewards, inside)
            paid.append(rewards)
        assert 0.02 < np.mean(paid) < 0.9
        assert (np.diff(np.stack(paid), axis=0) == 1).any()  # a pole can be brought up again

    def test_it_stays_within_the_bounds_of_what_is_observed(self):
        for action in (0, 1):
            envs = gym_envs(fixed_horizon=True, max_steps=400)
            envs.reset(seed=0)
            outcomes = play(envs, [np.full(4, action)] * 399)
            assert all(envs.observation_space.contains(observations) for observations, *_ in outcomes)
            position, velocity, angle, angular_velocity = outcomes[-1][0].T
            direction = 1 if action else -1
            np.testing.assert_allclose(position, direction * 4.8, rtol=1e-6)
            np.testing.assert_allclose(angle, -direction * 24 * 2 * np.pi / 360, rtol=1e-6)
            assert np.abs(velocity).max() == np.abs(angular_velocity).max() == 0

    def test_while_nothing_falls_it_is_the_usual_cart_pole(self):
        fixed, usual = gym_envs(fixed_horizon=True), gym_envs()
        fixed.reset(seed=3), usual.reset(seed=3)
        actions = [np.full(4, step % 2) for step in range(12)]
        for one, other in zip(play(fixed, actions), play(usual, actions), strict=True):
            for left, right in zip(one, other, strict=True):
                np.testing.assert_array_equal(left, right)
