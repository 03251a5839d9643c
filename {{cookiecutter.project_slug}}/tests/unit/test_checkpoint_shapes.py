"""A checkpoint or a network of another shape than the parameters describe: one line, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from every_algorithm import ALGORITHMS, with_algorithm
from project import DISABLED_WANDB, write_tiny_params

from repro.checkpoint import check_shapes, save_checkpoint
from repro.config import Config, load_config
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.results.evaluate import load_agent
from repro.session.run import save_agent, train_run
from repro.tracking.archive import AGENT, CHECKPOINT, RunFolder
from repro.training import make_trainer

TRUE = "reward.source=environment"


def config_of(folder: Path, *overrides: str) -> Config:
    write_tiny_params(folder / "params.yaml")
    return load_config(folder / "params.yaml", overrides)


def saved(folder: Path, config: Config) -> RunFolder:
    """A run that has just begun, with the networks it begins with."""
    (folder / "checkpoints").mkdir()
    with PreferenceStore(folder / "of-the-saved.db", "moving-dot") as store:
        trainer = make_trainer(config, 5, "run", store)
        trainer._start()
        save_checkpoint(folder / CHECKPOINT, {"trainer": trainer.state_dict(), "metrics_position": 0})
        save_agent(folder / AGENT, trainer)
    (folder / "metrics.jsonl").touch()
    return RunFolder(folder, {"id": "run", "seed": 5})


def refused(
    run: RunFolder, config: Config, because: str = r"another network than the parameters describe \(.*\); start "
) -> str:
    """What resuming with these parameters is told; nothing of the run may have changed."""
    for file in run.path.glob("preferences.db*"):  # which would refuse other observations and actions first
        file.unlink()
    before = {path: path.read_bytes() for path in run.path.rglob("*.pt")}
    with pytest.raises(UserError, match=rf"last\.pt: holds {because}") as no:
        train_run(run, config, DISABLED_WANDB, None)
    assert "\n" not in str(no.value) and not (run.path / "metrics.jsonl").read_bytes()
    assert {path: path.read_bytes() for path in run.path.rglob("*.pt")} == before
    return str(no.value)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_other_observations(algorithm: str, tmp_path: Path) -> None:
    config, other = (
        config_of(tmp_path, *with_algorithm(algorithm), TRUE, frames)
        for frames in ("env.frame_stack=2", "env.frame_stack=3")
    )
    run = saved(tmp_path, config)
    assert "(agent.network." in refused(run, other) and "32 x 2 x 8 x 8, not 32 x 3 x 8 x 8" in refused(run, other)
    with pytest.raises(UserError, match=r"agent\.pt: holds another network than the parameters describe$"):
        load_agent(other, run.path / AGENT)
    load_agent(config, run.path / AGENT)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_networks_of_another_algorithm(algorithm: str, tmp_path: Path) -> None:
    """PPO and A2C share an encoder of images between policy and values, VPG and TRPO do not."""
    run = saved(tmp_path, config_of(tmp_path, *with_algorithm(algorithm), TRUE))
    other = "trpo" if algorithm in ("ppo", "a2c") else "ppo"
    actions = "env.actions=continuous" if algorithm == "ddpg" else "env.actions=discrete"
    named = rf"an agent of {algorithm}, but agent\.algorithm is {other}; use the parameters that it was trained with"
    refused(run, config_of(tmp_path, *with_algorithm(other), TRUE, actions), named)


@pytest.mark.parametrize(("saved_with", "used_with"), [("a2c", "ppo"), ("ppo", "a2c"), ("vpg", "trpo")])
def test_another_algorithm_with_networks_of_the_same_shapes(saved_with: str, used_with: str, tmp_path: Path) -> None:
    config, other = (config_of(tmp_path, *with_algorithm(name), TRUE) for name in (saved_with, used_with))
    run = saved(tmp_path, config)
    load_agent(config, run.path / AGENT)
    named = rf"an agent of {saved_with}, but agent\.algorithm is {used_with}; use the parameters"
    refused(run, other, named)
    with pytest.raises(UserError, match=rf"agent\.pt: holds {named}"):
        load_agent(other, run.path / AGENT)


@pytest.mark.parametrize(("saved_with", "resumed_with"), [("discrete", "continuous"), ("continuous", "discrete")])
def test_other_actions(saved_with: str, resumed_with: str, tmp_path: Path) -> None:
    config, other = (config_of(tmp_path, TRUE, f"env.actions={actions}") for actions in (saved_with, resumed_with))
    refused(saved(tmp_path, config), other)


def test_another_reward_model(tmp_path: Path) -> None:
    config, members, true = (config_of(tmp_path, change) for change in ("name=tiny", "reward_model.members=3", TRUE))
    run = saved(tmp_path, config)
    assert "(learning.model.network." in refused(run, members)
    (tmp_path / "true").mkdir()
    assert "is missing" in refused(saved(tmp_path / "true", true), config)


def test_what_is_missing_too_many_or_of_another_shape_is_named() -> None:
    expected = {"network": {"a": torch.zeros(2, 3), "b": torch.zeros(())}, "optimizer": {"state": {}}, "updates": 0}
    whole = {"network": {"a": torch.ones(2, 3), "b": torch.ones(())}, "optimizer": {"state": {0: torch.ones(2)}}}
    check_shapes(Path("c.pt"), whole, expected)
    for network, found in (
        ({"a": torch.ones(3, 2), "b": torch.ones(())}, r"network\.a is 3 x 2, not 2 x 3"),
        ({"a": torch.ones(2, 3), "b": torch.ones(1)}, r"network\.b is 1, not a number"),
        ({"a": torch.ones(2, 3)}, r"network\.b is missing"),
        ({"a": 0, "b": torch.ones(())}, r"network\.a is missing"),
        ({**whole["network"], "c": torch.ones(1)}, r"network\.c is too many"),
        (None, r"network\.a is missing"),
    ):
        with pytest.raises(UserError, match=rf"^c\.pt: holds another network .* \({found}\); start the run again$"):
            check_shapes(Path("c.pt"), {"network": network}, expected)
