"""The moving dot against brute force: frame-by-frame rewards, resized screens, best reachable positions."""

import itertools
import math

import numpy as np
import pytest
from dot_examples import HEIGHT, WIDTH, place, positions_of, small_envs

CENTRE = (80, 105)
MOVES = {0: (0, 0), 1: (0, 1), 2: (1, 0), 3: (0, -1), 4: (-1, 0)}  # no-op, down, right, up, left
CORNERS_AND_CENTRE = [(2, 2), (158, 2), (2, 208), (158, 208), CENTRE, (81, 105), (80, 103), (77, 106)]


OFF_CENTRE = ([0.3, 0.7], (48, 147))  # shares of the screen, and in pixels


def move_frame_by_frame(position, move, frames, target=CENTRE):
    """Frames of one pixel at most; returns the position, and how often the dot came closer less how often farther."""
    position, reward = list(position), 0
    for _ in range(frames):
        before = math.dist(position, target)
        for axis, size in enumerate((WIDTH, HEIGHT)):
            position[axis] = min(max(position[axis] + move[axis], 2), size - 2)
        after = math.dist(position, target)
        reward += (after < before) - (after > before)
    return tuple(position), reward


def resize_by_area(screen, size):
    """Each pixel is enlarged `size` times, so that the new pixels are averages of whole blocks."""
    shares = [np.repeat(np.eye(side), size, axis=1).reshape(side, size, side).mean(2) for side in screen.shape]
    return shares[0].T @ screen @ shares[1]


@pytest.mark.parametrize(("share", "target"), [([0.5, 0.5], CENTRE), OFF_CENTRE])
@pytest.mark.parametrize("frame_skip", [1, 4, 7])
def test_rewards_equal_the_frame_by_frame_rule_at_walls_and_across_the_target_too(frame_skip, share, target):
    generator = np.random.default_rng(0)
    near = ([centre + offset for offset in (-1, 0, 2)] for centre in target)
    starts = [*itertools.product([2, 4, 40, *next(near), 155, 158], [2, 5, 60, *next(near), 206, 208])]
    envs = small_envs(len(starts), target=share, frame_skip=frame_skip, max_frames=1000 * frame_skip)
    envs.reset(seed=0)
    place(envs, starts)
    positions = starts
    for _ in range(25):
        actions = generator.integers(0, 5, len(starts))
        _, rewards, *_ = envs.step(actions)
        moves = [MOVES[action] for action in actions.tolist()]
        moved = [move_frame_by_frame(p, m, frame_skip, target) for p, m in zip(positions, moves, strict=True)]
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


def closest_reachable(start, frame_skip, target=CENTRE):
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
    best = min(queue, key=lambda p: abs(p[0] - target[0]) + abs(p[1] - target[1]))
    actions = []
    while came_from[best]:
        best, action = came_from[best]
        actions.append(action)
    return actions[::-1]


@pytest.mark.parametrize(
    ("frame_skip", "start"), [(1, (2, 208)), (4, (3, 2)), (4, (158, 101)), (4, (80, 105)), (4, (79, 106)), (7, (50, 9))]
)
@pytest.mark.parametrize(("share", "target"), [([0.5, 0.5], CENTRE), OFF_CENTRE, ([0.05, 0.95], (8, 200))])
def test_the_optimal_return_is_the_best_that_can_be_reached_and_is_reached_in_time(frame_skip, start, share, target):
    frames = 1000 // frame_skip * frame_skip
    envs = small_envs(1, target=share, frame_skip=frame_skip, max_frames=frames, frame_stack=1)
    envs.reset(seed=0)
    place(envs, [start])
    actions = closest_reachable(start, frame_skip, target)
    total = 0.0
    for action in actions:
        _, reward, _, truncated, _ = envs.step(np.array([action]))
        assert not truncated[0]
        total += reward[0]
    assert envs.optimal_returns()[0] == total


@pytest.mark.parametrize(("share", "target"), [([0.5, 0.5], CENTRE), OFF_CENTRE])
def test_optimal_returns_of_all_starts_by_brute_force_along_each_axis(share, target):
    """The axes do not touch each other, so that the best distances along them add up."""
    best = []
    for centre, size in zip(target, (WIDTH, HEIGHT), strict=True):
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
    envs = small_envs(len(starts), target=share, frame_stack=1)
    envs.reset(seed=0)
    place(envs, starts)
    np.testing.assert_array_equal(envs.optimal_returns(), [best[0][x] + best[1][y] for x, y in starts])


@pytest.mark.parametrize(("share", "target"), [([0.5, 0.5], CENTRE), OFF_CENTRE])
def test_the_optimal_return_with_continuous_actions_is_the_distance_and_is_reached(share, target):
    envs = small_envs(16, actions="continuous", target=share)
    envs.reset(seed=2)
    starts = positions_of(envs)
    totals = np.zeros(16)
    for _ in range(249):
        actions = (np.array(target) - positions_of(envs)) / 4
        totals += envs.step(actions.astype(np.float32))[1]
    np.testing.assert_allclose(totals, envs.optimal_returns(), atol=1e-4)
    np.testing.assert_allclose(totals, [math.dist(start, target) for start in starts], atol=1e-4)


@pytest.mark.parametrize("target", [[0.5, 0.5], [0.3, 0.7]])
@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_no_random_play_exceeds_the_optimal_return(actions, target):
    envs = small_envs(64, actions=actions, target=target, frame_stack=1)
    generator = np.random.default_rng(3)
    envs.reset(seed=4)
    optimal, totals, most = envs.optimal_returns(), np.zeros(64), np.zeros(64)
    for step in range(250):
        if step % 4 == 0:  # held for a while, to get somewhere
            chosen = generator.integers(0, 5, 64) if actions == "discrete" else generator.uniform(-1, 1, (64, 2))
        totals += envs.step(chosen)[1]
        most = np.maximum(most, totals)
    assert (most <= optimal + 1e-9).all() and (most > 0.5 * optimal).any()
