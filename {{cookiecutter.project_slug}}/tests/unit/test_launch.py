"""Launching several seeds and ablations: one gate, one run each, none of them twice."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from preflight_examples import PROJECT
from project import PATIENCE, Project, here, kill, line_count, wait_until

from repro.config.ablations import WHOLE
from repro.launch.attempts import DIED
from repro.launch.cells import chosen_seeds, how_to_publish
from repro.launch.local import wait_for_pool
from repro.reading import UserError, read_yaml
from repro.tracking.archive import RunFolder

LEAST = ("reward.source=environment", "training.total_steps=256", "env.image_size=36")  # one rollout
SHORT = ("--set", "training.total_steps=1024", "--set", "preferences.total_labels=20")


def test_ablations_times_seeds_past_one_gate_and_the_same_launch_again_does_what_is_left(project: Project):
    """One of four is removed, and one made to look broken off; a third seed is new."""
    options = ("--ablations", "no-ensemble,none", *SHORT, "--question", "is it needed?", "--wait")
    said = project.does("launch", "--seeds", "100,101", *options, "--at-once", "2")
    assert "4 runs, 2 at a time, have started" in said and "seed 101  no-ensemble" in said
    assert said.endswith("4 of 4 runs have finished\n")
    runs = {(run.record["seed"], run.record["ablation"] or WHOLE): run for run in project.runs()}
    records = [run.record for run in runs.values()]
    assert runs.keys() == {(seed, name) for seed in (100, 101) for name in (WHOLE, "no-ensemble")}
    assert {record["params"]["reward_model"]["members"] for record in records if record["ablation"]} == {1}
    assert len({record["code_hash"] for record in records}) == len({str(record["gate"]) for record in records}) == 1
    ablated = runs[100, "no-ensemble"]
    assert ablated.record["command"] == [
        *("repro", "train", "--seed", "100", "--ablation", "no-ensemble", *SHORT, "--question", "is it needed?"),
    ]
    assert project.does("runs").count("[no-ensemble] is it needed?") == 2
    assert "ablation   no-ensemble" in project.does("show", ablated.id)

    ends = {cell: run.record["ended"] for cell, run in runs.items()}
    runs[101, WHOLE].update(status="interrupted")
    said = project.does("launch", "--seeds", "100,101", *options)
    assert said.count("done already: ") == 3 and f"goes on: {runs[101, WHOLE].id}" in said
    assert "1 run has started" in said and said.endswith("1 of 1 runs have finished\n")
    again = {(run.record["seed"], run.record["ablation"] or WHOLE): run for run in project.runs()}
    assert {cell: run.id for cell, run in again.items()} == {cell: run.id for cell, run in runs.items()}
    assert {cell for cell, run in again.items() if run.record["resumed"]} == {(101, WHOLE)}
    assert {cell for cell, run in again.items() if run.record["ended"] != ends[cell]} <= {(101, WHOLE)}
    assert "nothing is left to do" in project.does("launch", "--seeds", "100,101", *options)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A project's params.yaml and dvc.yaml, that list a seed, an ablation, and a baseline."""
    root = tmp_path_factory.mktemp("pipeline")
    seeds = {"tuning": [100, 101], "final": [0, 1], "pipeline": [100], "ablations": ["no-ensemble"]}
    params = read_yaml(PROJECT / "presets/moving-dot.yaml") | {"seeds": seeds}
    (root / "params.yaml").write_text(json.dumps(params))
    (root / "dvc.yaml").write_text("vars: [{baselines: [moving-dot-true-reward]}]")
    return root


@pytest.mark.parametrize(
    ("cells", "changes", "said"),
    [
        ([(100, None)], {}, "dvc repro; it trains none of these again"),
        ([(100, "no-ensemble")], {}, "dvc repro; it trains none of these again"),
        ([(1, None), (0, None)], {}, "dvc repro, with 0, 1 in seeds.pipeline of params.yaml, committed; it trains"),
        (
            [(0, None), (0, "no-ties")],
            {},
            "0 in seeds.pipeline of params.yaml and no-ties in seeds.ablations of params.yaml",
        ),
        ([(100, None), (101, None)], {}, None),
        ([(0, None)], {"overrides": ["agent.discount=0.9"]}, None),
        ([(0, None)], {"annotator": "person"}, None),
        ([(100, None)], {"name": "moving-dot-true-reward", "source": "environment"}, "dvc repro; it trains none of"),
        (
            *([(0, None)], {"name": "cartpole", "source": "environment"}),
            "dvc repro, with 0 in seeds.pipeline of params.yaml and cartpole in baselines of dvc.yaml, committed; it",
        ),
        ([(100, None)], {"name": "moving-dot-continuous"}, None),  # no stage collects its labels
    ],
)
def test_it_is_said_how_finished_runs_become_cells_where_they_are_to(pipeline, cells, changes, said):
    preferences = {"annotator": changes.get("annotator", "oracle")}
    params = {"reward": {"source": changes.get("source", "learned")}, "preferences": preferences}
    record = {"params": params, "name": changes.get("name", "moving-dot"), "overrides": changes.get("overrides", [])}
    runs = [RunFolder(Path("x"), record | {"seed": seed, "ablation": ablation}) for seed, ablation in cells]
    hint = how_to_publish(pipeline, runs)
    assert hint is said is None or said in hint


