"""A training run in its folder: from the stored preferences and the last checkpoint to metrics and final models."""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from repro.checkpoint import check_algorithm_of, check_shapes, load_checkpoint, save_checkpoint
from repro.config import Config
from repro.envs import describe_environment
from repro.experience.playing import film_episode, make_player, policy_of
from repro.health.checks import find_problems
from repro.health.history import History
from repro.health.subject import Subject
from repro.preferences.export import check_export, read_meta
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.session.progress import Progress
from repro.session.segment_video import film_extremes
from repro.tracking.archive import AGENT, CHECKPOINT, REWARD_MODEL, RunFolder
from repro.tracking.creation import INITIAL_REWARD_MODEL
from repro.tracking.findings import add_finding, forget_findings_after, read_findings
from repro.tracking.metrics import MetricsWriter, read_metrics
from repro.tracking.provenance import devices
from repro.tracking.video import SEGMENTS, video_path
from repro.tracking.wandb import WandbMirror, WandbSettings
from repro.training import make_trainer
from repro.training.trainer import Trainer


def train_run(run: RunFolder, config: Config, settings: WandbSettings, preferences: Path | None) -> dict[str, Any]:
    """Train, or go on from the last checkpoint, until `training.total_steps`. Returns the latest value of each metric.

    Args:
        preferences: a folder of exported comparisons that the run starts from, instead of collecting its own. A run
            that was given a reward model but no comparisons keeps it as it is, and asks nothing.
    """
    seed = run.record["seed"]
    (run.path / CHECKPOINT).parent.mkdir(exist_ok=True)
    checkpoint = _read_checkpoint(run.path / CHECKPOINT)
    with open_store(run, config) as store:
        given = run.path / INITIAL_REWARD_MODEL
        initial_steps = 0 if given.exists() else None
        if preferences and not checkpoint:
            check_export(config, describe_environment(config.env), preferences, seed)
            store.import_from(preferences, run.id, renumber=True)
            initial_steps = read_meta(preferences)["env_steps"]
        trainer = make_trainer(config, seed, run.id, store, initial_steps)
        if trainer.learning and given.exists():
            trainer.learning.begin_with(load_checkpoint(given), fixed=preferences is None)
        run.update(devices=devices())
        with MetricsWriter(run.path / "metrics.jsonl") as metrics:
            if checkpoint:
                _check_networks(run.path / CHECKPOINT, checkpoint["trainer"], trainer)
                trainer.load_state_dict(checkpoint["trainer"])
                if not trainer.exact:
                    run.update(exact=False)
                    print("note: the run goes on, but not bit for bit as if it had never been stopped", flush=True)
            metrics.truncate(checkpoint["metrics_position"] if checkpoint else 0)
            forget_findings_after(run.path, trainer.env_step)
            mirror = WandbMirror.start(run.path, settings)
            exit_code = 1
            try:
                row = _train(trainer, run, metrics, mirror)
                _save_networks(trainer, run)  # before the mirror ends, which uploads them, as what is filmed
                _film_segments(trainer, run)
                exit_code = 0
            finally:
                mirror.finish(exit_code)
                with contextlib.suppress(UserError):  # whatever is wrong with the folder is reported by others
                    run.update(wandb=mirror.record())
    return row


def _save_networks(trainer: Trainer, run: RunFolder) -> None:
    """Write the final networks, without what only training needs."""
    save_agent(run.path / AGENT, trainer)
    if trainer.learning:
        save_checkpoint(run.path / REWARD_MODEL, trainer.learning.model.inference_state())


def save_agent(path: Path, trainer: Trainer) -> None:
    """Write the network that acts, and the algorithm that trained it, for `repro.results.evaluate.load_agent`."""
    network = trainer.agent.network.state_dict()
    save_checkpoint(path, {"algorithm": trainer.config.agent.algorithm, "network": network})


