"""The moving dot against brute force: frame-by-frame rewards, resized screens, best reachable positions."""

import itertools
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from repro.config import load_config
from repro.envs import make_envs
from repro.envs.moving_dot import MovingDotEnv, MovingDotVectorEnv

WIDTH, HEIGHT = 160, 210
CENTRE = (80, 105)
MOVES = {0: (0, 0), 1: (0, 1), 2: (1, 0), 3: (0, -1), 4: (-1, 0)}  # no-op, down, right, up, left
CORNERS_AND_CENTRE = [(2, 2), (158, 2), (2, 208), (158, 208), CENTRE, (81, 105), (80, 103), (77, 106)]


def small_envs(num_envs=4, **settings):
    return MovingDotVectorEnv(num_envs, **{"image_size": 36, **settings})


def positions_of(envs):
    return np.array(envs.get_state()["positions"])


def place(envs, positions):
    """Move the dots; the images follow with the next step."""
    positions = np.asarray(positions).tolist()
    envs.set_state(envs.get_state() | {"positions": positions, "starts": positions})


def move_frame_by_frame(position, move, frames):
    """Frames of one pixel at most; returns the position, and how often the dot came closer less how often farther."""
    position, reward = list(position), 0
    for _ in range(frames):
        before = math.dist(position, CENTRE)
        for axis, size in enumerate((WIDTH, HEIGHT)):
            position[axis] = min(max(position[axis] + move[axis], 2), size - 2)
        after = math.dist(position, CENTRE)
        reward += (after < before) - (after > before)
    return tuple(position), reward


def resize_by_area(screen, size):
    """Each pixel is enlarged `size` times, so that the new pixels are averages of whole blocks."""
    shares = [np.repeat(np.eye(side), size, axis=1).reshape(side, size, side).mean(2) for side in screen.shape]
    return shares[0].T @ screen @ shares[1]


