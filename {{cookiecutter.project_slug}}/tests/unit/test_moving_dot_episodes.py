"""Episodes of the moving dot: starts, ends, resets, saved states, and Gymnasium's own checks."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from dot_examples import HEIGHT, WIDTH, assert_same_steps, positions_of, small_envs
from gymnasium.utils.env_checker import check_env

from repro.config import load_config
from repro.envs import make_envs
from repro.envs.base import SingleEnv


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_it_passes_the_environment_checker(actions):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*spec.*|.*Not able to test.*")  # it is not registered
        check_env(SingleEnv(small_envs(1, actions=actions), render_mode="rgb_array"))


def test_a_stack_is_the_one_before_moved_on_by_one_image():
    envs = small_envs(8, frame_stack=3)
    before, _ = envs.reset(seed=1)
    assert (before == before[:, :1]).all()
    for _ in range(20):
        after = envs.step(np.full(8, 1))[0]
        np.testing.assert_array_equal(after[:, :-1], before[:, 1:])
        before = after


def test_episodes_are_cut_after_their_frames_and_the_next_step_only_resets():
    envs = small_envs(max_frames=40)  # 10 steps, and one to reset
    observations, _ = envs.reset(seed=0)
    for step in range(1, 45):
        before, positions = observations, positions_of(envs)
        observations, rewards, terminated, truncated, _ = envs.step(np.full(4, step % 5))
        assert not terminated.any()
        assert truncated.all() == truncated.any() == (step % 11 == 10)
        if step % 11 == 0:
            assert (rewards == 0).all()
            assert (positions != positions_of(envs)).any(axis=1).all()
            assert (observations == observations[:, :1]).all()
        else:  # the last observation of an episode is its own
            np.testing.assert_array_equal(observations[:, :-1], before[:, 1:])
            assert np.abs(positions - positions_of(envs)).max() <= 4


def test_the_action_of_a_reset_step_is_ignored():
    envs, other = small_envs(max_frames=8), small_envs(max_frames=8)
    for one in (envs, other):
        one.reset(seed=5)
        for _ in range(2):
            one.step(np.full(4, 2))
    assert_same_steps(envs.step(np.full(4, 1)), other.step(np.full(4, 4)))
    assert (envs.step(np.full(4, 1))[0] != other.step(np.full(4, 4))[0]).any()


def test_a_reset_after_the_end_of_an_episode_starts_it_for_good():
    envs = small_envs(max_frames=8)
    first, _ = envs.reset(seed=5)
    second = envs.step(np.full(4, 1))
    envs.step(np.full(4, 1))  # ends all episodes
    again, _ = envs.reset(seed=5)
    np.testing.assert_array_equal(first, again)
    assert_same_steps(second, envs.step(np.full(4, 1)))


def start_sequence(seed, num_envs=16, episodes=3):
    envs = small_envs(num_envs, max_frames=4, frame_stack=1)
    envs.reset(seed=seed)
    starts = [positions_of(envs)]
    for _ in range(episodes - 1):
        for _ in range(2):
            envs.step(np.zeros(num_envs, int))
        starts.append(positions_of(envs))
    return [tuple(map(tuple, sequence)) for sequence in np.stack(starts, axis=1).tolist()]


def test_starts_depend_on_the_seed_and_the_index_alone():
    assert start_sequence(100) == start_sequence(100)
    assert start_sequence(100)[:3] == start_sequence(100, num_envs=3)
    assert len({*start_sequence(100), *start_sequence(101)}) == 32  # nor do two environments share one
    assert all(len(set(sequence)) == 3 for sequence in start_sequence(100))


def test_starts_are_anywhere_on_the_screen_equally_often():
    envs = small_envs(4000, frame_stack=1)
    envs.reset(seed=0)
    for axis, size in enumerate((WIDTH, HEIGHT)):
        starts = positions_of(envs)[:, axis]
        assert (starts.min(), starts.max()) == (2, size - 2)
        counts, _ = np.histogram(starts, bins=8, range=(2, size - 1))
        assert np.abs(counts - 500).max() < 5 * math.sqrt(500)


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_it_continues_exactly_from_a_saved_state(actions):
    envs = small_envs(actions=actions, max_frames=48)
    generator = np.random.default_rng(6)

    def play(envs, chosen):
        return [envs.step(actions) for actions in chosen]

    shape = (30, 4) if actions == "discrete" else (30, 4, 2)
    chosen = generator.integers(0, 5, shape) if actions == "discrete" else generator.uniform(-1, 1, shape)
    envs.reset(seed=7)
    play(envs, chosen[:12])  # saved where a reset is next
    state = envs.get_state()
    expected = play(envs, chosen)
    resumed = small_envs(actions=actions, max_frames=48)
    resumed.set_state(state)
    for one, other in zip(expected, play(resumed, chosen), strict=True):
        assert_same_steps(one, other)
    np.testing.assert_array_equal(envs.optimal_returns(), resumed.optimal_returns())
    resumed.set_state(state)  # neither of the two has changed it
    assert_same_steps(expected[0], resumed.step(chosen[0]))


def test_what_it_returns_is_not_its_own_memory():
    envs, other = small_envs(max_frames=20), small_envs(max_frames=20)
    for one in (envs, other):
        one.reset(seed=8)
    for step in range(14):
        actions = np.full(4, step % 5)
        outcome, expected = envs.step(actions), other.step(actions)
        assert_same_steps(outcome, expected)
        outcome[0][:] = 77
        outcome[1][:] = 77
        outcome[2][:] = True
        outcome[3][:] = ~outcome[3]


def test_a_batch_equals_single_environments():
    envs = small_envs(5, max_frames=24)
    envs.reset(seed=9)
    state = envs.get_state()
    singles = [small_envs(1, max_frames=24) for _ in range(5)]
    for index, single in enumerate(singles):
        single.set_state({name: value[index : index + 1] for name, value in state.items()})
    generator = np.random.default_rng(10)
    for _ in range(20):
        actions = generator.integers(0, 5, 5)
        batch = envs.step(actions)
        separate = [single.step(actions[index : index + 1]) for index, single in enumerate(singles)]
        assert_same_steps(batch, [np.concatenate(parts) for parts in zip(*(one[:4] for one in separate), strict=True)])


def test_the_single_environment_plays_episode_after_episode():
    env = SingleEnv(small_envs(1, max_frames=8))
    first, _ = env.reset(seed=11)
    for _ in range(3):
        assert [env.step(1)[2:4] for _ in range(2)] == [(False, False), (False, True)]
        following, _ = env.reset()
        assert (following != first).any()
    again, _ = env.reset(seed=11)
    np.testing.assert_array_equal(first, again)


def test_it_is_made_as_configured():
    config = load_config(Path(__file__).parents[2] / "presets" / "moving-dot.yaml", ["env.frame_stack=2"]).env
    envs = make_envs(config)
    assert envs.reset(seed=0)[0].shape == (16, 2, 84, 84) == envs.observation_space.shape
    assert make_envs(config, num_envs=3).reset(seed=0)[0].shape == (3, 2, 84, 84)
    assert envs.observation_space.contains(envs.reset(seed=0)[0])
    for _ in range(250):
        truncated = envs.step(envs.action_space.sample())[3]
    assert truncated.all()
