"""A run that is killed at any moment, and resumed, equals the uninterrupted one bit for bit.

The runs are real processes, killed by the kernel; a fork server that has imported torch makes starting them cheap.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from every_algorithm import ALGORITHMS, with_algorithm
from project import Project, assert_equal_runs, labels, line_count, rows, wait_until, write_tiny_params

from repro.checkpoint import load_checkpoint
from repro.config import load_config
from repro.reading import UserError
from repro.session.run import train_run
from repro.tracking.archive import RunFolder
from repro.tracking.wandb import WandbSettings

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["repro.session.run"])

KINDS = {
    "discrete-learned": (),
    "continuous-learned": ("env.actions=continuous", "training.precision=bfloat16"),
    "discrete-environment": ("reward.source=environment", "training.precision=bfloat16"),
    "continuous-environment": ("reward.source=environment", "env.actions=continuous"),
}


def train(folder: Path, overrides: tuple[str, ...], preferences: Path | None, seed: int) -> None:
    """What a process does in which a run is started or resumed."""
    config = load_config(folder.parent / "params.yaml", overrides)
    run = RunFolder(folder, {"id": "run", "seed": seed})
    train_run(run, config, WandbSettings(None, "dot", "disabled"), preferences)


class Runs:
    """Runs of one kind, in one folder."""

    def __init__(self, folder: Path, overrides: tuple[str, ...]) -> None:
        self.folder, self.overrides = folder, overrides
        folder.mkdir(exist_ok=True)
        write_tiny_params(folder / "params.yaml")

    def start(self, name: str, preferences: Path | None = None, seed: int = 7) -> multiprocessing.process.BaseProcess:
        (self.folder / name).mkdir(exist_ok=True)
        process = PROCESSES.Process(target=train, args=(self.folder / name, self.overrides, preferences, seed))
        process.start()
        return process

    def finish(self, name: str, preferences: Path | None = None, seed: int = 7) -> Path:
        process = self.start(name, preferences, seed)
        process.join()
        assert process.exitcode == 0
        return self.folder / name

    def kill(self, name: str, when: Callable[[Path], bool], preferences: Path | None = None) -> None:
        """Start or resume the run, and kill it as soon as `when` says so, which must be before its end."""
        process = self.start(name, preferences)
        wait_until(lambda: when(self.folder / name) or not process.is_alive())
        process.kill()
        process.join()
        assert process.exitcode == -9, "it had finished before"


@pytest.fixture(scope="module", params=KINDS)
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs of a kind; "whole" was never interrupted, `seconds` is what it took."""
    runs = Runs(tmp_path_factory.mktemp(request.param), KINDS[request.param])
    runs.kill("first", lambda run: (run / "preferences.db").exists())  # starts the server, which takes its time
    start = time.monotonic()
    runs.finish("whole")
    runs.seconds = time.monotonic() - start
    return runs


def test_killed_at_six_random_moments(runs: Runs) -> None:
    chance = random.Random(" ".join(runs.overrides))
    kills = 0
    for _ in range(6):
        process = runs.start("random")
        time.sleep(chance.uniform(0, 0.3 * runs.seconds))
        process.kill()
        process.join()
        kills += process.exitcode == -9
    assert kills >= 2
    assert_equal_runs(runs.folder / "whole", runs.finish("random"))


def test_killed_before_and_after_the_first_checkpoint_and_once_all_is_trained(runs: Runs) -> None:
    """The rows after the last checkpoint are taken back, and written again."""
    runs.kill("stages", lambda run: line_count(run / "metrics.jsonl") == 1)
    assert not (runs.folder / "stages/checkpoints/last.pt").exists()
    runs.kill("stages", lambda run: line_count(run / "metrics.jsonl") == 2)
    runs.kill("stages", lambda run: line_count(run / "metrics.jsonl") == 4)
    assert (runs.folder / "stages/checkpoints/last.pt").exists()
    runs.kill("stages", lambda run: line_count(run / "metrics.jsonl") == 5)
    whole = runs.finish("stages")
    (whole / "checkpoints/agent.pt").unlink()  # as if it had been killed before it could write this
    assert_equal_runs(runs.folder / "whole", runs.finish("stages"))


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])  # PPO is what the others are about
def test_other_algorithms_killed_after_checkpoints(algorithm: str, tmp_path: Path) -> None:
    """Replay buffers are in the checkpoint as well, and were learned from when the run is killed for the last time."""
    runs = Runs(tmp_path / "runs", with_algorithm(algorithm))
    whole = runs.finish("whole")
    for lines in (4, 8):
        runs.kill("killed", lambda run, lines=lines: line_count(run / "metrics.jsonl") == lines)
    saved = load_checkpoint(runs.folder / "killed/checkpoints/last.pt")["trainer"]
    assert saved["exact"] and 768 < saved["env_step"] < 3072
    assert "updates" not in saved["agent"] or saved["agent"]["updates"] > 20
    assert_equal_runs(whole, runs.finish("killed"))


def test_killed_before_and_while_the_reward_model_is_pretrained(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs", ("reward_model.pretraining_steps=150", "training.total_steps=2048"))
    whole = runs.finish("whole")
    runs.kill("pretraining", lambda run: (run / "preferences.db").exists())
    for _ in range(2):
        runs.kill("pretraining", lambda run: (run / "preferences.db").exists() and count_labels(run) == 16)
        assert line_count(runs.folder / "pretraining/metrics.jsonl") == 0
    assert_equal_runs(whole, runs.finish("pretraining"))


def count_labels(run: Path) -> int:
    try:
        return len(labels(run))
    except Exception as error:  # noqa: BLE001  the tables are not there yet
        assert "no such table" in str(error)
        return 0


def test_started_from_exported_labels(project: Project) -> None:
    """The folder is read until there is a checkpoint, and not needed any more afterwards."""
    export = project.root / "data/tiny/seed-7"
    project.does("prefs", "collect", "--seed", "7")
    runs = Runs(project.root / "runs", ())
    collected, whole = runs.finish("collected"), runs.finish("whole", export)
    assert_equal_runs(collected, whole)
    runs.kill("killed", lambda run: line_count(run / "metrics.jsonl") == 1, export)
    runs.kill("killed", lambda run: line_count(run / "metrics.jsonl") == 4, export)
    export.rename(export.with_name("gone"))
    assert_equal_runs(whole, runs.finish("killed", export))


@pytest.mark.parametrize("kind", ["discrete-learned", "continuous-environment"])
def test_same_seed_same_metrics_and_another_seed_others(kind: str, tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs", KINDS[kind] + ("training.total_steps=2048",))
    one, again, other = (runs.finish(name, seed=seed) for name, seed in (("one", 3), ("again", 3), ("other", 4)))
    assert_equal_runs(one, again)
    assert [row["policy/loss"] for row in rows(one)] != [row["policy/loss"] for row in rows(other)]
    assert kind.endswith("environment") or labels(one) != labels(other)


def test_labels_that_the_checkpoint_knows_of_are_gone(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs", ())
    runs.kill("run", lambda run: line_count(run / "metrics.jsonl") == 4)
    for file in (runs.folder / "run").glob("preferences.db*"):
        file.unlink()
    before = (runs.folder / "run/metrics.jsonl").read_bytes()
    run = RunFolder(runs.folder / "run", {"id": "run", "seed": 7})
    with pytest.raises(UserError, match=r"preferences\.db: holds 0 of the \d+ labels that the checkpoint has learned"):
        train_run(run, load_config(runs.folder / "params.yaml"), WandbSettings(None, "dot", "disabled"), None)
    assert (runs.folder / "run/metrics.jsonl").read_bytes() == before
