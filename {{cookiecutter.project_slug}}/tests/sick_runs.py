"""Bugs that are planted in real training runs, each with the health checks of which one has to name it."""

from __future__ import annotations

import copy
import itertools
import math
import mmap
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch

from repro.config import Config, parse_config
from repro.envs import describe_environment
from repro.health.history import Row
from repro.machine import resident_memory
from repro.preferences.oracle import Oracle
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.training import make_trainer
from repro.training.trainer import Trainer

BOTH, LEARNED = ("environment", "learned"), ("learned",)  # sources of rewards


@dataclass(frozen=True)
class Bug:
    """What is wrong, and which checks may name it."""

    what: str
    named: tuple[str, ...]
    overrides: tuple[tuple[str, Any], ...] = ()  # parameters
    plant: Callable[[Trainer], None] = lambda trainer: None
    patch: Callable[[], Any] = nullcontext  # of code that no trainer holds
    rewards: tuple[str, ...] = BOTH


def train(
    config: Config, seed: int, bug: Bug | None = None, enough: Callable[[Row], bool] = lambda row: False
) -> list[Row]:
    """The metrics of a run with the bug, up to where it breaks down, or `enough` says so of its last row."""
    values = config.model_dump(mode="json")
    for name, value in bug.overrides if bug else ():
        *sections, field = name.split(".")
        target = values
        for section in sections:
            target = target[section]
        target[field] = value
    config = parse_config(values)
    rows: list[Row] = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        store = stack.enter_context(PreferenceStore(Path(folder) / "p.db", describe_environment(config.env)))
        if bug:
            stack.enter_context(bug.patch())
        trainer = make_trainer(config, seed, "run", store)
        if bug:
            bug.plant(trainer)
        try:
            for row in trainer.rows():
                rows.append(row)
                if enough(row) or not math.isfinite(row["policy/loss"]):  # the latter is where a run is stopped
                    break
        except UserError:  # diverged
            assert rows
    return rows


def change(owner: Any, name: str, how: Callable[[Any], Any]) -> None:
    """Replace a method by one whose result is changed."""
    method = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: how(method(*args, **kwargs)))


def on_each_rollout(trainer: Trainer, what: Callable[[int], None]) -> None:
    """Do something after each rollout, given how many there were."""
    count = 0

    def counted(metrics: Any) -> Any:
        nonlocal count
        count += 1
        what(count)
        return metrics

    change(trainer, "_train_on_one_rollout", counted)


def rollouts_of(trainer: Trainer) -> float:
    return trainer.config.training.total_steps / trainer.storage.true_rewards.size


def entropy_penalty(trainer: Trainer) -> None:
    agent: Any = trainer.agent
    agent.config = agent.config.model_copy(update={"entropy_coefficient": -10.0})


def deaf_encoder(trainer: Trainer) -> None:
    trainer.agent.network.encoder.register_forward_hook(lambda encoder, observations, features: features.detach())


def turned_round(trainer: Trainer) -> None:
    change(trainer.source, "relabel", lambda answer: (-answer[0], answer[1]))


def scaled_rewards(trainer: Trainer) -> None:
    change(trainer.source, "relabel", lambda answer: (1000 * answer[0], answer[1]))


def nan_reward(trainer: Trainer) -> None:
    def spoil(answer: Any) -> Any:
        if trainer.env_step > trainer.config.training.total_steps / 2:
            answer[0][0, 0] = np.nan
        return answer

    change(trainer.source, "relabel", spoil)


def negated_values(trainer: Trainer) -> None:
    def negate(rollout: Any) -> Any:
        rollout.values[:-1] = -2 * rollout.values[:-1]
        return rollout

    change(trainer.storage, "rollout", negate)


def offset_values(trainer: Trainer) -> None:
    def offset(rollout: Any) -> Any:
        rollout.values.add_(10000.0)
        return rollout

    change(trainer.storage, "rollout", offset)


def early_end(trainer: Trainer) -> None:
    envs: Any = trainer.envs
    name = "max_episode_steps" if hasattr(envs, "max_episode_steps") else "max_steps"
    setattr(envs, name, 5)


def slower_and_slower() -> Any:
    """By the trainer's clock, which is read once a rollout: what else the machine does shall not matter."""
    readings = itertools.count()

    def seconds() -> float:
        reading = next(readings)
        return reading + reading**2 / 10

    return mock.patch("repro.training.trainer.time", SimpleNamespace(perf_counter=seconds))


def leak(trainer: Trainer) -> None:
    kept = []
    size = int(1.5 * resident_memory() * 2**20 / rollouts_of(trainer))

    def keep(count: int) -> None:
        kept.append(mmap.mmap(-1, size))  # goes back to the system in the end, unlike what Python frees
        kept[-1].write(b"1" * size)

    on_each_rollout(trainer, keep)


def model_of(trainer: Trainer) -> Any:
    assert trainer.learning
    return trainer.learning.model


def stale_statistics(trainer: Trainer) -> None:
    model_of(trainer).normaliser.follow = lambda *args: None


def constant_prediction(trainer: Trainer) -> None:
    change(model_of(trainer), "raw", lambda raw: torch.full_like(raw, 0.5))


