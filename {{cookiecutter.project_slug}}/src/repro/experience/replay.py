"""A replay buffer: what was done lately, to learn from again and again (Lin 1992; Mnih et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.envs.base import ResumableVectorEnv


@dataclass(frozen=True)
class Sample:
    """B transitions as the environment gave them; the agent may not know all of it."""

    observations: NDArray  # (B, *observation)
    actions: NDArray  # (B, *action)
    true_rewards: NDArray  # (B,) float32
    next_observations: NDArray  # (B, *observation)
    terminated: NDArray  # (B,) bool


class Replay:
    """A ring an environment, of the observations in the order they came, each with the action that followed it.

    Of a stack of S images only the newest is kept, but for the first observation of an episode, which is kept as S
    images: so a stack is always the last S images of the ring, whatever an environment fills its first stack with.
    Vectors are stacks of one.
    """

    def __init__(self, envs: ResumableVectorEnv, size: int):
        observation, action = envs.single_observation_space, envs.single_action_space
        self.images = len(observation.shape) == 3
        self.stack = observation.shape[0] if self.images else 1
        # For the newest observation, and the first of an episode, there is room besides.
        self.length = -(-size // envs.num_envs) + 2 * self.stack
        shape = (self.length, envs.num_envs)
        frame = observation.shape[1:] if self.images else observation.shape
        self.frames = np.zeros((*shape, *frame), observation.dtype)
        self.actions = np.zeros((*shape, *(action.shape or ())), action.dtype)
        self.true_rewards = np.zeros(shape, np.float32)
        self.terminated = np.zeros(shape, bool)
        self.whole = np.zeros(shape, bool)  # a transition starts here, and all that it needs is still there
        self.heads = np.zeros(envs.num_envs, np.int64)  # images put into each ring so far
        self.size = 0  # transitions now
        self.added = 0  # transitions so far

    @property
    def nbytes(self) -> int:
        """The memory it takes once it is full."""
        return sum(array.nbytes for array in self._arrays().values())

    def start(self, observations: NDArray) -> None:
        """The first observations (N, *observation) of all environments, or those from which they go on."""
        self._append(np.arange(len(observations)), observations, first=True)

    def add(
        self, actions: NDArray, true_rewards: NDArray, terminated: NDArray, valid: NDArray, observations: NDArray
    ) -> None:
        """A step of all environments: (N, ...) each, `observations` what it led to. Invalid rows only reset."""
        envs = np.flatnonzero(valid)
        rows = (self.heads[envs] - 1) % self.length
        self.actions[rows, envs] = actions[envs]
        self.true_rewards[rows, envs] = true_rewards[envs]
        self.terminated[rows, envs] = terminated[envs]
        self.whole[rows, envs] = True
        self.size += len(envs)
        self.added += len(envs)
        self._append(envs, observations[envs])
        if len(envs) < len(valid):
            reset = np.flatnonzero(~valid)
            self._append(reset, observations[reset], first=True)

    def _append(self, envs: NDArray, observations: NDArray, first: bool = False) -> None:
        """Put the newest image of each of `observations` into the rings of `envs`; all images if they start anew."""
        for image in range(0 if first else self.stack - 1, self.stack):
            rows = self.heads[envs] % self.length
            self.frames[rows, envs] = observations[:, image] if self.images else observations
            lost = ((rows[:, None] + np.arange(self.stack)) % self.length, envs[:, None])  # they needed what was there
            self.size -= int(self.whole[lost].sum())
            self.whole[lost] = False
            self.heads[envs] += 1

    def sample(self, count: int, generator: np.random.Generator) -> Sample:
        """Transitions drawn uniformly, with replacement; there must be some."""
        filled = min(int(self.heads.max()), self.length) * len(self.heads)
        found = np.empty(0, np.int64)
        while len(found) < count:
            drawn = generator.integers(filled, size=2 * count)
            found = np.concatenate([found, drawn[self.whole.reshape(-1)[drawn]]])
        rows, envs = np.divmod(found[:count], len(self.heads))
        window = (rows[:, None] + np.arange(1 - self.stack, 2)) % self.length
        frames = self.frames[window, envs[:, None]]  # (B, S + 1, ...)
        return Sample(
            observations=frames[:, :-1] if self.images else frames[:, 0],
            actions=self.actions[rows, envs],
            true_rewards=self.true_rewards[rows, envs],
            next_observations=frames[:, 1:] if self.images else frames[:, 1],
            terminated=self.terminated[rows, envs],
        )

    def _arrays(self) -> dict[str, NDArray]:
        names = ("frames", "actions", "true_rewards", "terminated", "whole", "heads")
        return {name: getattr(self, name) for name in names}

    def state_dict(self) -> dict[str, Any]:
        """For an exact resume."""
        return {name: array.copy() for name, array in self._arrays().items()} | {"added": self.added}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        for name, array in self._arrays().items():
            array[...] = np.asarray(state[name])  # may be a tensor
        self.size, self.added = int(self.whole.sum()), state["added"]
