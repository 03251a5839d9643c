"""Atari 2600 games, through the vector environment of the Arcade Learning Environment (Bellemare et al. 2013).

Two protocols, after the papers that set them:
- `classic` (Mnih et al. 2015, Methods): nothing is random but up to 30 no-ops at the start; only the actions that the
  game has; in training a lost life ends the episode for the agent, while the game goes on. As in OpenAI's
  Baselines, FIRE is pressed at the start of a game that waits for it.
- `sticky` (Machado et al. 2018, section 5): every frame, the action before is repeated with probability 0.25; all 18
  actions; no no-ops, nothing pressed; only the end of the game ends an episode.
"""

from __future__ import annotations

import difflib
from typing import Any

import gymnasium
import numpy as np
from ale_py.vector_env import AtariVectorEnv as Engine
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from repro.config import AtariConfig
from repro.envs.base import ScaledVectorEnv
from repro.envs.score_areas import SCORE_AREAS, paint_black
from repro.machine import usable_cores
from repro.reading import UserError

SIZE = 84  # pixels, both sides of an observation (Mnih et al. 2015)
SCREEN = (210, 160)  # height and width in pixels
PROTOCOLS: dict[str, dict[str, Any]] = {
    "classic": {"repeat_action_probability": 0.0, "noop_max": 30, "use_fire_reset": True, "full_action_space": False},
    "sticky": {"repeat_action_probability": 0.25, "noop_max": 0, "use_fire_reset": False, "full_action_space": True},
}


class AtariVectorEnv(ScaledVectorEnv):
    """A batch of games with NEXT_STEP autoreset.

    Observations: uint8 (num_envs, frame_stack, 84, 84), oldest image first; each is grey, the maximum of the last two
    frames, resized by area averaging. Rewards are the game's own, unclipped.

    The `over` of a step's info, bool (num_envs,), tells which games ended: those are only reset by the next step. With
    `lives_end_episodes` a game may be terminated and not over.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": ["rgb_array"], "render_fps": 15}
    can_save_state = False

    def __init__(self, config: AtariConfig, num_envs: int, evaluation: bool = False, render: bool = False):
        """Games for training, or whole ones for `evaluation`; `render` doubles the work of the emulator.

        Raises UserError if there is no such game, or if it is not known where it shows its score.
        """
        self.config, self.num_envs = config, num_envs
        self.random_return, self.reference_return = config.random_return, config.reference_return
        self.lives_end_episodes = config.protocol == "classic" and not evaluation
        self.render_mode = "rgb_array" if render else None
        rom = rom_name(config.id)
        if config.hide_score and config.id not in SCORE_AREAS:
            raise UserError(
                f"env.hide_score: where {config.id} shows its score is not known; add it to src/repro/envs/"
                f"score_areas.py, which knows {', '.join(SCORE_AREAS)}"
            )
        self._games = self._engine(rom, (SIZE, SIZE), config.frame_stack, grayscale=True)
        # The same games once more for their colours: the same seeds and actions give the same frames.
        self._screens = self._engine(rom, SCREEN, 1, grayscale=False) if render else None
        self.screen_shape = (*SCREEN, 3) if render else None
        self.single_observation_space = Box(0, 255, (config.frame_stack, SIZE, SIZE), np.uint8)
        self.observation_space = self._games.observation_space
        self.single_action_space = Discrete(len(self._games.ale.get_action_set()))
        self.action_space = self._games.action_space
        self._generator = np.random.default_rng()
        self._lives = np.zeros(num_envs, np.int32)
        self._over = np.zeros(num_envs, bool)

    def _engine(self, rom: str, size: tuple[int, int], frames: int, grayscale: bool) -> Engine:
        """The games, seen in images of `size` (height, width). What it computes does not depend on its threads."""
        return Engine(
            rom,
            self.num_envs,
            num_threads=min(self.num_envs, usable_cores()),
            max_num_frames_per_episode=self.config.max_frames,
            img_height=size[0],
            img_width=size[1],
            grayscale=grayscale,
            stack_num=frames,
            frameskip=self.config.frame_skip,
            reward_clipping=False,  # the true score is never lost; what the agent is trained on may be clipped
            **PROTOCOLS[self.config.protocol],
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[NDArray, dict]:
        """Start all games; `seed` makes every later start of every game reproducible."""
        if seed is not None:
            self._generator = np.random.default_rng(seed)
        seeds = self._generator.integers(2**31, size=self.num_envs)  # the engine takes 31 bits
        observations, info = self._games.reset(seed=seeds)
        if self._screens:
            self._screen, _ = self._screens.reset(seed=seeds)
        self._lives, self._over = info["lives"], np.zeros(self.num_envs, bool)
        return self._without_score(observations), info

    def step(self, actions: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray, dict]:
        """One agent step. Games that were over after the last step are reset instead, with reward 0."""
        observations, rewards, terminated, truncated, info = self._games.step(actions)
        if self._screens:
            self._screen = self._screens.step(actions)[0]
            info["screens"] = self._screen[:, 0]
        lost = ~self._over & (info["lives"] < self._lives)
        self._lives, self._over = info["lives"], terminated | truncated
        info["over"] = self._over
        if self.lives_end_episodes:
            terminated = terminated | lost
        return self._without_score(observations), rewards.astype(np.float64), terminated, truncated, info

    def _without_score(self, observations: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.config.hide_score:
            paint_black(observations, self.config.id)
        return observations

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """The full-size colour screens, score and all: one uint8 (210, 160, 3) array a game."""
        return tuple(self._screen[:, 0]) if self._screens else None

    def get_state(self) -> dict[str, Any]:
        """Never asked for, as `can_save_state` is False: the engine hands out neither its state nor its memory."""
        raise NotImplementedError("the state of Atari games cannot be saved")

    def set_state(self, state: dict[str, Any]) -> None:
        """Never asked for, as `get_state`."""
        raise NotImplementedError("the state of Atari games cannot be saved")


def rom_name(game: str) -> str:
    """What the engine calls a game, ALE/MsPacman-v5 for example. Raises UserError if there is no such game."""
    spec = gymnasium.registry.get(game)
    if spec is None:
        games = [name for name in gymnasium.registry if name.startswith("ALE/") and name.endswith("-v5")]
        near = difflib.get_close_matches(game, games, n=3) or games
        raise UserError(f"env.id: there is no game {game}; the nearest: {', '.join(near)}")
    return str(spec.kwargs["game"])
