"""`training.device: cuda` where there is no GPU: one line from every command that trains, and no run is made."""

from __future__ import annotations

import pytest
import torch
from project import Project, here

CUDA = ("--set", "training.device=cuda")
REFUSAL = "training.device: cuda was asked for, but torch finds no GPU; find one, or set it to cpu or auto"


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """Whatever this machine has."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def finished(project: Project) -> Project:
    """With a run that is done, but was to have been done on a GPU."""
    run = project.queue(100, "training.total_steps=768")
    project.does("resume", run.id)
    params = run.record["params"]
    run.update(params=params | {"training": params["training"] | {"device": "cuda"}}, device="cuda")
    return project


@pytest.mark.parametrize("command", [("train", "--seed", "100"), ("launch", "--seed", "100"), ("prelaunch",)])
def test_nothing_is_begun(project, monkeypatch, capsys, command):
    code, _, error = here(project, monkeypatch, capsys, *command, *CUDA, "--question", "does it learn?")
    assert (code, error) == (2, f"error: {REFUSAL}\n")
    assert project.runs() == []


def test_a_resume_goes_on_nowhere_else(project):
    run = project.queue(100, "training.device=cuda")
    assert project.refuses("resume", run.id) == REFUSAL
    assert project.only_run().record["status"] == "failed"
    assert not (run.path / "checkpoints/last.pt").exists() and not (run.path / "checkpoints/agent.pt").exists()


def test_a_rerun_is_not_made_and_an_evaluation_says_where_it_was_done(finished):
    run = finished.only_run()
    assert finished.refuses("rerun", run.id) == REFUSAL
    assert finished.only_run().id == run.id
    said = finished.does("evaluate", run.id)
    assert "note: training.device is cuda, but torch finds no GPU: evaluated on the CPU, where scores may" in said


def test_auto_is_recorded_as_what_it_came_to(project):
    project.does("train", "--seed", "100", "--set", "training.device=auto", "--set", "training.total_steps=768")
    record = project.only_run().record
    assert record["device"] == record["params"]["training"]["device"] == "cpu"
