"""A training run in its folder: from the stored preferences and the last checkpoint to metrics and final models."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from gymnasium.spaces import Discrete

from repro.config import Config, UserError
from repro.health.checks import find_problems
from repro.preferences.store import PreferenceStore
from repro.tracking.archive import RunFolder
from repro.tracking.metrics import MetricsWriter, read_metrics
from repro.tracking.provenance import devices
from repro.tracking.wandb import WandbMirror, WandbSettings
from repro.training.checkpoint import load_checkpoint, save_checkpoint
from repro.training.on_policy import OnPolicyTrainer
from repro.training.progress import Progress

CHECKPOINT = Path("checkpoints/last.pt")  # the whole state, to resume from
AGENT, REWARD_MODEL = Path("checkpoints/agent.pt"), Path("checkpoints/reward_model.pt")  # final networks only


def train_run(run: RunFolder, config: Config, settings: WandbSettings, preferences: Path | None) -> dict[str, Any]:
    """Train, or go on from the last checkpoint, until `training.total_steps`. Returns the last row of metrics.

    Args:
        preferences: a folder of exported comparisons that the run starts from, instead of collecting its own.
    """
    (run.path / CHECKPOINT).parent.mkdir(exist_ok=True)
    with open_store(run, config) as store:
        initial_steps = _import_preferences(store, run, config, preferences) if preferences else None
        trainer = OnPolicyTrainer(config, run.record["seed"], run.id, store, initial_steps)
        run.update(devices=devices())
        mirror = WandbMirror.start(run.path, run.record, settings)
        exit_code = 1
        try:
            with MetricsWriter(run.path / "metrics.jsonl", mirror.log) as metrics:
                _restore(trainer, run, metrics)
                row = _train(trainer, run, metrics)
            exit_code = 0
            run.update(wandb=mirror.record())
        finally:
            mirror.finish(exit_code)
    save_checkpoint(run.path / AGENT, trainer.agent.state_dict()["network"])
    if trainer.learning:
        save_checkpoint(run.path / REWARD_MODEL, trainer.learning.model.inference_state())
    return row


def open_store(run: RunFolder, config: Config) -> PreferenceStore:
    """The run's preferences (an empty store where rewards are not learned)."""
    return PreferenceStore(run.path / "preferences.db", describe_environment(config))


def describe_environment(config: Config) -> str:
    """What segments must have in common to be compared: the environment and its observations."""
    env = config.env
    size = f"{env.image_size}x{env.image_size}x{env.frame_stack}"
    return f"{env.id}, {env.actions} actions, images {size}, frame skip {env.frame_skip}"


def _import_preferences(store: PreferenceStore, run: RunFolder, config: Config, folder: Path) -> int:
    """Enter the initial comparisons; returns the agent steps they cost. Raises UserError if they do not fit."""
    if config.reward.source != "learned":
        raise UserError("--preferences: reward.source is environment, which needs none; leave the option out")
    meta = store.import_from(folder, run.id)
    wanted = config.preferences.initial_labels
    if meta["labels"] != wanted:
        raise UserError(
            f"{folder}: holds {meta['labels']} labels, but preferences.initial_labels is {wanted}; "
            f"collect them again: repro prefs collect --seed {run.record['seed']} --out {folder}"
        )
    return meta["env_steps"]


def _restore(trainer: OnPolicyTrainer, run: RunFolder, metrics: MetricsWriter) -> None:
    """Back to the last checkpoint, or to the start where there is none; later rows are taken back."""
    path = run.path / CHECKPOINT
    if path.exists():
        state = load_checkpoint(path, trainer.device)
        trainer.load_state_dict(state["trainer"])
        metrics.truncate(state["metrics_position"])
    else:
        metrics.truncate(0)


def _train(trainer: OnPolicyTrainer, run: RunFolder, metrics: MetricsWriter) -> dict[str, Any]:
    """All remaining rollouts: metrics, live health checks, progress, checkpoints. Returns the last row."""
    config = trainer.config
    rows = read_metrics(metrics.path)
    warned: set[str] = set()
    actions = trainer.envs.single_action_space
    max_entropy = math.log(actions.n) if isinstance(actions, Discrete) else None
    with Progress(config.training.total_steps, trainer.env_step) as progress:
        for count, row in enumerate(trainer.rows(), start=1):
            start = time.perf_counter()
            metrics.write(row)
            rows.append(row)
            for problem in find_problems(rows, max_entropy):
                if problem.check not in warned:  # once a run; `repro doctor` tells the whole story
                    progress.note(f"warning: {problem}")
                    warned.add(problem.check)
            progress.update(row)
            if count % config.training.checkpoint_rollouts == 0 or trainer.finished:
                state = {"trainer": trainer.state_dict(), "metrics_position": metrics.position()}
                save_checkpoint(run.path / CHECKPOINT, state)
            trainer.timings["logging"] = time.perf_counter() - start  # enters the next row
    return rows[-1]
