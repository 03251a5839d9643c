"""Comparisons for the reward model: from the untrained policy first, then from each rollout while training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from repro.config import Config
from repro.envs import describe_environment, make_envs, random_actions
from repro.preferences.export import read_export
from repro.preferences.oracle import Oracle
from repro.preferences.queries import uniform_pairs
from repro.preferences.reward_model import RewardModel
from repro.preferences.schedule import labels_due
from repro.preferences.segments import Segment, cut_segments
from repro.preferences.store import PREFERENCES, PreferenceStore
from repro.reading import UserError
from repro.training.seeding import derive_seed, numpy_generator
from repro.training.storage import Storage


def check_export(config: Config, folder: Path, seed: int) -> None:
    """Raise UserError unless `folder` holds exported comparisons that a run with `config` can start from."""
    if config.reward.source != "learned":
        raise UserError("--preferences: reward.source is environment, which needs none; leave the option out")
    collect = f"repro prefs collect --seed {seed} --out {folder}"
    if not (folder / "meta.json").exists():
        raise UserError(f"{folder}: holds no exported preferences (no meta.json); make them with: {collect}")
    meta, _, segments = read_export(folder)
    if meta["environment"] != describe_environment(config.env):
        raise UserError(
            f"{folder}: holds preferences for {meta['environment']}, not for {describe_environment(config.env)}; "
            f"collect them again: {collect}"
        )
    if meta["labels"] != config.preferences.initial_labels:
        raise UserError(
            f"{folder}: holds {meta['labels']} labels, but preferences.initial_labels is "
            f"{config.preferences.initial_labels}; collect them again: {collect}"
        )
    lengths = {len(segment) for segment in segments.values()}
    if lengths != {config.preferences.segment_steps}:
        raise UserError(
            f"{folder}: holds segments of {', '.join(map(str, sorted(lengths)))} steps, but preferences.segment_steps "
            f"is {config.preferences.segment_steps}; collect them again: {collect}"
        )


def collect_initial_labels(config: Config, seed: int, store: PreferenceStore, run: str) -> int:
    """Ask for the initial comparisons, of an untrained policy, in environments of their own.

    The policy is uniformly random but repeats its last action with probability `initial_action_repeat`: segments of
    independent actions hardly differ from each other. Returns the agent steps taken.
    """
    preferences = config.preferences
    envs = make_envs(config.env)
    generator = numpy_generator(seed, "initial policy")
    storage = Storage.for_envs(envs, config.agent.rollout_steps)
    storage.observations[-1], _ = envs.reset(seed=derive_seed(seed, "initial env"))
    actions = random_actions(envs, generator)
    segments: list[Segment] = []
    steps = 0
    while len(segments) < 2 * preferences.initial_labels:
        for step in storage.steps():
            repeat = generator.random(envs.num_envs) < preferences.initial_action_repeat
            fresh = random_actions(envs, generator)
            actions = np.where(repeat.reshape(-1, *[1] * (fresh.ndim - 1)), actions, fresh)
            storage.record(step, actions, envs.step(actions))
        steps += storage.true_rewards.size
        segments += segments_of(storage, preferences.segment_steps)
    ask(store, run, 0, segments, preferences.initial_labels, numpy_generator(seed, "initial queries"), env_step=0)
    envs.close()
    return steps


class PreferenceLearning:
    """Keeps a reward model up to date with a growing set of comparisons."""

    def __init__(self, config: Config, seed: int, store: PreferenceStore, run: str, model: RewardModel):
        self.config, self.store, self.run, self.model = config, store, run, model
        self.generator = numpy_generator(seed, "queries")
        self.initial_steps = 0  # agent steps that the initial labels cost; the schedule of the others starts after them
        self.queries = 0  # asked so far; the number of the next one
        self.ties = 0

    def start(self, initial_steps: int) -> None:
        """Learn from the initial labels, which cost so many agent steps, before the policy is trained."""
        self.initial_steps = initial_steps
        self.load_labels(self.config.preferences.initial_labels)
        self.model.standardise()
        self.model.train(self.config.reward_model.pretraining_steps)

    def load_labels(self, queries: int) -> None:
        """Take the labels of the first `queries` queries from the store."""
        for comparison in self.store.labelled(self.run):
            if self.queries <= comparison.number < queries:
                left, right = self.store.segment(comparison.left), self.store.segment(comparison.right)
                self._add(comparison.number, left, right, comparison.preference)
        self.queries = queries

    def _add(self, number: int, left: Segment, right: Segment, preference: float) -> None:
        self.model.comparisons.add(number, left, right, preference)
        self.ties += preference == PREFERENCES["tie"]

    def learn(self, storage: Storage, env_step: int, progress: float) -> dict[str, float]:
        """Ask for the labels that are due after this rollout, then train the reward model. Returns metrics.

        What is due and finds no segments in this rollout is asked for after the next one.

        Args:
            env_step: agent steps done, those of this rollout included.
            progress: the share of training that was behind before this rollout, as the agent's update has it.
        """
        preferences = self.config.preferences
        training_steps = self.config.training.total_steps - self.initial_steps
        due = labels_due(preferences, env_step - self.initial_steps, training_steps) - self.queries
        if due > 0:  # after a resume there may be more than are due
            segments = segments_of(storage, preferences.segment_steps)
            asked = ask(self.store, self.run, self.queries, segments, due, self.generator, env_step)
            for comparison in asked:
                self._add(*comparison)
            self.queries += len(asked)
        metrics = self.model.train(self.config.reward_model.steps_per_rollout, progress) | self.model.validate()
        # Not counted in the store: after a resume it holds labels that are yet to be asked for again.
        return metrics | {
            "preferences/labels": len(self.model.comparisons),
            "preferences/ties": self.ties,
            "preferences/queries_waiting": self.store.waiting(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything but the labels, which are in the store."""
        return {
            "initial_steps": self.initial_steps,
            "queries": self.queries,
            "labels": len(self.model.comparisons),  # fewer than queries, where an answer was "incomparable"
            "generator": self.generator.bit_generator.state,
            "model": self.model.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], exact: bool = True) -> None:
        """Continue from what `state_dict` returned; labels asked for later are asked for again, and stay one.

        If the run is not `exact`ly repeated, other segments would be asked about: these labels are taken as they are.
        """
        self.initial_steps = state["initial_steps"]
        self.load_labels(state["queries"])
        if len(self.model.comparisons) != state["labels"]:
            raise UserError(
                f"{self.store.path}: holds {len(self.model.comparisons)} of the {state['labels']} labels that the "
                "checkpoint has learned from; restore it from a copy, or start the run again"
            )
        if not exact:
            self.load_labels(self.store.query_count(self.run))
        self.generator.bit_generator.state = state["generator"]
        self.model.load_state_dict(state["model"])


def ask(
    store: PreferenceStore,
    run: str,
    first: int,
    segments: list[Segment],
    count: int,
    generator: np.random.Generator,
    env_step: int,
) -> list[tuple[int, Segment, Segment, float]]:
    """Put `count` queries and the oracle's answers into the store, all or none; fewer where segments run out.

    Returns (number, left, right, preference) of each, numbered from `first`.
    """
    oracle = Oracle()
    asked = []
    with store.transaction():
        pairs = uniform_pairs(len(segments), count, generator)
        for number, (left_index, right_index) in enumerate(pairs, start=first):
            left, right = segments[left_index], segments[right_index]
            answer = oracle.answer(left, right)
            store.add_query(run, number, left, right, env_step, "uniform")
            store.add_label(run, number, answer, oracle.annotator, None, env_step)
            asked.append((number, left, right, PREFERENCES[answer]))
    return asked


def segments_of(storage: Storage, length: int) -> list[Segment]:
    """The segments of a rollout."""
    return cut_segments(
        storage.observations[1:], storage.actions.numpy(), storage.true_rewards, storage.valid, storage.done, length
    )
