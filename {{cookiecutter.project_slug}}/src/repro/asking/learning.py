"""The reward model while the agent trains: which comparisons it is asked for, when, and what it learns from."""

from __future__ import annotations

import time
from typing import Any

from repro.asking.questions import ask, choose_pairs, make_oracle, segments_of
from repro.config import Config
from repro.experience.storage import Storage
from repro.normalisation import RunningNormaliser
from repro.preferences.reward_model import RewardModel
from repro.preferences.schedule import labels_due
from repro.preferences.segments import Segment
from repro.preferences.store import PREFERENCES, AskedOtherwise, PreferenceStore
from repro.reading import UserError
from repro.seeding import numpy_generator

LOOK_SECONDS = 0.3  # between looks into the store
SECONDS_BETWEEN_LINES = 10.0


class PreferenceLearning:
    """Keeps a reward model up to date with a growing set of comparisons.

    An oracle answers at once. A person answers in another process, which meets this one in the store only: what stands
    there is taken before each training of the model, corrected and undone answers are taken back. The initial labels
    are waited for in any case; later ones, where they are due and missing, as `preferences.when_unlabelled` says.

    A model that was trained before may be given: it needs no first training, and if it is `fixed` no labels at all.
    """

    def __init__(self, config: Config, seed: int, store: PreferenceStore, run: str, model: RewardModel):
        self.config, self.store, self.run, self.model = config, store, run, model
        self.generator = numpy_generator(seed, "queries")
        self.oracle = make_oracle(config.preferences, seed)
        self.initial_steps = 0  # agent steps that the initial labels cost; the schedule of the others starts after them
        self.queries = 0  # asked so far; the number of the next one
        self.taken: dict[int, tuple[frozenset[str], float]] = {}  # learned from: pair and preference, by number
        self.said: set[str] = set()  # notes on the terminal
        self.given = self.fixed = False  # whether the model was trained before, and whether it stays as it is
        self.exact = True  # False once it went on without repeating itself bit for bit

    def begin_with(self, inference_state: dict[str, Any], fixed: bool) -> None:
        """Take the reward model of another run; if `fixed`, nobody is asked anything and it learns nothing more."""
        network = self.model.network
        if fixed and network.normaliser:  # the policy's goes on changing
            network.normaliser = RunningNormaliser(len(network.normaliser.mean)).to(self.model.device)
        self.model.load_inference_state(inference_state)
        self.given, self.fixed = True, fixed

    def start(self, initial_steps: int) -> None:
        """Learn from the initial labels, which cost so many agent steps, before the policy is trained."""
        self.initial_steps = initial_steps
        if self.fixed:
            return
        if self.oracle is None:
            wait_for_labels(self.store, self.store.query_count(self.run))
        self.load_labels(self.config.preferences.initial_labels)
        if not self.taken:
            raise UserError(
                f"{self.store.path}: none of the {self.queries} initial comparisons was answered by a preference, so "
                "there is nothing to learn from; label again (repro label), or see preferences.oracle.skip_threshold"
            )
        if self.oracle is None or self.model.device.type != "cpu":  # what was asked before a run was killed stays asked
            self.load_labels(max(self.queries, self.store.query_count(self.run)))
        if not self.given:
            self.model.standardise()
            self.model.train(self.config.reward_model.pretraining_steps)

    def load_labels(self, queries: int) -> None:
        """Take the labels of the first `queries` queries as they stand in the store now."""
        self.queries = queries
        standing = {label.number: label for label in self.store.labelled(self.run) if label.number < queries}
        for number, (_, preference) in list(self.taken.items()):
            if number not in standing or standing[number].preference != preference:
                self.model.comparisons.remove(number)
                del self.taken[number]
        for number, label in standing.items():
            if number not in self.taken:
                left, right = self.store.segment(label.left), self.store.segment(label.right)
                self._add(number, left, right, label.preference)

    def _add(self, number: int, left: Segment, right: Segment, preference: float) -> None:
        self.model.comparisons.add(number, left, right, preference)
        self.taken[number] = frozenset((left.hash, right.hash)), preference

    def learn(self, storage: Storage, env_step: int, progress: float) -> dict[str, float]:
        """Ask for the labels that are due after this rollout, then train the reward model. Returns metrics.

        What is due and finds no segments in this rollout is asked for after the next one.

        Args:
            env_step: agent steps done, those of this rollout included.
            progress: the share of training that was behind before this rollout, as the agent's update has it.
        """
        if self.fixed:
            return {"preferences/labels": 0}
        training_steps = self.config.training.total_steps - self.initial_steps
        due = labels_due(self.config.preferences, env_step - self.initial_steps, training_steps) - self.queries
        if due > 0:  # after a resume there may be more than are due
            due -= self._ask(storage, due, env_step)
        metrics = {} if self.oracle else self._take_standing_labels()
        if self.taken:  # a person may have taken back all of it
            metrics |= self.model.train(self.config.reward_model.steps_per_rollout, progress) | self.model.validate()
        preferences = [preference for _, preference in self.taken.values()]
        shown = frozenset[str]().union(*(pair for pair, _ in self.taken.values()))
        # Not counted in the store: after a resume it holds labels that are yet to be asked for again.
        return metrics | {
            "reward_model/comparisons": len(self.model.comparisons),
            "preferences/labels": len(preferences),
            "preferences/ties": preferences.count(PREFERENCES["tie"]),
            "preferences/left": preferences.count(PREFERENCES["left"]),
            "preferences/duplicates": 2 * len(preferences) - len(shown),
            "preferences/overdue": max(due, 0),
            "preferences/queries_waiting": self.store.waiting(),
        }

    def _take_standing_labels(self) -> dict[str, float]:
        """What a person has answered, corrected and undone so far, or first all that they were asked."""
        seconds, waiting = 0.0, self.store.waiting()
        if self.config.preferences.when_unlabelled == "wait":
            seconds = wait_for_labels(self.store, self.queries)
        elif waiting:
            self._say(
                "labels are awaited", f"{waiting} of {self.queries:,}; training goes on (when_unlabelled: continue)"
            )
        self.load_labels(self.queries)
        return {"time/waiting_for_labels": seconds}

    def _say(self, what: str, more: str) -> None:
        """Print a note, once a process; how it goes on is in the metrics."""
        if what not in self.said:
            self.said.add(what)
            print(f"note: {what}: {more}", flush=True)

    def _ask(self, storage: Storage, due: int, env_step: int) -> int:
        """Ask about up to `due` pairs of this rollout's segments; returns how many queries there are more.

        If a run that was killed does not repeat itself, others were asked under these numbers: they are taken instead.
        """
        preferences = self.config.preferences
        segments = segments_of(storage, preferences.segment_steps, preferences.oracle.episode_end_penalty)
        if len(segments) < 2:
            steps = f"{preferences.segment_steps} steps"
            self._say(
                "labels are overdue", f"{due} at step {env_step:,}, whose rollout holds no two segments of {steps}"
            )
        pairs = choose_pairs(segments, due, preferences, self.generator, self.model)
        first = self.queries
        try:
            answered = ask(self.store, self.run, first, pairs, env_step, preferences.queries, self.oracle)
        except AskedOtherwise:
            self.exact = False
            self.load_labels(self.store.query_count(self.run))
            self._say(
                "the run does not repeat itself bit for bit",
                f"it asked otherwise before it was stopped; it goes on with all {self.queries:,} queries of then",
            )
            return self.queries - first
        for comparison in answered:
            self._add(*comparison)
        self.queries += len(pairs)
        return len(pairs)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the labels, which are in the store."""
        return {
            "initial_steps": self.initial_steps,
            "queries": self.queries,
            "labels": len(self.taken),  # fewer than queries, where an answer was "incomparable"
            "generator": self.generator.bit_generator.state,
            "model": self.model.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any], exact: bool) -> None:
        """Continue from what `state_dict` returned; labels asked for later are asked for again, and stay one.

        If the run does not repeat itself `exact`ly, others would be asked about: these labels are taken as they are.
        So are a person's, who may have given, corrected or undone some meanwhile.
        """
        self.initial_steps, self.exact = state["initial_steps"], exact
        self.load_labels(state["queries"])
        if self.oracle and len(self.taken) != state["labels"]:
            raise UserError(
                f"{self.store.path}: holds {len(self.taken)} of the {state['labels']} labels that the "
                "checkpoint has learned from; restore it from a copy, or start the run again"
            )
        if not exact or self.oracle is None:
            self.load_labels(max(self.queries, self.store.query_count(self.run)))
        self.generator.bit_generator.state = state["generator"]
        self.model.load_state_dict(state["model"])


def wait_for_labels(store: PreferenceStore, queries: int) -> float:
    """Return when none of the `queries` in the store waits for an answer; returns the seconds that took.

    Says on the terminal how many are there, at first and now and then. Ctrl-C ends it as it ends a run: labels are in
    the store, and count when the run is resumed.
    """
    start, said, next_line = time.monotonic(), -1, 0.0
    while waiting := store.waiting():
        if queries - waiting != said and time.monotonic() >= next_line:
            said, next_line = queries - waiting, time.monotonic() + SECONDS_BETWEEN_LINES
            print(f"waiting for labels: {said:,} of {queries:,}; `repro label` in another terminal", flush=True)
        time.sleep(LOOK_SECONDS)
    if said >= 0:
        print(f"all {queries:,} labels are there: going on", flush=True)
    return time.monotonic() - start
