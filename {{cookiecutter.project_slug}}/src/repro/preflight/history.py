"""Checks of what was done before: has this code run to an end, has this algorithm solved anything simpler."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repro.config import Config, UserError
from repro.envs import simpler_environments
from repro.preflight.checks import CheckResult
from repro.results.records import read_cells
from repro.tracking.archive import list_runs
from repro.tracking.snapshot import code_hash

Params = dict[str, Any]


def check_smoke(config: Config, root: Path) -> CheckResult:
    """A run of this very code, environment, algorithm and source of rewards, however small, came to its end."""
    code = code_hash(root)
    runs = [
        record
        for record in list_runs(root)
        if record["status"] == "finished" and record["code_hash"] == code and _kind(record["params"]) == _kind(config)
    ]
    kind = ", ".join(_kind(config))
    seen = f"{runs[-1]['id']} finished" if runs else f"no run of this code ({code}) with {kind} has finished"
    return CheckResult(
        "smoke",
        bool(runs),
        seen,
        "An error in what is done last, such as saving, costs the whole run.",
        f"a short run: repro train --seed {config.seeds.tuning[0]} with the same --params and --set, and "
        f"--set training.total_steps={_few_steps(config)}",
    )


def check_simpler_first(config: Config, root: Path) -> CheckResult:
    """This algorithm has solved something simpler before.

    Simpler are: an environment of an earlier group in `envs.SIMPLEST_FIRST`; the same one with the true reward, if this
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
        "simpler_first",
        bool(found) or not wanted,
        seen,
        "What fails on a task of minutes fails on this one too, only later and with more possible causes.",
        "train on the simplest of them, then repro evaluate latest (true reward: --set reward.source=environment)",
    )


def _kind(params: Params | Config) -> tuple[str, ...]:
    """Environment, algorithm and source of rewards."""
    values = params.model_dump() if isinstance(params, Config) else params
    wanted = (("env", "id"), ("agent", "algorithm"), ("reward", "source"))
    return tuple(str(values.get(section, {}).get(name)) for section, name in wanted)


def _few_steps(config: Config) -> int:
    """Agent steps that cover the initial labels and two rollouts of learning."""
    rollout = config.env.num_envs * config.agent.rollout_steps
    labels = 2 * config.preferences.initial_labels * config.preferences.segment_steps
    initial = math.ceil(labels / rollout) + 1 if config.reward.source == "learned" else 0  # rollouts, and one to spare
    return rollout * (initial + 2)


def _solved(root: Path) -> Iterator[tuple[str, Params]]:
    """Name and parameters of everything that was evaluated a success."""
    for record in list_runs(root):
        evaluation, judging = record.get("evaluation"), record.get("params", {}).get("evaluation", {})
        if evaluation and evaluation[judging["actions"]]["score"] >= judging["success_score"]:
            yield record["id"], record["params"]
    if any((root / "results" / "cells").rglob("*.json")):
        for cells in read_cells(root).values():
            for cell in cells:
                name = f"{cell.experiment}/seed-{cell.seed}"
                facts = root / "models" / name / "run.json"
                if cell.success and facts.exists():  # not fetched yet, otherwise
                    yield f"results/cells/{name}", _read_params(facts)


def _read_params(facts: Path) -> Params:
    """The parameters in the file that lies beside published models. Raises UserError."""
    try:
        return json.loads(facts.read_bytes())["params"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{facts}: cannot be read ({error}); fetch the models again with: dvc pull") from None


def _is_simpler(params: Params, config: Config) -> bool:
    """Whether a run with `params` was of the same algorithm on something simpler."""
    env, algorithm, source = _kind(params)
    if algorithm != config.agent.algorithm:
        return False
    if env != config.env.id:
        return env in simpler_environments(config.env.id)
    if source != config.reward.source:
        return source == "environment"
    size = getattr(config.env, "image_size", 0)  # of pictures of the same thing
    return params["env"].get("image_size", size) < size
