"""What is planned: which seeds are left, how long they take by whom, what they cost; before anything is started."""

from __future__ import annotations

import json
import re

import pytest
from ledger_examples import make_project, record

from repro.accounts.budget import read_budget
from repro.accounts.ledger import book_runs
from repro.accounts.ledger_text import format_plans
from repro.accounts.planning import plan_runs
from repro.config import load_config
from repro.gate.prelaunch import key_of, launched_params
from repro.tracking.archive import this_process
from repro.tracking.index import summarise

CODE = "948ab30feb101334"


@pytest.fixture
def root(tmp_path):
    return make_project(tmp_path)


def make_plan(root, records=(), overrides=(), code=CODE):
    config = load_config(root / "params.yaml", ["seeds.final=[0,1,2]", "seeds.pipeline=[100,101]", *overrides])
    summaries = [*map(summarise, records), {"id": "x", "status": "unreadable"}]
    return plan_runs(root, config, code, summaries, book_runs(root, summaries, read_budget(root)))


def test_without_runs_nothing_tells(root):
    plan = make_plan(root)
    assert (plan.seeds, plan.left, plan.machine) == ((0, 1, 2, 100, 101), (0, 1, 2, 100, 101), "cpu")
    assert (plan.hours_per_run, plan.hours, plan.cost(read_budget(root))) == (None, None, None)
    assert plan.source == "no run tells yet; repro prelaunch estimates it"
    text = format_plans([plan], read_budget(root), 80)
    assert [line.split() for line in text.splitlines()[4:6]] == [
        ["total", "(1", "unknown)", "unknown", "unknown"],
        ["doubled", "unknown", "unknown"],
    ]


def test_seeds_that_were_run_with_this_code_and_these_parameters_are_not_planned_again(root):
    other = json.loads(json.dumps(record()["params"]))
    other["agent"]["epochs"] += 1
    plan = make_plan(
        root,
        [
            record("a", seed=0, active_seconds=3600.0),
            record("b", seed=1, code_hash="other", active_seconds=7200.0),
            record("c", seed=2, params=other, active_seconds=9e9),
            record("d", seed=2, status="failed", active_seconds=9e9),
            record("e", seed=100, status="queued", **this_process()),
            record("f", seed=100, status="interrupted"),
            record("g", seed=7, active_seconds=36000.0),
        ],
    )
    assert (plan.left, plan.under_way) == ((1, 2, 101), (100,))
    assert plan.hours_per_run == 2.0  # of 1, 2 and 10 hours: the median, whatever the code
    assert plan.source == "median of 3 finished runs with these parameters"
    assert (plan.hours, plan.cost(read_budget(root))) == (6.0, pytest.approx(0.6))


def test_seeds_and_gate_make_no_other_parameters_nor_does_the_precision_that_auto_chose(root):
    params = json.loads(json.dumps(record()["params"]))
    assert params["training"]["precision"] == "auto"
    params["training"]["precision"] = "bfloat16"
    params["gate"]["after_minutes"] = 1.0
    params["seeds"]["final"] = [50]
    assert 0 not in make_plan(root, [record("a", seed=0, params=params)]).left
    assert 0 in make_plan(root, [record("a", seed=0, params=params)], ["training.precision=float32"]).left


def test_a_device_left_to_the_machine_finds_its_runs(root):
    params = json.loads(json.dumps(record()["params"]))
    for seed, device in ((0, "cuda"), (1, "cpu")):
        params["training"] |= {"device": device, "precision": "bfloat16"}
        done = record("a", seed=seed, params=json.loads(json.dumps(params)), device=device)
        assert make_plan(root, [done], ["training.device=auto"]).left == tuple({0, 1, 2, 100, 101} - {seed})
    assert 1 in make_plan(root, [done], ["training.device=cuda"]).left


