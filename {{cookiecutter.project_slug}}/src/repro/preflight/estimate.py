"""How long a run will take: a little of everything that it repeats is done and timed, the rest is arithmetic."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from repro.config import Config, ReplayConfig
from repro.preferences.reward_model import VALIDATION_COMPARISONS, RewardModel
from repro.preferences.store import PreferenceStore
from repro.preflight.waiting import waiting
from repro.training.loops import make_trainer

PROBE_LABELS = 32  # comparisons to time the reward model with
PROBE_SECONDS = 0.5  # for each thing that is timed; at least one repetition, after one to warm up


def estimate_minutes(config: Config, seed: int) -> float:
    """Minutes that training will take on this machine, as busy as it is now.

    Does a few rollouts with updates, and gradient steps of the reward model, in a temporary place. Takes seconds, or as
    long as two rollouts do. Evaluation, checkpoints and videos are not counted.
    """
    rollouts = math.ceil(config.training.total_steps / (config.env.num_envs * config.agent.rollout_steps))
    with (
        waiting("estimating how long this will take"),
        tempfile.TemporaryDirectory() as folder,
        PreferenceStore(Path(folder) / "preferences.db") as store,
    ):
        trainer = make_trainer(_probe(config, rollouts), seed, "estimate", store)
        try:
            rows = trainer.rows()
            environment = next(rows)["time/env"]  # of one rollout
            rollout = _time(lambda: next(rows), warm_up=False)
            if trainer.learning is None:
                return rollouts * rollout / 60
            model = trainer.learning.model
            gradient_step, validation = _time(lambda: model.train(1)), _time(model.validate)
        finally:
            trainer.envs.close()
    preferences = config.preferences
    segments = config.env.num_envs * (config.agent.rollout_steps // preferences.segment_steps)  # of one rollout
    initial = math.ceil(2 * preferences.initial_labels / segments)  # rollouts of random behaviour, for the first labels
    mean_labels = (preferences.initial_labels + preferences.total_labels) / 2
    learning = (
        rollout
        + config.reward_model.steps_per_rollout * gradient_step
        + validation * (validation_growth(model, mean_labels) - 1)  # the rollout that was timed contains one
    )
    pretraining = config.reward_model.pretraining_steps * gradient_step
    return (initial * environment + pretraining + max(0, rollouts - initial) * learning) / 60


def validation_growth(model: RewardModel, labels: float) -> float:
    """How many times as many comparisons are looked at in a validation once there are `labels` of them."""
    _, held_out = model.comparisons.labels(torch.arange(len(model.comparisons)))
    candidates = int(held_out.any(0).sum())
    if not candidates:
        return 1.0
    return min(labels * candidates / len(model.comparisons), VALIDATION_COMPARISONS) / min(
        candidates, VALIDATION_COMPARISONS
    )


def _probe(config: Config, rollouts: int) -> Config:
    """The same run with few labels and without training of the reward model, long enough to be timed."""
    steps = config.training.total_steps * math.ceil(1000 / rollouts)
    labels = min(PROBE_LABELS, config.preferences.initial_labels)
    no_training = {"pretraining_steps": 0, "steps_per_rollout": 0}
    agent = config.agent
    if isinstance(agent, ReplayConfig):  # is to learn at once
        agent = agent.model_copy(update={"learning_starts": agent.batch_size})
    return config.model_copy(
        update={
            "agent": agent,
            "training": config.training.model_copy(update={"total_steps": steps}),
            "preferences": config.preferences.model_copy(update={"annotator": "oracle", "initial_labels": labels}),
            "reward_model": config.reward_model.model_copy(update=no_training),
        }
    )


def _time(action: Callable[[], object], warm_up: bool = True) -> float:
    """Seconds that `action` takes: the mean of as many repetitions as fit into PROBE_SECONDS, one at least."""
    if warm_up:
        action()
    start, repetitions = time.perf_counter(), 0
    while not repetitions or time.perf_counter() - start < PROBE_SECONDS:
        action()
        repetitions += 1
    return (time.perf_counter() - start) / repetitions
