"""What training asks of an environment beyond Gymnasium's vector interface."""

from __future__ import annotations

import abc
from typing import Any

from gymnasium.spaces import Box, Discrete
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray


class ResumableVectorEnv(VectorEnv, abc.ABC):
    """A vector environment with NEXT_STEP autoreset that can be saved, and knows what is optimal."""

    single_observation_space: Box
    single_action_space: Discrete | Box

    @abc.abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Everything that the next steps depend on: nested dicts and lists of arrays and plain values."""

    @abc.abstractmethod
    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""

    @abc.abstractmethod
    def optimal_returns(self) -> NDArray:
        """The best possible return of each current episode, float64 (num_envs,)."""
