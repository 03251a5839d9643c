"""The moving dot: bring a white dot to the centre of a black screen, seen as stacked images.

After gym-moving-dot (Rahtz 2018): a 4x4 dot on a screen of 160 x 210 pixels, random start, reward +1 for
each pixel closer to the centre and -1 for each pixel farther away, 1,000 frames, truncation only. The target may also
be another place than the centre; nothing on the screen shows where it is.
Native batches in numpy: one step of all environments is a handful of array operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from repro.config import MovingDotConfig
from repro.envs.base import ResumableVectorEnv

SCREEN = np.array([160, 210])  # width, height in pixels
HALF_SIZE = 2  # of the dot, in pixels
LOWEST, HIGHEST = np.full(2, HALF_SIZE), SCREEN - HALF_SIZE  # where the dot's centre can be: it stays on the screen
MOVES = np.array([[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0]])  # no-op, down, right, up, left: pixels a frame


class MovingDotVectorEnv(ResumableVectorEnv):
    """A batch of moving dots with NEXT_STEP autoreset.

    Observations: uint8 (num_envs, frame_stack, image_size, image_size), oldest image first; each image is the
    grey screen resized by area averaging. A step repeats its action for `frame_skip` frames and sums rewards.

    Discrete actions (5) move one pixel a frame. Continuous actions in [-1, 1]^2 move up to one pixel a frame
    along x and y, and the reward is the decrease of the Euclidean distance: with gym-moving-dot's +1 for any
    move closer, creeping would earn the most.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"], "render_fps": 15}

    def __init__(self, config: MovingDotConfig, num_envs: int):
        self.num_envs, self.render_mode = num_envs, "rgb_array"
        self.discrete = config.actions == "discrete"
        self.target = np.rint(np.array(config.target) * SCREEN).astype(np.int64)  # x, y in pixels
        self.frame_skip, self.max_steps = config.frame_skip, config.max_steps
        stack = (config.frame_stack, config.image_size, config.image_size)
        self.single_observation_space = Box(0, 255, stack, np.uint8)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = Discrete(len(MOVES)) if self.discrete else Box(-1, 1, (2,), np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        # Of the columns and rows of an image, in pixels of the screen, (2, image_size + 1).
        self._edges = np.arange(config.image_size + 1) * (SCREEN[:, None] / config.image_size)
        self._generators: list[np.random.Generator] = []
        self._positions = np.zeros((num_envs, 2), np.int64 if self.discrete else np.float64)  # x, y in pixels
        self._starts = self._positions.copy()
        self._steps = np.zeros(num_envs, np.int64)
        self._done = np.zeros(num_envs, bool)
        self._stack = np.zeros((num_envs, *stack), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[NDArray, dict]:
        """Start all episodes; `seed` makes every later start of every environment reproducible."""
        if seed is not None or not self._generators:
            streams = np.random.SeedSequence(seed).spawn(self.num_envs)
            self._generators = [np.random.default_rng(stream) for stream in streams]
        self._start(np.ones(self.num_envs, bool))
        self._done = np.zeros(self.num_envs, bool)
        return self._stack.copy(), {}

    def step(self, actions: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray, dict]:
        """One agent step. Environments whose episode ended in the last step are reset instead, with reward 0."""
        resetting = self._done
        moves = MOVES[actions] if self.discrete else np.clip(actions, -1, 1)
        before = self._distances()
        moved = np.clip(self._positions + self.frame_skip * moves, LOWEST, HIGHEST)
        self._positions = np.where(resetting[:, None], self._positions, moved)
        # A pixel changes the distance along its axis by exactly one, so the frames' rewards telescope.
        rewards = np.where(resetting, 0.0, before - self._distances())
        self._steps += 1
        self._stack[:, :-1] = self._stack[:, 1:]
        self._stack[:, -1] = self._images()
        if resetting.any():
            self._start(resetting)
        truncated = self._steps >= self.max_steps
        self._done = truncated
        return self._stack.copy(), rewards, np.zeros(self.num_envs, bool), truncated.copy(), {}

    def render(self) -> tuple[NDArray[np.uint8], ...]:
        """The full-size colour screens, one uint8 (210, 160, 3) array an environment."""
        screens = []
        for x, y in np.rint(self._positions).astype(int):
            screen = np.zeros((SCREEN[1], SCREEN[0], 3), np.uint8)
            screen[y - HALF_SIZE : y + HALF_SIZE, x - HALF_SIZE : x + HALF_SIZE] = 255
            screens.append(screen)
        return tuple(screens)

    def optimal_returns(self) -> NDArray[np.float64]:
        """The best possible return of each current episode, if it is long enough to get there, float64 (num_envs,).

        With discrete actions a step moves `frame_skip` pixels, so that the dot cannot always stop on the target.
        """
        if not self.discrete:
            return np.linalg.norm(self._starts - self.target, axis=1)
        closest = [_closest_distances(axis, self.target[axis], self.frame_skip) for axis in (0, 1)]
        left_over = sum(closest[axis][self._starts[:, axis]] for axis in (0, 1))
        return np.abs(self._starts - self.target).sum(axis=1) - left_over

    def get_state(self) -> dict[str, Any]:
        """Everything that the next steps depend on, for an exact resume."""
        return {
            "generators": [generator.bit_generator.state for generator in self._generators],
            "positions": self._positions.copy(),
            "starts": self._starts.copy(),
            "steps": self._steps.copy(),
            "done": self._done.copy(),
            "stack": self._stack.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self._generators = [np.random.default_rng() for _ in range(self.num_envs)]
        for generator, generator_state in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = generator_state
        self._positions = np.asarray(state["positions"]).copy()  # may be a tensor
        self._starts = np.asarray(state["starts"]).copy()
        self._steps = np.asarray(state["steps"]).copy()
        self._done = np.asarray(state["done"]).copy()
        self._stack = np.asarray(state["stack"]).copy()

    def _start(self, which: NDArray[np.bool_]) -> None:
        """Begin new episodes in the environments of the mask `which`."""
        for index in np.flatnonzero(which):
            start = self._generators[index].integers(LOWEST, HIGHEST, endpoint=True)
            self._positions[index] = self._starts[index] = start
        self._steps[which] = 0
        self._stack[which] = self._images()[which, None]

    def _distances(self) -> NDArray:
        """Of the dots to the target: along the axes for discrete moves, straight for continuous ones."""
        offsets = self._positions - self.target
        return np.abs(offsets).sum(axis=1).astype(float) if self.discrete else np.linalg.norm(offsets, axis=1)

    def _images(self) -> NDArray[np.uint8]:
        """The grey screens resized by area averaging, (num_envs, image_size, image_size).

        The dot covers a rectangle, so that each image is the outer product of its coverage of columns and rows.
        """
        edges, dot = self._edges, self._positions[:, :, None]
        covered = np.minimum(dot + HALF_SIZE, edges[:, 1:]) - np.maximum(dot - HALF_SIZE, edges[:, :-1])
        columns, rows = np.moveaxis(np.maximum(covered, 0) / (edges[:, 1] - edges[:, 0])[:, None], 1, 0)
        return np.rint(255 * rows[:, :, None] * columns[:, None, :]).astype(np.uint8)


def _closest_distances(axis: int, target: int, frame_skip: int) -> NDArray[np.int64]:
    """The smallest distance to `target` along `axis` that can be reached from each position, int64 (screen,).

    The walls count: running into one shifts the dot by less than `frame_skip` pixels.
    """
    low, high = LOWEST[axis], HIGHEST[axis]
    positions = np.clip(np.arange(SCREEN[axis] + 1), low, high)
    closest = np.abs(positions - target)
    while True:
        down, up = (closest[np.clip(positions + step, low, high)] for step in (-frame_skip, frame_skip))
        better = np.minimum(closest, np.minimum(down, up))
        if (better == closest).all():
            return closest
        closest = better
