"""The on-policy loop: collect a rollout, learn what its steps are worth, update the agent."""

from __future__ import annotations

import math
import time

from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from repro.agents import OnPolicyAgent
from repro.device import autocast
from repro.experience.episodes import describe, score_scale
from repro.training.trainer import Trainer


class OnPolicyTrainer(Trainer):
    """Learns from each rollout once, as a whole."""

    agent: OnPolicyAgent

    def _train_on_one_rollout(self) -> dict[str, float]:
        """Collect, label and fit, relabel, update. Returns metrics."""
        progress = self.env_step / self.config.training.total_steps
        scales = self._collect()
        metrics, rewards, terminated = self._relabel(progress, scales)
        metrics |= describe("value/", self.storage.values[:-1].numpy()[self.storage.valid])
        with self._timed("update"):
            metrics |= self.agent.update(self.storage.rollout(rewards, terminated), progress)
            metrics |= self.movement.measure()
        if isinstance(actions := self.envs.single_action_space, Discrete) and actions.n > 1:
            metrics["policy/entropy_share"] = metrics["policy/entropy"] / math.log(actions.n)
        return metrics

    def _collect(self) -> dict[int, NDArray]:
        """Fill the storage; returns the `score_scale` (2, N) at the rows where an episode ended."""
        storage, scales = self.storage, {}
        policy = env = 0.0  # seconds
        # The agent's weights are cast to bfloat16 once: casts are kept until the outermost context ends.
        with autocast(self.device, self.precision):
            for step in storage.begin_rollout():
                start = time.perf_counter()
                actions, storage.log_probs[step], storage.values[step] = self.agent.act(storage.observations[step])
                acted = time.perf_counter()
                storage.record(step, actions.numpy(), self.envs.step(actions.numpy()))
                if storage.done[step].any():
                    scales[step] = score_scale(self.envs)
                policy, env = policy + acted - start, env + time.perf_counter() - acted
            storage.values[-1] = self.agent.value(storage.observations[-1])
        self.timings |= {"policy": policy, "env": env}
        return scales