def open_store(run: RunFolder, config: Config) -> PreferenceStore:
    """The run's preferences (an empty store where rewards are not learned)."""
    return PreferenceStore(run.path / "preferences.db", describe_environment(config.env))


def _read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The last checkpoint, None if there is none yet. Raises UserError if it is damaged."""
    if not path.exists():
        return None
    checkpoint = load_checkpoint(path)
    if checkpoint.keys() != {"trainer", "metrics_position"}:
        raise UserError(f"{path}: not a checkpoint of a run; start the run again")
    return checkpoint


def _check_networks(path: Path, state: dict[str, Any], trainer: Trainer) -> None:
    """Raises UserError if the state read from `path` was saved by other agents or reward models than the trainer's."""
    check_algorithm_of(path, state, trainer.config.agent.algorithm)
    networks: dict[str, Any] = {"agent": trainer.agent.state_dict()}
    if trainer.learning:
        networks["learning"] = {"model": trainer.learning.model.state_dict()}
    check_shapes(path, state, networks)


def _train(trainer: Trainer, run: RunFolder, metrics: MetricsWriter, mirror: WandbMirror) -> dict[str, Any]:
    """All remaining rollouts: metrics, live health checks, progress, checkpoints. Returns the latest value of each."""
    config, videos = trainer.config, trainer.config.evaluation.video_rollouts
    rows = read_metrics(metrics.path)
    latest = {name: value for row in rows for name, value in row.items()}  # not every rollout ends an episode
    history, subject = History(rows), Subject.of(config.model_dump())
    found = {finding["check"] for finding in read_findings(run.path)}
    with Progress(config.training.total_steps, trainer.env_step) as progress:
        for count, row in enumerate(trainer.rows(), start=len(rows) + 1):
            start = time.perf_counter()
            metrics.write(row)
            if not trainer.exact and run.record.get("exact", True):  # it turned out only now
                run.update(exact=False)
            latest |= row
            history.add(row)
            for problem in find_problems(history, subject):
                if problem.check not in found:  # once a run; `repro doctor` tells the whole story
                    progress.note(f"{problem.severity}: {problem}")
                    add_finding(run.path, asdict(problem))
                    found.add(problem.check)
                if problem.check == "non_finite":  # no checkpoint from here on would be worth resuming from
                    raise UserError(f"training has diverged: {problem}")
            if news := mirror.news():
                progress.note(news)
            progress.update(row)
            if count % config.training.checkpoint_rollouts == 0 or trainer.finished:
                state = {"trainer": trainer.state_dict(), "metrics_position": metrics.position()}
                save_checkpoint(run.path / CHECKPOINT, state)
            now = time.perf_counter()
            trainer.timings["logging"] = now - start  # enters the next row
            if videos and (count % videos == 0 or trainer.finished):
                with progress.doing("filming an episode"):
                    try:
                        _film(trainer, run)
                    except UserError as error:  # training is worth more than pictures of it
                        progress.note(f"note: no more videos of episodes: {error}")
                        videos = 0
                trainer.timings["video"] = time.perf_counter() - now
    return latest


def _film(trainer: Trainer, run: RunFolder) -> None:
    """Write a video of one full episode by the policy as it is, played elsewhere: training does not notice."""
    player = make_player(trainer.config, trainer.device)
    player.network.load_state_dict(trainer.agent.network.state_dict())
    evaluation = trainer.config.evaluation
    path = video_path(run.path, trainer.env_step)
    film_episode(trainer.config, policy_of(player, evaluation.actions), evaluation.seed, path)


def _film_segments(trainer: Trainer, run: RunFolder) -> None:
    """Write a video of the segments that the reward model values highest and lowest in the end."""
    if not (trainer.learning and trainer.config.evaluation.video_rollouts):
        return
    path = video_path(run.path, trainer.env_step, SEGMENTS)
    try:
        film_extremes(trainer.config, trainer.store, run.id, trainer.learning.model, path)
    except UserError as error:  # as above
        print(f"note: no video of the segments that are valued highest and lowest: {error}", flush=True)
