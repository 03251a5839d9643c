"""`repro preregister`: what it keeps and refuses; what is listed as a deviation afterwards."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from claims_examples import CLAIM, FINAL, cells_with, write_claims
from ledger_examples import write_run
from project import Project, here
from report_examples import make_cell

from repro.claims.deviations import find_deviations
from repro.claims.judging import format_claims, judge_claims
from repro.claims.preregistration import (
    REGISTERED,
    entry_hash,
    read_registrations,
    register,
    results_seen,
    what_is_planned,
)
from repro.config.ablating import ablate
from repro.reading import UserError, parse_yaml
from repro.results.records import find_cells
from repro.tracking.parameters import params_hash
from repro.tracking.snapshot import code_hash

PLAN = """hypotheses:
  - {id: H1, text: It is solved., claim: dot, how_surprised_if_false: very}
analysis: the mean with a t-interval
stopping_rule: none is stopped
exclusions: a crash of the machine
tuning: the learning rate, five values
"""
SCORES = [0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.93, 0.94, 0.92, 0.95]


@pytest.fixture
def planned(project: Project) -> Project:
    """All that is needed to register."""
    write_claims(project.root, CLAIM.replace("moving-dot", "tiny"))
    (project.root / "paper/preregistration.yaml").write_text(PLAN)
    return project


def deviations(project: Project) -> list[str]:
    return find_deviations(project.root, project.config(), find_cells(project.root))


def final_cells(project: Project, **changes: object) -> None:
    """As the pipeline makes them from what is registered."""
    made_by = {
        "code_hash": code_hash(project.root),
        "params_hash": params_hash(project.config().model_dump(mode="json")),
    }
    cells_with(project.root, SCORES, "tiny", **made_by | changes)


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_what_was_planned_is_kept_and_nothing_deviates_from_it(planned: Project, monkeypatch, capsys) -> None:
    assert deviations(planned) == [] and read_registrations(planned.root) == []
    code, out, error = here(planned, monkeypatch, capsys, "preregister")
    assert (code, error) == (0, "") and "1 claim, 10 final seeds, tiny" in out and "now commit it" in out
    (entry,) = read_registrations(planned.root)
    assert entry["plan"]["hypotheses"][0]["claim"] == "dot" and entry["claims"]["dot"]["target"] == 0.9
    assert entry["seeds"]["final"] == FINAL and entry["params"]["tiny"]["agent"]["learning_rate"]
    assert entry["code_hash"] == code_hash(planned.root) and all(entry["analysis"].values())
    assert (entry["reason"], entry["previous"], entry["results_seen"], entry["dirty"]) == (None, None, 0, True)
    final_cells(planned)
    assert deviations(planned) == []
    text = format_claims(judge_claims(planned.root, planned.config()), 80)
    assert f"Preregistered {entry['registered']}, at commit none." in text and "deviation:" not in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            PLAN[: PLAN.index("analysis")],
            "hypotheses: []\n",
            "hypotheses: [] will not do: list should have at least 1",
        ),
        (
            "analysis: the mean with a t-interval",
            "analysis: null",
            "analysis: null will not do: input should be a valid",
        ),
        ("stopping_rule: none is stopped", "stopping_rule: '  '", 'stopping_rule: "  " will not do'),
        ("exclusions: a", "exclusion: a", "exclusion: unknown entry; did you mean 'exclusions'?"),
        ("claim: dot", "claim: dots", "hypotheses[0].claim: 'dots' is no claim of claims.yaml; did you mean 'dot'?"),
    ],
)
def test_a_plan_that_says_too_little(planned: Project, old: str, new: str, message: str) -> None:
    edit(planned.root / "paper/preregistration.yaml", old, new)
    with pytest.raises(UserError, match=re.escape(f"paper/preregistration.yaml: {message}")):
        register(planned.root, planned.config(), None)
    assert not (planned.root / REGISTERED).exists()


def test_an_experiment_without_parameters(planned: Project) -> None:
    write_claims(planned.root)  # of moving-dot, of which there is no preset here
    with pytest.raises(UserError, match=r"'moving-dot' has no parameters: it is neither the name in params\.yaml"):
        register(planned.root, planned.config(), None)


def test_final_seeds_that_were_seen(planned: Project) -> None:
    config = planned.config()
    make_cell(planned.root, 101, "tiny")  # a tuning seed
    write_run(planned.root, "a1aa", name="tiny", seed=100)
    write_run(planned.root, "a2aa", name="other", seed=0)
    register(planned.root, config, None)
    (planned.root / REGISTERED).unlink()
    run = write_run(planned.root, "a3aa", name="tiny", seed=9, status="crashed")
    with pytest.raises(UserError, match=re.escape("runs/2026-11-21_moving-dot_a3aa, seed 9: was run already")):
        register(planned.root, config, None)
    (run.path / "run.json").unlink()
    run.path.rmdir()
    make_cell(planned.root, 3, "tiny", sampled=0.9)
    with pytest.raises(UserError, match=re.escape("results/cells/tiny/seed-3.json: was run already")):
        register(planned.root, config, None)
    assert not (planned.root / REGISTERED).exists()


def test_the_copy_of_a_run_is_no_further_result(planned: Project) -> None:
    run = write_run(planned.root, "a3aa", name="tiny", seed=9)
    shutil.copytree(run.path, run.path.with_name(f"{run.id}.bak"))
    seen = results_seen(planned.root, what_is_planned(planned.root, planned.config()))
    assert seen == [f"runs/{run.id}, seed 9"]


def test_a_second_registration_is_an_amendment(planned: Project) -> None:
    first = register(planned.root, planned.config(), None)
    with pytest.raises(
        UserError, match=r"registered on .*; what changed since is added, and stays seen, with: repro pre"
    ):
        register(planned.root, planned.config(), None)
    with pytest.raises(UserError, match="nothing has changed since"):
        register(planned.root, planned.config(), "no reason at all")
    final_cells(planned)
    edit(planned.root / "paper/claims.yaml", "target: 0.9", "target: 0.8")
    assert deviations(planned) == ["claims.dot.target: 0.9 was registered, 0.8 now"]
    second = register(planned.root, planned.config(), "the paper's erratum")
    assert read_registrations(planned.root) == [first, second] and second["previous"] == first["hash"]
    assert deviations(planned) == [
        f"amended {second['registered'][:10]}, with 10 results seen: the paper's erratum: "
        "claims.dot.target: 0.9 was registered, 0.8 now"
    ]


def test_an_amendment_of_nothing(planned: Project) -> None:
    with pytest.raises(UserError, match="nothing is registered yet; leave it out"):
        register(planned.root, planned.config(), "why")


def test_every_later_change_is_listed(planned: Project) -> None:
    register(planned.root, planned.config(), None)
    final_cells(planned)
    make_cell(planned.root, 3, "tiny", sampled=0.9, params_hash="other", code_hash=code_hash(planned.root))
    edit(planned.root / "paper/preregistration.yaml", "none is stopped", "bad ones are stopped")
    edit(planned.root / "src/repro/results/verdicts.py", "if low >= threshold", "if high >= threshold")
    edit(planned.root / "src/repro/experience/episodes.py", "(returns.sum() - lowest)", "(returns.max() - lowest)")
    params = json.loads(planned.params.read_text())
    params["agent"]["learning_rate"] = 0.5
    params["seeds"]["final"] = [*range(9), 11]
    planned.params.write_text(json.dumps(params))
    found = "\n".join(deviations(planned))
    for line in (
        'plan.stopping_rule: "none is stopped" was registered, "bad ones are stopped" now',
        "seeds.final: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] was registered, [0, 1, 2, 3, 4, 5, 6, 7, 8, 11] now",
        "params.tiny.agent.learning_rate: 0.0005 was registered, 0.5 now",
        "analysis.src/repro/results/verdicts.py: ",
        "analysis.src/repro/experience/episodes.py: ",
        "code_hash: ",
        "tiny: seeds 3 were run with other parameters than registered",
    ):
        assert f"\n{line}" in f"\n{found}", found
    assert "other code" not in found  # the cells are of the code that was registered


def test_cells_of_other_code_are_listed(planned: Project) -> None:
    register(planned.root, planned.config(), None)
    final_cells(planned, code_hash="another")
    assert deviations(planned) == ["tiny: seeds 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 were run with other code than registered"]


def test_cells_of_an_ablation_that_no_claim_names_are_compared_too(planned: Project) -> None:
    params = json.loads(planned.params.read_text())
    params["seeds"]["ablations"] = ["no-ensemble"]
    planned.params.write_text(json.dumps(params))
    register(planned.root, planned.config(), None)
    made = {"ablation": "no-ensemble", "code_hash": code_hash(planned.root)}
    ablated = params_hash(ablate(planned.config(), "no-ensemble").model_dump(mode="json"))
    make_cell(planned.root, 3, "tiny", sampled=0.5, params_hash=ablated, **made)
    assert deviations(planned) == []
    make_cell(planned.root, 4, "tiny", sampled=0.5, params_hash="other", **made)
    make_cell(planned.root, 101, "tiny", sampled=0.5, params_hash="other", **made)  # a tuning seed
    assert deviations(planned) == ["tiny/no-ensemble: seeds 4 were run with other parameters than registered"]


@pytest.mark.parametrize("name", ["previous", "results_seen", "reason", "seeds", "plan", "analysis", "commit"])
def test_a_registration_that_lacks_something_is_one_line(planned: Project, name: str) -> None:
    register(planned.root, planned.config(), None)
    entries = json.loads((planned.root / REGISTERED).read_text())
    del entries[0][name]
    (planned.root / REGISTERED).write_text(json.dumps(entries))
    with pytest.raises(UserError, match=r"is no list of registrations; bring it back with git"):
        deviations(planned)


def test_an_edited_registration_is_seen(planned: Project) -> None:
    register(planned.root, planned.config(), None)
    edit(planned.root / "paper/claims.yaml", "target: 0.9", "target: 0.8")
    edit(planned.root / REGISTERED, '"target": 0.9', '"target": 0.8')
    assert deviations(planned) == [f"{REGISTERED}: entry 1 was edited after it was registered"]
    entries = read_registrations(planned.root)
    register(planned.root, planned.config("agent.learning_rate=0.1"), "another rate")
    entries = read_registrations(planned.root)
    entries[0]["hash"] = entry_hash(entries[0])  # even so, the second names the first as it was
    (planned.root / REGISTERED).write_text(json.dumps(entries))
    assert f"{REGISTERED}: entry 2 was edited after it was registered" in deviations(planned)


@pytest.mark.parametrize("text", ["[", "{}", "[1]", '[{"hash": 1}]'])
def test_a_damaged_registration_is_one_line(planned: Project, text: str) -> None:
    (planned.root / REGISTERED).write_text(text)
    with pytest.raises(UserError, match=r"preregistered\.json: .*bring it back with git"):
        read_registrations(planned.root)


def test_a_plan_is_refused_until_it_is_filled_in(planned: Project) -> None:
    path = planned.root / "paper/preregistration.yaml"
    plan = parse_yaml(path.read_text(), "the plan")
    path.write_text(json.dumps(plan | {"hypotheses": []}))  # JSON is YAML
    with pytest.raises(UserError, match=re.escape("hypotheses: [] will not do")):
        register(planned.root, planned.config(), None)
