"""Evaluation: full episodes from fixed starts, scored by true return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from repro.agents import Agent
from repro.checkpoint import check_algorithm_of, load_checkpoint
from repro.config import Config
from repro.device import choose_device, choose_precision
from repro.envs import make_envs
from repro.experience.episodes import score
from repro.experience.playing import (
    Episodes,
    film_episode,
    make_player,
    play_episodes,
    policy_of,
    random_policy,
    spaces_of,
)
from repro.preferences.reward_model import RewardModel
from repro.reading import UserError
from repro.seeding import numpy_generator
from repro.session.run import open_store
from repro.session.segment_video import film_extremes
from repro.tracking.archive import REWARD_MODEL, RunFolder
from repro.tracking.metrics import read_last_row
from repro.tracking.video import SEGMENTS, video_path

MOST_AT_ONCE = 128  # episodes, so that memory does not grow with their number


def evaluate(config: Config, agent_file: Path, play: Sequence[str] = ("sampled", "greedy")) -> dict[str, Any]:
    """Evaluate the network saved in `agent_file`, with sampled and with greedy actions, beside two baselines.

    All face the same `evaluation.episodes` starts, drawn from `evaluation.seed`, one full episode each: were episodes
    taken as they end, short ones would count more. Scores are those of `repro.experience.episodes`.

    Returns `episodes` and `seed` as in the parameters, and what `summarise` says: under each name in `play` of these
    actions, under `random` of uniformly random ones, under `optimal` of the best returns known, without lengths. Raises
    UserError if the file is missing, damaged or of another network, or if the network or a return is not finite.
    """
    settings = config.evaluation
    torch.set_num_threads(config.training.threads)
    agent = load_agent(config, agent_file)
    generator = numpy_generator(settings.seed, "random policy")
    played: dict[str, list[Episodes]] = {name: [] for name in (*play, "random")}
    for first in range(0, settings.episodes, MOST_AT_ONCE):
        envs = make_envs(config.env, min(MOST_AT_ONCE, settings.episodes - first), evaluation=True)
        for name, batches in played.items():
            policy = random_policy(envs, generator) if name == "random" else policy_of(agent, name)
            batches.append(play_episodes(envs, settings.seed + first, policy))
        envs.close()
    episodes = {name: np.concatenate(batches, axis=1) for name, batches in played.items()}
    scale = episodes["random"][2:]
    summaries = {name: summarise(returns, lengths, scale) for name, (returns, lengths, *_) in episodes.items()}
    best = summarise(scale[1], None, scale)
    return {"episodes": settings.episodes, "seed": settings.seed} | summaries | {"optimal": best}


def film(config: Config, agent_file: Path, folder: Path, actions: str, count: int) -> Iterator[tuple[Path, float, int]]:
    """Write videos of `count` episodes by `sampled` or `greedy` actions; yields path, return and steps of each.

    Starts are drawn from evaluation.seed, from evaluation.seed + 1 and so on.
    """
    agent = load_agent(config, agent_file)
    for seed in range(config.evaluation.seed, config.evaluation.seed + count):
        path = folder / f"evaluation-{actions}-seed-{seed}.mp4"
        returns, lengths, *_ = film_episode(config, policy_of(agent, actions), seed, path)
        yield path, float(returns[0]), int(lengths[0])


def film_segments(config: Config, run: RunFolder) -> Path | None:
    """Write a video of the segments that the run's reward model values highest and lowest; returns its path.

    None if the run has asked about no segments. Raises UserError as `load_agent`, or if they cannot be drawn.
    """
    file, database = run.path / REWARD_MODEL, run.path / "preferences.db"
    if config.reward.source != "learned" or not database.exists():
        return None
    last = read_last_row(run.path / "metrics.jsonl") or {}
    path = video_path(run.path, int(last.get("env_step", 0)), SEGMENTS)
    with open_store(run, config) as store:
        return path if film_extremes(config, store, run.id, load_reward_model(config, file), path) else None


def load_agent(config: Config, agent_file: Path) -> Agent:
    """The trained agent, for acting.

    Raises UserError if the file is missing, damaged, or of another algorithm or network.
    """
    agent, saved = make_player(config, evaluation_device(config)), load_checkpoint(agent_file)
    check_algorithm_of(agent_file, saved, config.agent.algorithm)
    with _explained(agent_file, agent.network):
        agent.network.load_state_dict(saved["network"])
    return agent


def load_reward_model(config: Config, file: Path) -> RewardModel:
    """The trained reward model, to `predict` with. Raises UserError as `load_agent` does."""
    device = evaluation_device(config)
    space, _ = spaces_of(config.env)
    precision = choose_precision(config.training.precision, device)
    model = RewardModel(space, config.reward_model, device, seed=0, precision=precision)  # which trains no more
    with _explained(file, model.network):
        model.load_inference_state(load_checkpoint(file))
    return model


def evaluation_device(config: Config) -> torch.device:
    """A GPU only if there is one: what was trained on a GPU can be looked at without, and `repro evaluate` says so."""
    return choose_device("cpu" if config.training.device == "cpu" else "auto")


@contextmanager
def _explained(file: Path, network: nn.Module) -> Iterator[None]:
    """Say in one line what is wrong with the state that is being loaded into `network`. Raises UserError."""
    try:
        yield
    except (RuntimeError, KeyError):
        raise UserError(f"{file}: holds another network than the parameters describe") from None
    if not all(bool(values.isfinite().all()) for values in network.state_dict().values()):
        raise UserError(f"{file}: holds numbers that are not finite: training has diverged; train again, more slowly")


def summarise(returns: NDArray, lengths: NDArray | None, scale: NDArray) -> dict[str, float]:
    """The score on this scale (2, N), and what else there is to say of returns (N,) and of lengths in steps (N,)."""
    summary = {
        "score": score(returns, scale),
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std(ddof=1)) if len(returns) > 1 else 0.0,
        "return_min": float(returns.min()),
        "return_max": float(returns.max()),
        "returns_sum": float(returns.sum()),
    }
    return summary if lengths is None else summary | {"length_mean": float(lengths.mean())}


def format_evaluation(evaluation: dict[str, Any], config: Config) -> str:
    """A table for the terminal; the judged row is marked."""
    judged = config.evaluation.actions
    table: list[tuple[str, ...]] = [("", "score", "return", "std", "min", "max", "steps", "")]
    for name, label in (("sampled", "sampled"), ("greedy", "greedy"), ("random", "random"), ("optimal", "best known")):
        if row := evaluation.get(name):
            numbers = [row[f"return_{which}"] for which in ("mean", "std", "min", "max")]
            numbers += [row["length_mean"]] if "length_mean" in row else []
            texts = [f"{number:.{0 if abs(number) >= 10_000 else 1}f}" for number in numbers]
            texts += [""] * (5 - len(texts))
            table.append((label, f"{row['score']:.3f}", *texts, "<- judged" if name == judged else ""))
    sizes = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [f"{evaluation['episodes']} full episodes from fixed starts (evaluation seed {evaluation['seed']})"]
    for label, *numbers, mark in table:
        cells = [f"{number:>{size}}" for number, size in zip(numbers, sizes[1:-1], strict=True)]
        lines.append("  ".join([f"{label:<{sizes[0]}}", *cells, mark]).rstrip())
    if judged in evaluation:
        success = evaluation[judged]["score"] >= config.evaluation.success_score
        lines.append(
            f"{'success' if success else 'no success'}: the score judged against is {config.evaluation.success_score:g}"
            " (0: about random, 1: best known)"
        )
    return "\n".join(lines)
