"""Checks of what was done before: has this code run to an end, has this algorithm solved anything simpler."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from repro.config import Config
from repro.preflight.checks import CheckResult
from repro.reading import UserError
from repro.results.records import read_cells
from repro.tracking.archive import read_run
from repro.tracking.index import list_summaries
from repro.tracking.snapshot import code_hash

# What an algorithm has to solve one of before one of the next group is tried: tasks of minutes, then of hours.
SIMPLEST_FIRST = (
    ("FrozenLake-v1", "CartPole-v1", "Pendulum-v1", "Acrobot-v1", "InvertedPendulum-v5", "moving-dot"),
    ("HalfCheetah-v5", "Hopper-v5", "ALE/Pong-v5"),
    ("ALE/Breakout-v5",),
)

Params = dict[str, Any]
Summary = dict[str, Any]  # of a run, as the index has it


def check_smoke(config: Config, root: Path) -> CheckResult:
    """A run of this very code and of this `_kind`, however small, came to its end."""
    code = code_hash(root)
    finished = [run for run in list_summaries(root) if run["status"] == "finished" and run["code_hash"] == code]
    wanted = _kind(config.model_dump())
    found = next((run["id"] for run, params in _with_params(root, finished) if _kind(params) == wanted), None)
    kind = ", ".join(wanted)
    few_labels = " --set preferences.initial_labels=4 --set preferences.total_labels=4"
    return CheckResult(
        bool(found),
        f"{found} finished" if found else f"no run of this code ({code}) with {kind} has finished",
        "An error in what is done last, such as saving, costs the whole run.",
        f"a short run: repro train --seed {config.seeds.tuning[0]} with the same --params, --ablation and --set, and "
        f"--set training.total_steps={_few_steps(config)}{few_labels if config.person_annotates else ''}",
    )


def check_simpler_first(config: Config, root: Path) -> CheckResult:
    """This algorithm has solved something simpler before.

    Simpler are: an environment of an earlier group in SIMPLEST_FIRST; the same one with the true reward, if this
    run learns its reward; the same one with smaller images. Solved is what an evaluation (`repro evaluate`, or the
    pipeline's in results/cells) has scored a success. An environment of the first group with the true reward has
    nothing simpler, and passes.
    """
    env, source = config.env.id, config.reward.source
    wanted = [f"{other} from any reward" for other in simpler_environments(env)]
    wanted += [f"{env} from its true reward"] if source == "learned" else []
    found = next((name for name, params in _solved(root) if _is_simpler(params, config)), None)
    if not wanted:
        seen = f"nothing simpler than {env} from its true reward is listed"
    elif found:
        seen = f"solved before: {found}"
    else:
        seen = f"{config.agent.algorithm} has solved none of: {', '.join(wanted)}"
    return CheckResult(
        bool(found) or not wanted,
        seen,
        "What fails on a task of minutes fails on this one too, only later and with more possible causes.",
        "train on the simplest of them, then repro evaluate latest (true reward: --set reward.source=environment)",
    )


def _task(params: Params) -> tuple[str, ...]:
    """Environment, algorithm and source of rewards."""
    wanted = (("env", "id"), ("agent", "algorithm"), ("reward", "source"))
    return tuple(str(params.get(section, {}).get(name)) for section, name in wanted)


def _kind(params: Params) -> tuple[str, ...]:
    """What decides which code a run passes through: task, kind of actions, and how rewards are learned if they are."""
    actions = params.get("env", {}).get("actions")  # where the environment has both kinds
    task = (*_task(params), f"{actions} actions") if actions else _task(params)
    if params.get("reward", {}).get("source") != "learned":
        return task
    model = params.get("reward_model", {})
    learning = [str(model.get(name)) for name in ("network", "target")]
    learning += ["early stopping"] if model.get("early_stopping") else []
    return (*task, *learning, f"labels by {params.get('preferences', {}).get('annotator')}")


def _few_steps(config: Config) -> int:
    """Agent steps that cover the initial labels and two rollouts of learning."""
    rollout = config.env.num_envs * config.agent.rollout_steps
    labels = 2 * config.preferences.initial_labels * config.preferences.segment_steps
    initial = math.ceil(labels / rollout) + 1 if config.reward.source == "learned" else 0  # rollouts, and one to spare
    return rollout * (initial + 2)


def _solved(root: Path) -> Iterator[tuple[str, Params]]:
    """Name and parameters of everything that was evaluated a success."""
    evaluated = [run for run in list_summaries(root) if run.get("score") is not None]
    for run, params in _with_params(root, evaluated):
        if run["score"] >= params["evaluation"]["success_score"]:
            yield run["id"], params
    if any((root / "results" / "cells").rglob("*.json")):
        for cells in read_cells(root).values():
            for cell in cells:
                name = f"{cell.group}/seed-{cell.seed}"
                facts = root / "models" / name / "run.json"
                if cell.success and facts.exists():  # not fetched yet, otherwise
                    yield f"results/cells/{name}", _read_params(facts)


def _with_params(root: Path, summaries: Iterable[Summary]) -> Iterator[tuple[Summary, Params]]:
    """Each summary with the run's parameters, which are read from one run of all that have the same."""
    known: dict[str, Params] = {}
    for run in summaries:
        if run["params_hash"] not in known:
            known[run["params_hash"]] = read_run(root / "runs" / run["id"]).record["params"]
        yield run, known[run["params_hash"]]


def _read_params(facts: Path) -> Params:
    """The parameters in the file that lies beside published models. Raises UserError."""
    try:
        return json.loads(facts.read_bytes())["params"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{facts}: cannot be read ({error}); fetch the models again with: dvc pull") from None


def simpler_environments(name: str) -> list[str]:
    """The ids of all groups of SIMPLEST_FIRST before that of `name`; of all groups if it is in none."""
    simpler: list[str] = []
    for group in SIMPLEST_FIRST:
        if name in group:
            break
        simpler += group
    return simpler


def _is_simpler(params: Params, config: Config) -> bool:
    """Whether a run with `params` was of the same algorithm on something simpler."""
    env, algorithm, source = _task(params)
    if algorithm != config.agent.algorithm:
        return False
    if env != config.env.id:
        return env in simpler_environments(config.env.id)
    if source != config.reward.source:
        return source == "environment"
    size = getattr(config.env, "image_size", 0)  # of pictures of the same thing
    return params["env"].get("image_size", size) < size
