"""Which runs a launch creates, past a gate that lets all through. Nothing is trained."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from archive_examples import git
from project import SOURCE, Project

from repro.config.ablations import WHOLE
from repro.launch import cells
from repro.launch.attempts import RunProcesses
from repro.reading import parse_yaml
from repro.runs.preparing import RunRequest
from repro.runs.processes import REFUSED
from repro.tracking.archive import RunFolder


@pytest.fixture(autouse=True)
def open_gate(monkeypatch):
    monkeypatch.setattr(cells, "_pass_gate_once", lambda *_: ({WHOLE: 1.0}, {}))
    monkeypatch.setenv("WANDB_MODE", "disabled")


def prepare(project: Project, *seeds: int) -> list[RunFolder]:
    return cells.prepare_cells(project.root, {WHOLE: project.config()}, seeds, RunRequest(0))


def test_what_was_launched_before_its_code_was_committed_is_done_again_from_the_commit(project, capsys):
    (before,) = prepare(project, 100)
    before.update(status="finished")
    assert prepare(project, 100) == []
    git(project.root, "init", "-q")
    git(project.root, "add", "src", "pyproject.toml", "requirements.lock", "params.yaml")
    git(project.root, "commit", "-qm", "as it was launched")
    capsys.readouterr()
    (clean,) = prepare(project, 100)
    assert capsys.readouterr().out.startswith(f"does not count, as its code was not committed yet: {before.id}")
    assert (before.record["dirty"], clean.record["dirty"]) == (True, False)
    assert clean.record["code_hash"] == before.record["code_hash"]
    clean.update(status="finished")
    assert prepare(project, 100) == []


@pytest.mark.parametrize(
    ("stage", "params", "ablation"),
    [
        ("train", None, None),
        ("train-ablation", None, "no-ensemble"),
        ("train-baseline", Path("presets/moving-dot-true-reward.yaml"), None),
    ],
)
def test_a_cell_has_the_command_line_of_its_stage_of_the_pipeline(stage, params, ablation):
    """But for `--cell`, which is what makes a cell of it, and for the question."""
    item = {"seed": "7", "ablation": ablation, "baseline": params and params.stem}
    command = parse_yaml((SOURCE / "dvc.yaml").read_text(), "dvc.yaml")["stages"][stage]["cmd"]
    words = shlex.split(re.sub(r"\$\{item\.(\w+)\}", lambda name: item[name[1]], command))
    launched = cells._train_command(RunRequest(7), params, 7, ablation)
    assert words[:3] == ["repro", "train", "--cell"] and words[-2] == "--question"
    assert options(words[3:-2]) == options(launched[2:])


def options(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


def test_why_a_run_could_not_be_started_stands_in_its_output(project):
    (run,) = prepare(project, 100)
    shutil.rmtree(project.root / "runs/.snapshots")
    assert RunProcesses().do(run.path) == REFUSED
    assert "no such snapshot; the code of this run was deleted" in (run.path / "output.log").read_text()


def test_an_equal_launch_that_passes_the_gate_meanwhile_shares_its_runs(project, monkeypatch, capsys):
    other: list[RunFolder] = []

    def slow_gate(*_):
        monkeypatch.setattr(cells, "_pass_gate_once", lambda *_: ({WHOLE: 1.0}, {}))
        other[:] = prepare(project, 100, 101)
        return {WHOLE: 1.0}, {}

    monkeypatch.setattr(cells, "_pass_gate_once", slow_gate)
    mine = prepare(project, 101, 102)
    assert [run.record["seed"] for run in mine] == [101, 102] and mine[0].id == other[1].id
    assert len(project.runs()) == 3
    assert capsys.readouterr().out.count(f"under way: {other[1].id}") == 1
