"""A rollout as it was collected: what the agent may see, and the true rewards that it may not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro.agents.rollout import Rollout
from repro.envs.base import ResumableVectorEnv


@dataclass
class Storage:
    """T steps of N environments; buffers are made once and overwritten by each rollout."""

    observations: NDArray  # (T + 1, N, *observation), as the environment gives them
    actions: Tensor  # (T, N) int64 or (T, N, *action) float32
    log_probs: Tensor  # (T, N) float32
    values: Tensor  # (T + 1, N) float32
    true_rewards: NDArray  # (T, N) float32
    terminated: NDArray  # (T, N) bool: no future reward after this step; of a lost life too, if that is the protocol
    done: NDArray  # (T, N) bool: the environment's episode ended, so that the next row only resets
    valid: NDArray  # (T, N) bool: False where the environment was only reset
    screens: NDArray | None = None  # (T, N, H, W, 3) uint8: what people are to see of each step, if it is more
    _resetting: NDArray = field(init=False, repr=False)  # (N,) bool: where the next row only resets

    @classmethod
    def for_envs(cls, envs: ResumableVectorEnv, steps: int) -> Storage:
        """Empty buffers for `steps` steps of `envs`."""
        rows = (steps, envs.num_envs)
        observation, action = envs.single_observation_space, envs.single_action_space
        return cls(
            observations=np.zeros((steps + 1, envs.num_envs, *observation.shape), observation.dtype),
            actions=torch.from_numpy(np.zeros((*rows, *(action.shape or ())), action.dtype)),
            log_probs=torch.zeros(rows),
            values=torch.zeros((steps + 1, envs.num_envs)),
            true_rewards=np.zeros(rows, np.float32),
            terminated=np.zeros(rows, bool),
            done=np.zeros(rows, bool),
            valid=np.zeros(rows, bool),
            screens=np.zeros((*rows, *envs.screen_shape), np.uint8) if envs.screen_shape else None,
        )

    def begin_rollout(self) -> range:
        """Make the last observation of the rollout before the first of this one; returns the rows to fill."""
        self.observations[0] = self.observations[-1]
        self._resetting = self.done[-1].copy()
        return range(len(self.valid))

    def record(self, step: int, actions: NDArray, outcome: tuple) -> None:
        """Row `step`: the actions (N, ...) and what the environments answered."""
        observations, rewards, terminated, truncated, info = outcome
        self.actions[step] = torch.from_numpy(actions)
        self.observations[step + 1] = observations
        self.true_rewards[step], self.terminated[step] = rewards, terminated
        self.done[step] = info.get("over", terminated | truncated)
        self.valid[step] = ~self._resetting
        if self.screens is not None:
            self.screens[step] = info["screens"]
        self._resetting = self.done[step]

    def rollout(self, rewards: NDArray, terminated: NDArray) -> Rollout:
        """What the agent learns from, given the rewards (T, N) and terminations (T, N) that it may know of."""
        return Rollout(
            observations=torch.from_numpy(self.observations),
            actions=self.actions,
            log_probs=self.log_probs,
            values=self.values,
            rewards=torch.from_numpy(rewards),
            terminated=torch.from_numpy(terminated),
            done=torch.from_numpy(self.done | terminated),
            valid=torch.from_numpy(self.valid),
        )
