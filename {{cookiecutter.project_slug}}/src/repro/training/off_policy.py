"""The off-policy loop: every step goes into a replay buffer, from which the agent learns again and again."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from repro.agents import OffPolicyAgent
from repro.agents.transitions import Transitions
from repro.config import Config, ReplayConfig
from repro.envs import random_actions
from repro.experience.episodes import score_scale
from repro.experience.replay import Replay
from repro.preferences.store import PreferenceStore
from repro.seeding import numpy_generator
from repro.training.trainer import Trainer

SAVED_BYTES = 64e6  # a larger replay buffer is not saved with a checkpoint, but filled again after a resume


class OffPolicyTrainer(Trainer):
    """Learns while it collects. A rollout is the unit of metrics, labels and checkpoints, nothing else.

    What the agent is trained on is decided when it is sampled: a reward model that has learned since then counts.
    """

    agent: OffPolicyAgent

    def __init__(self, config: Config, seed: int, run: str, store: PreferenceStore, initial_steps: int | None = None):
        super().__init__(config, seed, run, store, initial_steps)
        assert isinstance(config.agent, ReplayConfig)
        self.settings = config.agent
        self.replay = Replay(self.envs, self.settings.buffer_size)
        self.generator = numpy_generator(seed, "replay")
        self.steps = 0  # of each environment, the initial labels not counted
        self.totals: dict[str, Tensor] = {}  # of the updates' metrics in this rollout

    def _start(self) -> None:
        super()._start()
        self.replay.start(self.storage.observations[-1])

    def _train_on_one_rollout(self) -> dict[str, float]:
        """Collect, updating meanwhile; label and fit. Returns metrics."""
        storage, progress = self.storage, self.env_step / self.config.training.total_steps
        scales: dict[int, NDArray] = {}
        self.totals, updates = {}, self.agent.updates
        for step in storage.begin_rollout():
            with self._timed("policy"):
                exploration = self.agent.explore(self.steps * self.envs.num_envs)
                actions = self._choose(storage.observations[step])
            with self._timed("env"):
                storage.record(step, actions, self.envs.step(actions))
                if storage.done[step].any():
                    scales[step] = score_scale(self.envs)
            with self._timed("replay"):
                true = (storage.true_rewards[step], storage.terminated[step], storage.valid[step])
                self.replay.add(actions, *true, storage.observations[step + 1])
            self.steps += 1
            if self.steps % self.settings.update_every == 0 and self.replay.added >= self.settings.learning_starts:
                self._update()
        metrics, *_ = self._relabel(progress, scales)
        updates = self.agent.updates - updates
        metrics |= {name: total.item() / updates for name, total in self.totals.items()}
        if updates:
            metrics |= self.movement.measure()
        return metrics | {
            **exploration,
            "learning_rate": self.settings.learning_rate,
            "replay/size": self.replay.size,
            "updates": self.agent.updates,
        }

    def _choose(self, observations: NDArray) -> NDArray:
        """Actions (N, ...): at random before there is anything to learn from."""
        if self.agent.updates or self.replay.added >= self.settings.learning_starts:
            return self.agent.act(observations).numpy()
        return random_actions(self.envs, self.generator)

    def _update(self) -> None:
        """Sample for all gradient steps at once, relabel, and take them."""
        size, steps = self.settings.batch_size, self.settings.gradient_steps
        with self._timed("replay"):
            sample = self.replay.sample(steps * size, self.generator)
        with self._timed("reward_model"):
            rewards, terminated = self.source.relabel_sample(sample)
        with self._timed("update"):
            arrays = (sample.observations, sample.actions, rewards, sample.next_observations, terminated)
            parts = zip(*(torch.from_numpy(array).split(size) for array in arrays), strict=True)
            for part in parts:
                for name, value in self.agent.update(Transitions(*part)).items():
                    self.totals[name] = self.totals.get(name, 0) + value

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next rollouts depend on, but for the labels, and a replay buffer that is too large."""
        state, saved = super().state_dict(), self.replay.nbytes <= SAVED_BYTES
        return state | {
            "steps": self.steps,
            "replay_generator": self.generator.bit_generator.state,
            "replay": self.replay.state_dict() if saved else None,
            "exact": state["exact"] and saved,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned. Without a replay buffer, updates wait until there is one again."""
        super().load_state_dict(state)
        self.steps = state["steps"]
        self.generator.bit_generator.state = state["replay_generator"]
        if state["replay"]:
            self.replay.load_state_dict(state["replay"])
        if not (state["envs"] and state["replay"]):  # it is empty, or ends with other episodes than those that begin
            self.replay.start(self.storage.observations[-1])
