"""The windy gridworld of Sutton and Barto (2018, example 6.5): walk to the goal while a wind blows you upwards."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

ROWS, COLUMNS = 7, 10
WIND = (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)  # rows that a walker who leaves a column is blown up by
START, GOAL = (3, 0), (3, 7)  # row, column
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left
CELL = 24  # pixels


class WindyGridworld(gymnasium.Env):
    """Each step costs 1 until the goal is reached, 15 steps at best. Observations are the number of the cell."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}

    def __init__(self, windy: bool = True, render_mode: str | None = None):
        self.observation_space, self.action_space = Discrete(ROWS * COLUMNS), Discrete(len(MOVES))
        self.windy, self.render_mode = windy, render_mode
        self.s = 0  # the cell, by the name that Gymnasium's own grids have for it

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict]:
        """Go back to the start."""
        super().reset(seed=seed)
        self.s = START[0] * COLUMNS + START[1]
        return self.s, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        """One step; walls stop both walker and wind."""
        row, column = divmod(self.s, COLUMNS)
        down, right = MOVES[action]
        row = min(max(row + down - self.windy * WIND[column], 0), ROWS - 1)
        column = min(max(column + right, 0), COLUMNS - 1)
        self.s = row * COLUMNS + column
        return self.s, -1.0, (row, column) == GOAL, False, {}

    def render(self) -> NDArray[np.uint8]:
        """The walker in white, the goal in green, uint8 (H, W, 3)."""
        cells = np.full((ROWS, COLUMNS, 3), 40, np.uint8)
        cells[GOAL] = (0, 160, 0)
        cells[divmod(self.s, COLUMNS)] = 255
        return cells.repeat(CELL, axis=0).repeat(CELL, axis=1)


gymnasium.register("WindyGridworld-v0", entry_point="repro.envs.windy_gridworld:WindyGridworld")
