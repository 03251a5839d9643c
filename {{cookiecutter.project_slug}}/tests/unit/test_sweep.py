"""Launching several seeds and ablations: one gate, one run each, one after another."""

from __future__ import annotations

import itertools

import pytest
from project import PATIENCE, Project, here, wait_until

LEAST = ("reward.source=environment", "training.total_steps=256", "env.image_size=36")  # one rollout
SHORT = ("--set", "training.total_steps=1024", "--set", "preferences.total_labels=20")


def test_ablations_times_seeds_run_one_after_another_past_one_gate(project: Project):
    options = (
        "--ablations",
        "no-ensemble,none",
        "--seed",
        "100",
        "--seed",
        "101",
        *SHORT,
        "--question",
        "is it needed?",
    )
    said = project.ok("launch", *options, "--wait")
    assert "4 runs, one after another, have started" in said and "seed 101  no-ensemble" in said
    runs = sorted(project.runs(), key=lambda run: run.record["ended"] + run.id)
    records = [run.record for run in runs]
    assert all(after["started"] >= before["ended"] for before, after in itertools.pairwise(records))
    latest = project.ok("show", "latest")
    assert "seed       101" in latest and "ablation   no-ensemble" in latest
    assert {record["status"] for record in records} == {"finished"}
    assert {(record["ablation"], record["seed"]) for record in records} == {
        (ablation, seed) for ablation in (None, "no-ensemble") for seed in (100, 101)
    }
    assert {record["params"]["reward_model"]["members"] for record in records if record["ablation"]} == {1}
    assert len({record["code_hash"] for record in records}) == len({str(record["gate"]) for record in records}) == 1
    listed = project.ok("runs")
    assert listed.count("[no-ensemble] is it needed?") == 2 and listed.count("is it needed?") == 4
    ids = [record["id"] for record in records if record["seed"] == 100]
    assert "no-ensemble" in project.ok("compare", *ids)
    (ablated,) = [record["id"] for record in records if (record["ablation"], record["seed"]) == ("no-ensemble", 100)]
    assert "ablation   no-ensemble" in project.ok("show", ablated)


def test_a_run_that_fails_does_not_keep_the_next_from_being_done(project: Project):
    """The first of them has lost its labels' file to a folder."""
    queue = [project.queue(seed, *LEAST) for seed in (100, 101)]
    (queue[0].path / "preferences.db").mkdir()
    with project.start("_queue", *(str(run.path) for run in queue)) as process:
        process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 2
    statuses = [run.record["status"] for run in project.runs()]
    assert sorted(statuses) == ["failed", "finished"]


def test_a_queue_that_is_terminated_interrupts_its_run_and_begins_no_other(project: Project):
    queue = [project.queue(seed) for seed in (100, 101)]
    with project.start("_queue", *(str(run.path) for run in queue)) as process:
        wait_until(lambda: (queue[0].path / "metrics.jsonl").exists(), process)
        process.terminate()
        process.communicate(timeout=2 * PATIENCE)
    statuses = {run.id: run.record["status"] for run in project.runs()}
    assert statuses[queue[0].id] == "interrupted" and statuses[queue[1].id] == "queued"
    assert "crashed" in project.ok("runs")  # the queued one: nothing will do it now


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ablations", "no-ensembel"), "--ablation no-ensembel: no such ablation; did you mean 'no-ensemble'?"),
        (("--ablation", "no-ensemble", "--ablations", "all"), "--ablation and --ablations: give one of them"),
        (("--seed", "100"), "--seed: 100, 100: one is there twice; give each once"),
        (("--ablations", "all", "--preferences", "data"), "--preferences: is for one run"),
        (("--ablations", "all", "--set", "reward.source=environment"), "is of learned rewards"),
        (("--ablation", "random-queries"), "takes nothing away: preferences.queries is uniform already"),
    ],
)
def test_what_cannot_be_launched_is_refused_before_anything_is_computed(
    shared_project, monkeypatch, capsys, options, said
):
    code, _, err = here(shared_project, monkeypatch, capsys, "launch", "--seed", "100", *options)
    assert code == 2 and said in err and err.count("\n") == 1
    assert not (shared_project.root / "runs").exists()
