"""How long a run will take: a little of everything that it repeats is done and timed, the rest is arithmetic."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from repro.checkpoint import checkpoint_bytes
from repro.config import Config, ReplayConfig
from repro.envs import make_envs
from repro.experience.playing import make_player, policy_of
from repro.preferences.reward_model import VALIDATION_COMPARISONS, RewardModel
from repro.preferences.store import PreferenceStore
from repro.terminal.waiting import waiting
from repro.tracking.video import VideoWriter
from repro.training import make_trainer
from repro.training.trainer import Trainer

PROBE_LABELS = 32  # comparisons to time the reward model with
PROBE_STEPS = 25  # gradient steps in a row at most: what follows them, and validations between them, are timed too
PROBE_SECONDS = 0.5  # for each thing that is timed; at least one repetition, after one to warm up
ROLLOUT_SECONDS = 1.5  # for rollouts, which are most of a run
START_SECONDS = 5.0  # of an idle processor, until the first rollout and after the last: imports, networks, the archive
FILMED_STEPS = 2000  # of an episode at most: games that may last half an hour rarely do


def estimate_minutes(config: Config, seed: int) -> float:
    """Minutes that a run will take on this machine, as busy as it is now.

    Does a few rollouts with updates, gradient steps of the reward model, a checkpoint and a few steps of a video, in a
    temporary place. Takes seconds, or as long as two rollouts do; of a short run, nothing is done more often than the
    run itself does it. Episodes that are filmed are taken to last as long as they may; evaluation, which is a command
    of its own, is not counted.
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
            clock, processor = time.perf_counter(), time.process_time()
            rollout = _time(lambda: next(rows), rollouts, warm_up=False, seconds=ROLLOUT_SECONDS)
            waited = (time.perf_counter() - clock) / max(time.process_time() - processor, 1e-9)  # for other processes
            around = START_SECONDS * max(1.0, waited) + _saving_and_filming(trainer, config, rollouts, Path(folder))
            if trainer.learning is None:
                return (around + rollouts * rollout) / 60
            model = trainer.learning.model
            block = min(max(1, config.reward_model.steps_per_rollout), PROBE_STEPS)
            steps = config.reward_model.pretraining_steps + rollouts * config.reward_model.steps_per_rollout
            model.train(1)  # to warm up
            gradient_step = _time(lambda: model.train(block), math.ceil(steps / block), warm_up=False) / block
            validation = _time(model.validate, rollouts)
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
    return (around + initial * environment + pretraining + max(0, rollouts - initial) * learning) / 60


def _saving_and_filming(trainer: Trainer, config: Config, rollouts: int, folder: Path) -> float:
    """Seconds that all checkpoints and videos of a run of so many rollouts take."""
    checkpoints = rollouts // config.training.checkpoint_rollouts + 1
    seconds = checkpoints * _time(lambda: checkpoint_bytes(trainer.state_dict()), checkpoints, warm_up=False)
    if config.evaluation.video_rollouts:
        videos = rollouts // config.evaluation.video_rollouts + 1
        steps = videos * min(config.env.max_steps, FILMED_STEPS)
        seconds += steps * _filmed_step(trainer, steps, folder)
    return seconds


def _filmed_step(trainer: Trainer, steps: int, folder: Path) -> float:
    """Seconds that a step of an episode takes while it is filmed; the run films so many `steps`."""
    config = trainer.config
    policy = policy_of(make_player(config, trainer.device), config.evaluation.actions)
    envs = make_envs(config.env, num_envs=1, evaluation=True, render=True)
    try:
        observations, _ = envs.reset(seed=config.evaluation.seed)
        with VideoWriter(folder / "video.mp4", envs.metadata["render_fps"]) as video:

            def step() -> None:
                nonlocal observations
                observations = envs.step(policy(observations))[0]
                video.add(np.asarray(envs.render())[0])

            return _time(step, steps)
    finally:
        envs.close()


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


def _time(action: Callable[[], object], most: int, warm_up: bool = True, seconds: float = PROBE_SECONDS) -> float:
    """Seconds that `action` takes: the mean of repetitions for so many `seconds`, one at least and `most` at most."""
    if warm_up:
        action()
    start, repetitions = time.perf_counter(), 0
    while not repetitions or (repetitions < most and time.perf_counter() - start < seconds):
        action()
        repetitions += 1
    return (time.perf_counter() - start) / repetitions