def test_a_run_that_is_killed_is_started_again_and_one_that_fails_keeps_no_other_from_being_done(
    project: Project, capsys
):
    """The second of them has lost its labels' file to a folder; the first is killed past a checkpoint."""
    queue = [project.queue(100), *(project.queue(seed, *LEAST) for seed in (101, 102))]
    (queue[1].path / "preferences.db").mkdir()
    with project.start("_pool", "1", *(str(run.path) for run in queue)) as pool:
        wait_until(lambda: line_count(queue[0].path / "metrics.jsonl") >= 4, pool)
        signal_to(queue[0].id, project, signal.SIGKILL)
        assert wait_for_pool(project.root, queue, pool) == 2
    runs = {run.id: run.record for run in project.runs()}
    assert [runs[run.id]["status"] for run in queue] == ["finished", "failed", "finished"]
    (note,) = [note for note in runs[queue[0].id]["notes"] if note.startswith(DIED)]
    assert "killed by signal 9" in note and len(runs[queue[0].id]["resumed"]) == 1
    assert runs[queue[0].id]["result_metrics"]["env_step"] == 3072
    assert not runs[queue[1].id]["resumed"]  # what it said would be said again
    *_, retried, finished, failed, hint = capsys.readouterr().out.splitlines()
    assert (retried, finished) == (f"{queue[0].id}: {note}", "2 of 3 runs have finished")
    assert failed.startswith(f"{queue[1].id}: failed: ") and hint.startswith("the same launch again goes on with these")


def test_a_pool_that_is_killed_leaves_its_run_going_and_the_next_waits_for_that_one(project: Project):
    queue = [project.queue(100), project.queue(101, *LEAST)]
    paths = [str(run.path) for run in queue]
    with project.start("_pool", "1", *paths) as pool:
        wait_until(lambda: line_count(queue[0].path / "metrics.jsonl") >= 1, pool)
        kill(pool)
    with project.start("_pool", "1", *paths) as pool:
        pool.communicate(timeout=2 * PATIENCE)
    assert pool.returncode == 0
    runs = {run.id: run.record for run in project.runs()}
    first, second = (runs[run.id] for run in queue)
    assert (first["status"], first["resumed"], second["status"], second["resumed"]) == ("finished", [], "finished", [])
    assert second["started"] >= first["ended"]


def test_a_pool_that_is_terminated_interrupts_its_run_and_begins_no_other(project: Project):
    queue = [project.queue(100), project.queue(101)]
    with project.start("_pool", "1", *(str(run.path) for run in queue)) as pool:
        wait_until(lambda: (queue[0].path / "metrics.jsonl").exists(), pool)
        pool.terminate()
        pool.communicate(timeout=2 * PATIENCE)
    assert pool.returncode == 128 + signal.SIGTERM
    statuses = {run.id: run.record["status"] for run in project.runs()}
    assert statuses[queue[0].id] == "interrupted" and statuses[queue[1].id] == "queued"
    assert "crashed" in project.does("runs")  # the queued one: nothing will do it now


def test_seeds_by_the_name_of_their_set_or_as_a_list(shared_project: Project):
    config = shared_project.config("seeds.final=[7,3]", "seeds.tuning=[100,101]")
    assert chosen_seeds(config, "final") == [7, 3]
    assert chosen_seeds(config, "pipeline") == [100, 101]
    assert chosen_seeds(config, "5,0,12") == [5, 0, 12]
    for wrong in ("", "fina", "1-5", "1,", "-1", "1 2", "1.0", "²"):
        with pytest.raises(UserError, match="write tuning, final, pipeline, or a list: 100,101,102"):
            chosen_seeds(config, wrong)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--ablations no-ensembel", "--ablation no-ensembel: no such ablation; did you mean 'no-ensemble'?"),
        ("--ablation no-ensemble --ablations all", "--ablation and --ablations: give one of them"),
        ("--seeds 100", "give either --seed or --seeds"),
        ("--ablations all --preferences data", "--preferences: is for one run"),
        ("--ablations all --set reward.source=environment", "is of learned rewards"),
        ("--ablation random-queries", 'takes nothing away: preferences.queries is "uniform" already'),
        ("--at-once 2", "--at-once 2: is for several runs (--seeds, --ablations); leave it out"),
    ],
)
def test_what_cannot_be_launched_is_refused_before_anything_is_computed(
    shared_project, monkeypatch, capsys, options, said
):
    code, _, err = here(shared_project, monkeypatch, capsys, "launch", "--seed", "100", *options.split())
    assert code == 2 and said in err and err.count("\n") == 1
    assert not (shared_project.root / "runs").exists()


@pytest.mark.parametrize(
    ("seeds", "said"),
    [("100,101,100", "--seeds 100,101,100: one is there twice; give each once"), ("finals", "--seeds finals: write")],
)
def test_seeds_that_cannot_be(shared_project, monkeypatch, capsys, seeds, said):
    code, _, err = here(shared_project, monkeypatch, capsys, "launch", "--seeds", seeds)
    assert code == 2 and said in err and err.count("\n") == 1
    code, _, err = here(shared_project, monkeypatch, capsys, "launch")
    assert code == 2 and "give either --seed or --seeds" in err


def signal_to(run_id: str, project: Project, number: int) -> None:
    """Send a signal to the process that does a run."""
    (record,) = [run.record for run in project.runs() if run.id == run_id]
    os.kill(record["pid"], number)
