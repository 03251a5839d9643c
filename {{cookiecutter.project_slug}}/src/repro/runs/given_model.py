"""`--reward-model`: the reward model of a finished run, for another run to start with."""

from __future__ import annotations

from pathlib import Path

from repro.config import Config, parse_config
from repro.envs import describe_environment
from repro.reading import UserError
from repro.results.evaluate import load_reward_model
from repro.tracking.archive import REWARD_MODEL
from repro.tracking.lookup import find_own_run


def reward_model_of(root: Path, config: Config, name: str | None) -> Path | None:
    """The final reward model of the run `name`, if one is named: a file that a run with `config` can start with.

    Raises UserError if there is none, or it is of another environment or network.
    """
    if name is None:
        return None
    if config.reward.source != "learned":
        raise UserError("--reward-model: reward.source is environment, which needs none; leave the option out")
    run = find_own_run(root, name)
    file = run.path / REWARD_MODEL
    if not file.exists():
        raise UserError(
            f"{run.id}: has no final reward model; it learns none, or has not finished (repro show {run.id})"
        )
    theirs = describe_environment(parse_config(run.record["params"], source=f"{run.id}/params.yaml").env)
    if theirs != describe_environment(config.env):
        raise UserError(f"{run.id}: its reward model is for {theirs}, not for {describe_environment(config.env)}")
    load_reward_model(config, file)
    return file