def one_member(trainer: Trainer) -> None:
    change(model_of(trainer), "raw", lambda raw: raw[:1].repeat(len(raw), 1))
    change(model_of(trainer), "normalise", lambda rewards: rewards[:1].repeat(len(rewards), 1))


def merging_members(trainer: Trainer) -> None:
    def merge(rewards: Any) -> Any:
        early = trainer.env_step < trainer.config.training.total_steps / 3
        return rewards if early else rewards.mean(0) + 0.01 * (rewards - rewards.mean(0))

    change(model_of(trainer), "normalise", merge)


def always_left() -> Any:
    return mock.patch.object(Oracle, "answer", lambda *args: "left")


def all_tie() -> Any:
    return mock.patch.object(Oracle, "answer", lambda *args: "tie")


def asks_again(trainer: Trainer) -> None:
    learning: Any = trainer.learning
    ask = learning._ask
    first: list[Any] = []

    def ask_again(storage: Any, due: int, env_step: int) -> int:
        first.extend([] if first else [copy.deepcopy(storage)])
        return ask(first[0], due, env_step)

    learning._ask = ask_again


def never_asks(trainer: Trainer) -> None:
    learning: Any = trainer.learning
    learning._ask = lambda *args: 0


def never_answers(trainer: Trainer) -> None:
    learning: Any = trainer.learning
    learning.oracle = None  # as of a person who has left: the initial labels are there, no other comes


BUGS = (
    Bug("a learning rate of 1e6", ("large_update", "non_finite"), (("agent.learning_rate", 1e6),)),
    Bug("a learning rate a hundred times too large", ("kl_spike",), (("agent.learning_rate", 0.1),)),
    Bug("a learning rate of 1e-12", ("small_update",), (("agent.learning_rate", 1e-12),)),
    Bug("no gradient for the encoder", ("still_layer",), plant=deaf_encoder),
    Bug("one reward is NaN", ("non_finite",), plant=nan_reward),
    Bug("rewards a thousand times as large", ("large_targets",), plant=scaled_rewards),
    Bug("an entropy bonus of 1,000", ("random_policy",), (("agent.entropy_coefficient", 1000.0),)),
    Bug("an entropy bonus with the wrong sign", ("entropy_collapse",), plant=entropy_penalty),
    Bug("a clip range of 0.0001", ("much_clipped",), (("agent.clip_range", 1e-4),)),
    Bug(
        "rewards with the wrong sign",
        ("no_progress", "reward_hacking", "uncorrelated_reward", "worse_than_random"),
        plant=turned_round,
    ),
    Bug("values with the wrong sign", ("bad_values",), plant=negated_values),
    Bug("values with a constant added", ("advantages_off_centre",), plant=offset_values),
    Bug("all episodes end after five steps", ("equal_episodes",), plant=early_end),
    Bug("each rollout takes longer", ("slowing_down",), patch=slower_and_slower),
    Bug("a list of all rollouts is kept", ("growing_memory",), plant=leak),
    Bug("predictions are normalised by 0 and 1", ("stale_normaliser",), plant=stale_statistics, rewards=LEARNED),
    Bug("a constant is predicted", ("flat_reward",), plant=constant_prediction, rewards=LEARNED),
    Bug(
        "the reward model's optimiser does nothing",
        ("reward_learns_nothing",),
        (("reward_model.learning_rate", 1e-12),),
        rewards=LEARNED,
    ),
    Bug("labels turned round", ("uncorrelated_reward",), (("preferences.oracle.mistake", 1.0),), rewards=LEARNED),
    Bug(
        "labels at random",
        ("uncorrelated_reward", "reward_learns_nothing", "overfitted_reward"),
        (("preferences.oracle.mistake", 0.5),),
        rewards=LEARNED,
    ),
    Bug("members are copies of one", ("identical_members",), plant=one_member, rewards=LEARNED),
    Bug("members grow together", ("shrunken_disagreement",), plant=merging_members, rewards=LEARNED),
    Bug("the answer is always left", ("unbalanced_labels",), patch=always_left, rewards=LEARNED),
    Bug("the answer is always a tie", ("many_ties",), patch=all_tie, rewards=LEARNED),
    Bug("the same clips are shown again and again", ("duplicate_segments",), plant=asks_again, rewards=LEARNED),
    Bug("nothing is asked any more", ("labels_overdue",), plant=never_asks, rewards=LEARNED),
    Bug(
        "nothing is answered any more",
        ("labels_overdue",),
        (("preferences.when_unlabelled", "continue"),),
        plant=never_answers,
        rewards=LEARNED,
    ),
    Bug(
        "labels are learned by heart",
        ("overfitted_reward",),
        (
            ("preferences.total_labels", 60),
            ("preferences.initial_labels", 60),
            ("preferences.oracle.mistake", 0.3),  # which can only be learned by heart
            ("reward_model.validation_fraction", 0.3),
            ("reward_model.weight_decay", 0.0),
            ("reward_model.steps_per_rollout", 60),
            ("reward_model.learning_rate", 0.02),
            ("reward_model.hidden", 128),
            ("reward_model.answer_noise", 0.0),
        ),
        rewards=LEARNED,
    ),
)