def test_what_auto_comes_to_is_told_by_a_run_or_not_at_all(root):
    budget = read_budget(root)
    key = key_of(CODE, launched_params(load_config(root / "params.yaml", ["training.device=auto"])))
    assert make_plan(root, [], ["training.device=auto"]).machine == "auto"
    assert make_plan(root, [], ["training.device=cuda"]).machine == "gpu"
    params = json.loads(json.dumps(record()["params"]))
    params["training"]["device"] = "cuda"
    assert make_plan(root, [record(params=params, device="cuda")], ["training.device=auto"]).machine == "gpu"
    (root / "runs/.gate").mkdir(parents=True)
    passed = {"gate_key": key, "passed": "answered", "decided": "2026-11-21", "estimate_minutes": 45.0}
    (root / f"runs/.gate/{key}.json").write_text(json.dumps(passed))
    plan = make_plan(root, [], ["training.device=auto"])
    assert (plan.hours_per_run, plan.cost(budget)) == (0.75, None)
    for width in (80, 200):
        text = format_plans([plan, make_plan(root, [record("a", seed=100)])], budget, width)
        assert re.search(r"\ntotal \(1 unknown\) +7.75 h +at least 0.40\n", text), text
        assert "training.device is auto, and no run tells what that comes to" in text.replace("\n    ", " ")
        assert max(map(len, text.splitlines())) <= width


def test_an_estimate_stands_in_for_runs_that_have_not_finished(root):
    estimated = record("a", status="failed", estimate_minutes=90.0)
    plan = make_plan(root, [estimated])
    assert plan.hours_per_run == 1.5 and plan.source.startswith("the estimate of the latest run")
    config = load_config(root / "params.yaml")
    key = key_of(CODE, launched_params(config))
    (root / "runs/.gate").mkdir(parents=True)
    passed = {"gate_key": key, "passed": "answered", "decided": "2026-11-21", "estimate_minutes": 45.0}
    (root / f"runs/.gate/{key}.json").write_text(json.dumps(passed))
    plan = make_plan(root)
    assert (plan.hours_per_run, plan.source) == (0.75, "the estimate recorded when the gate was passed")
    assert make_plan(root, [record("b", status="failed", estimate_minutes=None)]).hours_per_run == 0.75
    (root / f"runs/.gate/{key}.json").write_text(json.dumps(passed | {"runs": 3}))  # a sweep of the pipeline
    assert make_plan(root).hours_per_run == 0.25


def test_where_all_are_done_nothing_is_left(root):
    plan = make_plan(root, [record(f"{seed}", seed=seed, device="cuda") for seed in (0, 1, 2, 100, 101)])
    assert (plan.left, plan.hours, plan.machine) == ((), 0.0, "gpu")
    assert "no seed is left to run" in format_plans([plan], read_budget(root), None)


def test_ablations_are_added_up_and_doubled(root):
    budget = read_budget(root)
    plans = [
        make_plan(root, [record("a", seed=100)]),
        make_plan(root, [record("a", seed=9, device="cuda", active_seconds=7200.0)]),
    ]
    lines = format_plans(plans, budget, None).splitlines()
    assert lines[2].split() == ["moving-dot", "5", "0", "4", "cpu", "1.00", "h", "4.00", "h", "0.40"]
    assert lines[3].split() == ["moving-dot", "5", "0", "5", "gpu", "2.00", "h", "10.00", "h", "15.00"]
    assert [line.split() for line in lines[5:7]] == [
        ["total", "14.00", "h", "15.40"],
        ["doubled", "28.00", "h", "30.80"],
    ]
    cheap = budget.model_copy(update={"prices_per_hour": {"cpu": 0.1}})
    text = format_plans(plans, cheap, 80)
    assert "gpu has no price in budget.yaml" in text
    assert re.search(r"\ntotal \(1 unknown\) +14.00 h +at least 0.40\ndoubled +28.00 h +at least 0.80\n", text)
    assert max(map(len, text.splitlines())) <= 80
