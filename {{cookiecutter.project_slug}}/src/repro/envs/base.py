"""What training asks of an environment beyond Gymnasium's vector interface."""

from __future__ import annotations

import abc
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray


class ResumableVectorEnv(VectorEnv, abc.ABC):
    """A vector environment with NEXT_STEP autoreset that can be saved, and knows what is optimal.

    Where a step may terminate an episode for the agent alone (a life was lost, and the game goes on), its info holds
    `over`, bool (num_envs,): in which environments the episode ended, so that the next step only resets.
    If it was made for rendering, `render()` returns one uint8 (H, W, 3) picture an environment. Where that shows people
    more than the agent observes, `screen_shape` is (H, W, 3), and the info of a step holds the `screens` after it,
    uint8 (num_envs, H, W, 3).
    """

    single_observation_space: Box
    single_action_space: Discrete | Box
    screen_shape: tuple[int, ...] | None = None
    can_save_state = True  # False: get_state and set_state raise, and a resume has to start new episodes

    @abc.abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Everything that the next steps depend on: nested dicts and lists of arrays and plain values."""

    @abc.abstractmethod
    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""

    @abc.abstractmethod
    def optimal_returns(self) -> NDArray:
        """The return of each current episode that scores 1, the best possible or known, float64 (num_envs,)."""

    def random_returns(self) -> NDArray:
        """The return of each current episode that scores 0, float64 (num_envs,)."""
        return np.zeros(self.num_envs)


class ScaledVectorEnv(ResumableVectorEnv):
    """One whose parameters say which returns score 0 and 1, the same for all episodes."""

    random_return: float
    reference_return: float

    def optimal_returns(self) -> NDArray[np.float64]:
        """`reference_return` for each, float64 (num_envs,)."""
        return np.full(self.num_envs, float(self.reference_return))

    def random_returns(self) -> NDArray[np.float64]:
        """`random_return` for each, float64 (num_envs,)."""
        return np.full(self.num_envs, float(self.random_return))


class SingleEnv(gymnasium.Env):
    """One environment behind Gymnasium's single-environment interface, for people and the environment checker.

    envs: a vector environment of one. A step after the end of an episode only resets, as in training.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}

    def __init__(self, envs: ResumableVectorEnv, render_mode: str | None = None):
        self._envs = envs
        self.observation_space = envs.single_observation_space
        self.action_space = envs.single_action_space
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[NDArray, dict]:
        """Start an episode."""
        super().reset(seed=seed)
        observations, info = self._envs.reset(seed=seed, options=options)
        return observations[0], info

    def step(self, action: Any) -> tuple[NDArray, float, bool, bool, dict]:
        """One agent step."""
        observations, rewards, terminated, truncated, info = self._envs.step(np.asarray(action)[None])
        return observations[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), info

    def render(self) -> Any:
        """The colour screen, uint8 (H, W, 3)."""
        screens = self._envs.render()
        return screens[0] if screens is not None and self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close what is behind it."""
        self._envs.close()