def assert_same_steps(first, second):
    for one, other in zip(first[:4], second[:4], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_it_passes_the_environment_checker(actions):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*spec.*|.*Not able to test.*")  # it is not registered
        check_env(MovingDotEnv(render_mode="rgb_array", actions=actions, image_size=36))


@pytest.mark.parametrize("frame_skip", [1, 4, 7])
def test_rewards_equal_the_frame_by_frame_rule_at_walls_and_across_the_centre_too(frame_skip):
    generator = np.random.default_rng(0)
    starts = [*itertools.product([2, 4, 40, 79, 80, 82, 155, 158], [2, 5, 60, 104, 105, 108, 206, 208])]
    envs = small_envs(len(starts), frame_skip=frame_skip, max_frames=1000 * frame_skip)
    envs.reset(seed=0)
    place(envs, starts)
    positions = starts
    for _ in range(25):
        actions = generator.integers(0, 5, len(starts))
        _, rewards, *_ = envs.step(actions)
        moved = [move_frame_by_frame(p, MOVES[a], frame_skip) for p, a in zip(positions, actions.tolist(), strict=True)]
        positions, expected = zip(*moved, strict=True)
        np.testing.assert_array_equal(rewards, expected)
        np.testing.assert_array_equal(positions_of(envs), positions)


def test_continuous_actions_move_up_to_a_pixel_a_frame_and_are_paid_for_the_distance():
    generator = np.random.default_rng(1)
    starts = [*CORNERS_AND_CENTRE, *generator.uniform((2, 2), (158, 208), (24, 2))]
    envs = small_envs(len(starts), actions="continuous")
    envs.reset(seed=0)
    place(envs, starts)
    positions = [tuple(start) for start in starts]
    for _ in range(25):
        actions = generator.uniform(-1.5, 1.5, (len(starts), 2)).astype(np.float32)  # beyond the bounds as well
        _, rewards, *_ = envs.step(actions)
        before = [math.dist(position, CENTRE) for position in positions]
        moves = np.clip(actions.astype(float), -1, 1)
        positions = [move_frame_by_frame(p, move, 4)[0] for p, move in zip(positions, moves, strict=True)]
        after = [math.dist(position, CENTRE) for position in positions]
        np.testing.assert_allclose(rewards, np.subtract(before, after), atol=1e-5)
        np.testing.assert_allclose(positions_of(envs), positions, atol=1e-5)


@pytest.mark.parametrize("size", [36, 84, 210])
def test_images_are_the_rendered_screens_resized_by_area(size):
    envs = small_envs(12, image_size=size, frame_stack=2)
    envs.reset(seed=3)
    place(envs, [*CORNERS_AND_CENTRE, *positions_of(envs)[8:]])
    images = envs.step(np.array([0, 1, 2, 3] * 3))[0][:, -1]
    for image, screen in zip(images, envs.render(), strict=True):
        exact = resize_by_area(screen[..., 0].astype(float), size)
        assert np.abs(image - exact).max() <= 0.5 + 1e-6
        assert exact.sum() == pytest.approx(16 * 255 * size**2 / (WIDTH * HEIGHT))


def test_images_of_fractions_of_pixels():
    """On a screen of four times the resolution a position that is a multiple of 1/4 lies between whole pixels."""
    positions = np.random.default_rng(2).integers((8, 8), (633, 833), (10, 2)) / 4
    envs = small_envs(10, actions="continuous", image_size=36)
    envs.reset(seed=0)
    place(envs, positions)
    images = envs.step(np.zeros((10, 2), np.float32))[0][:, -1]
    for image, (x, y) in zip(images, (4 * positions).astype(int), strict=True):
        screen = np.zeros((4 * HEIGHT, 4 * WIDTH))
        screen[y - 8 : y + 8, x - 8 : x + 8] = 255
        assert np.abs(image - resize_by_area(screen, 36)).max() <= 0.5 + 1e-6


def test_the_rendered_dot_is_where_the_position_says():
    envs = small_envs(8)
    envs.reset(seed=0)
    place(envs, CORNERS_AND_CENTRE)
    for (x, y), screen in zip(CORNERS_AND_CENTRE, envs.render(), strict=True):
        assert screen.shape == (HEIGHT, WIDTH, 3) and screen.dtype == np.uint8
        rows, columns = np.nonzero(screen.all(axis=2))
        assert screen.sum() == 16 * 3 * 255
        assert {*rows} == {y - 2, y - 1, y, y + 1} and {*columns} == {x - 2, x - 1, x, x + 1}


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


def closest_reachable(start, frame_skip):
    """Breadth-first over all positions: the actions to the nearest one (Manhattan) that can be reached."""
    came_from, queue = {start: None}, [start]
    for position in queue:
        for action in (1, 2, 3, 4):
            moved = tuple(
                min(max(p + frame_skip * m, 2), size - 2)
                for p, m, size in zip(position, MOVES[action], (WIDTH, HEIGHT), strict=True)
            )
            if moved not in came_from:
                came_from[moved] = (position, action)
                queue.append(moved)
    best = min(queue, key=lambda p: abs(p[0] - CENTRE[0]) + abs(p[1] - CENTRE[1]))
    actions = []
    while came_from[best]:
        best, action = came_from[best]
        actions.append(action)
    return actions[::-1]


@pytest.mark.parametrize(
    ("frame_skip", "start"), [(1, (2, 208)), (4, (3, 2)), (4, (158, 101)), (4, (80, 105)), (4, (79, 106)), (7, (50, 9))]
)
def test_the_optimal_return_is_the_best_that_can_be_reached_and_is_reached_in_time(frame_skip, start):
    envs = small_envs(1, frame_skip=frame_skip, max_frames=1000 // frame_skip * frame_skip, frame_stack=1)
    envs.reset(seed=0)
    place(envs, [start])
    actions = closest_reachable(start, frame_skip)
    total = 0.0
    for action in actions:
        _, reward, _, truncated, _ = envs.step(np.array([action]))
        assert not truncated[0]
        total += reward[0]
    assert envs.optimal_returns()[0] == total


def test_optimal_returns_of_all_starts_by_brute_force_along_each_axis():
    """The axes do not touch each other, so that the best distances along them add up."""
    envs = small_envs(1)
    envs.reset(seed=0)
    best = []
    for centre, size in zip(CENTRE, (WIDTH, HEIGHT), strict=True):
        gains = {}
        for start in range(2, size - 1, 6):
            reached = {start}
            while True:
                more = reached | {min(max(p + step, 2), size - 2) for p in reached for step in (-4, 4)}
                if more == reached:
                    break
                reached = more
            gains[start] = abs(start - centre) - min(abs(p - centre) for p in reached)
        best.append(gains)
    starts = [*itertools.product(*best)]
    envs = small_envs(len(starts), frame_stack=1)
    envs.reset(seed=0)
    place(envs, starts)
    np.testing.assert_array_equal(envs.optimal_returns(), [best[0][x] + best[1][y] for x, y in starts])


def test_the_optimal_return_with_continuous_actions_is_the_distance_and_is_reached():
    envs = small_envs(16, actions="continuous")
    envs.reset(seed=2)
    starts = positions_of(envs)
    totals = np.zeros(16)
    for _ in range(249):
        actions = (np.array(CENTRE) - positions_of(envs)) / 4
        totals += envs.step(actions.astype(np.float32))[1]
    np.testing.assert_allclose(totals, envs.optimal_returns(), atol=1e-4)
    np.testing.assert_allclose(totals, [math.dist(start, CENTRE) for start in starts], atol=1e-4)


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_no_random_play_exceeds_the_optimal_return(actions):
    envs = small_envs(64, actions=actions, frame_stack=1)
    generator = np.random.default_rng(3)
    envs.reset(seed=4)
    optimal, totals, most = envs.optimal_returns(), np.zeros(64), np.zeros(64)
    for step in range(250):
        if step % 4 == 0:  # held for a while, to get somewhere
            chosen = generator.integers(0, 5, 64) if actions == "discrete" else generator.uniform(-1, 1, (64, 2))
        totals += envs.step(chosen)[1]
        most = np.maximum(most, totals)
    assert (most <= optimal + 1e-9).all() and (most > 0.5 * optimal).any()


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
    env = MovingDotEnv(image_size=36, max_frames=8)
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
