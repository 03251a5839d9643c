"""A finished run that did what a cell of the pipeline is to do: found wherever it was done, and never another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from archive_examples import CONFIG, git, new_run
from reward_examples import VECTORS, make_segment

from repro.preferences.store import PreferenceStore
from repro.runs.earlier import find_trained
from repro.runs.preparing import RunRequest, adopt
from repro.tracking.creation import keep_code

PARAMS = CONFIG | {"training": {"device": "cuda", "precision": "bfloat16"}, "preferences": {"initial_labels": 2}}
AUTO = {"training": {"device": "auto", "precision": "auto"}, "seeds": {"pipeline": [7]}}


def finished(root, **fields):
    """A run that ended with its final agent, on another host."""
    run = new_run(root, **({"config": PARAMS} | fields))
    run.update(status="finished", host="node-7")
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints/agent.pt").touch()
    return run


def answer(run, answers=("left", "right", "tie"), first=0):
    """Comparisons of a run, answered by the oracle; the first two are those that it begins with."""
    segments = [make_segment(VECTORS, seed) for seed in range(4)]
    with PreferenceStore(run.path / "preferences.db") as store:
        for number, given in enumerate(answers):
            store.add_query(run.id, number, segments[first + number % 2], segments[3], 0, "uniform")
            store.add_label(run.id, number, given, "oracle", None, 0)
    return run


def export(root, answers=("left", "right"), cell="test/seed-7"):
    """What `repro prefs collect` writes for the cell."""
    folder = root / "data" / cell
    with PreferenceStore(root.parent / "initial.db") as store:
        for number, given in enumerate(answers):
            left, right = make_segment(VECTORS, number % 2), make_segment(VECTORS, 3)
            store.add_query("initial", number, left, right, 0, "uniform")
            store.add_label("initial", number, given, "oracle", None, 0)
        store.export(folder, name="test", seed=7, env_steps=640)
    return folder


def found(root, preferences=None, seed=7, ablation=None, **params: Any):
    code = keep_code(root)
    run = find_trained(root, code.hash, PARAMS | AUTO | params, seed, ablation, preferences, code.git.dirty)
    return run and run.id


def test_auto_is_whatever_it_came_to_there_and_seed_ablation_and_parameters_are_the_same(repository):
    run = finished(repository)
    assert found(repository) == run.id
    assert found(repository, seed=8) is None and found(repository, ablation="no-ensemble") is None
    assert found(repository, answer="yes") is None
    assert found(repository, training={"device": "cpu", "precision": "auto"}) is None
    ablated = finished(repository, ablation="no-ensemble")
    assert (found(repository), found(repository, ablation="no-ensemble")) == (run.id, ablated.id)


@pytest.mark.parametrize("status", ["queued", "running", "failed", "interrupted"])
def test_it_has_finished_and_its_agent_is_there(repository, status):
    run = finished(repository)
    run.update(status=status)
    assert found(repository) is None
    run.update(status="finished")
    (run.path / "checkpoints/agent.pt").unlink()
    assert found(repository) is None


def test_of_a_commit_it_is_a_run_of_that_commit(repository):
    code = repository / "src/repro/agent.py"
    code.write_text("learning_rate = 2\n")
    uncommitted = finished(repository)
    assert uncommitted.record["dirty"] and found(repository) == uncommitted.id
    git(repository, "commit", "-qam", "second")
    assert found(repository) is None
    committed = finished(repository)
    (repository / "params.yaml").write_text("name: test\nseeds: [7]\n")  # as when seeds are listed for the pipeline
    assert found(repository) in (uncommitted.id, committed.id)
    git(repository, "checkout", "-q", ".")
    assert found(repository) == committed.id


def test_one_that_collected_its_comparisons_itself_began_as_the_cell_does(repository):
    run, data = answer(finished(repository)), export(repository)
    assert found(repository, data) == run.id
    given = answer(finished(repository, preferences=data))
    run.update(status="failed")
    assert found(repository, data) == given.id


@pytest.mark.parametrize("other", ["answer", "segment", "number", "none", "reward model"])
def test_with_other_comparisons_it_is_another_run(repository, other):
    run = finished(repository)
    if other == "reward model":
        answer(run)
        run.update(reward_model="runs/x/checkpoints/reward_model.pt")
    elif other == "answer":
        answer(run, ("left", "left"))
    elif other == "segment":
        answer(run, first=1)
    elif other == "number":
        answer(run)
    answers = ("left", "right", "tie") if other == "number" else ("left", "right")
    assert found(repository, export(repository, answers)) is None
    assert (run.path / "preferences.db").exists() == (other != "none")


@pytest.mark.parametrize("source", ["environment", "learned"])
def test_it_is_published_or_said_why_not(project, capsys, source):
    """The learned one began with two comparisons, where the parameters want sixteen."""
    config = project.config(f"reward.source={source}")
    run = project.queue(100, f"reward.source={source}", status="finished")
    (run.path / "checkpoints").mkdir()
    for name in ("agent.pt", "last.pt"):
        (run.path / "checkpoints" / name).write_text(name)
    (run.path / "metrics.jsonl").write_text('{"env_step": 3072}\n')
    export(project.root, cell="tiny/seed-100")
    adopted = adopt(project.root, config, RunRequest(100, cell=True))
    said = capsys.readouterr().out
    if source == "learned":
        assert adopted is None and said.startswith(f"{run.id} would be this cell, but began with other comparisons")
        assert not (project.root / "models").exists()
        return
    assert adopted and adopted.id == run.id and said == ""
    models = project.root / "models/tiny/seed-100"
    assert json.loads((models / "run.json").read_text())["id"] == run.id
    assert {file.name for file in models.iterdir()} == {"agent.pt", "run.json"}
    assert (project.root / "results/curves/tiny/seed-100.jsonl").read_bytes() == b'{"env_step": 3072}\n'
