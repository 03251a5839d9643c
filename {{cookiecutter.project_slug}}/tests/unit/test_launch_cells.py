"""Which runs a launch creates, past a gate that lets all through. Nothing is trained."""

from __future__ import annotations

import shutil

import pytest
from archive_examples import git
from project import Project

from repro.config.ablations import WHOLE
from repro.launch import cells
from repro.launch.attempts import RunProcesses
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
