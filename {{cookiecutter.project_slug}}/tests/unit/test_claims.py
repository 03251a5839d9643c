"""Verdicts on claims: the rule and its edges, what is no evidence, and how it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from claims_examples import CLAIM, FINAL, PIPELINE, SEEDS, cells_with, make_claim, write_claims
from preflight_examples import PROJECT
from project import here
from report_examples import make_cell

from repro.claims.judging import format_claims, judge_claims, ours_text
from repro.config import load_config
from repro.results.aggregates import interquartile_mean
from repro.results.proportions import wilson_interval
from repro.results.records import find_cells
from repro.results.statistics import t_interval
from repro.results.verdicts import COMPARED, decide, judge, plan_seeds

OTHER = "moving-dot-true-reward"  # a preset
SCORES = [0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.93, 0.94, 0.92, 0.95]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.90, 0.95, "reproduced"),  # what must be reached is reached
        (0.8999, 0.95, "inconclusive"),
        (0.85, 0.90, "inconclusive"),  # the threshold may be the truth
        (0.85, 0.8999, "not reproduced"),
        (0.90, 0.90, "reproduced"),  # all seeds the same
    ],
)
def test_the_edges_of_the_rule(low: float, high: float, verdict: str) -> None:
    assert decide(low, high, 0.9) == verdict


@pytest.mark.parametrize(("lower", "verdict"), [(0.0, "reproduced"), (0.03, "inconclusive"), (0.1, "not reproduced")])
def test_the_mean_of_the_final_seeds_is_judged_by_its_t_interval(tmp_path: Path, lower: float, verdict: str) -> None:
    scores = [score - lower for score in SCORES]
    make_cell(tmp_path, 100, sampled=0.0)  # a tuning seed is no evidence
    found = judge(make_claim(), cells_with(tmp_path, scores), PIPELINE)
    assert (found.estimate, *found.interval) == pytest.approx(t_interval(scores))
    assert (found.verdict, found.seeds, found.problems) == (verdict, FINAL, [])
    assert [cell.run for cell in found.cells][:2] == ["2026-11-21_moving-dot_0000", "2026-11-21_moving-dot_0001"]


def test_a_claim_of_the_papers_value_allows_its_tolerance(tmp_path: Path) -> None:
    cells = cells_with(tmp_path, SCORES)
    paper = {"target": None, "metric": "sampled.return_mean"}  # 70.1, from 69.4 to 70.9
    assert judge(make_claim(**paper, paper_value=72, tolerance=3), cells, PIPELINE).verdict == "reproduced"
    assert judge(make_claim(**paper, paper_value=72, tolerance=2), cells, PIPELINE).verdict == "inconclusive"
    assert judge(make_claim(**paper, paper_value=72, tolerance=1), cells, PIPELINE).verdict == "not reproduced"


def test_success_rates_have_wilson_intervals_so_that_ten_of_ten_show_no_ninety_percent(tmp_path: Path) -> None:
    cells = cells_with(tmp_path, SCORES)  # all above the success score of 0.85
    found = judge(make_claim(metric="success_rate"), cells, PIPELINE)
    assert (found.estimate, *found.interval) == (1.0, *wilson_interval(10, 10))
    assert found.verdict == "inconclusive"
    assert judge(make_claim(metric="success_rate", target=0.7), cells, PIPELINE).verdict == "reproduced"


def test_a_comparison_is_of_pairs_of_seeds(tmp_path: Path) -> None:
    """Seeds differ by far more than the methods do, which differ by 0.05 on each."""
    scores = list(np.linspace(0.1, 1.0, 10))
    cells = cells_with(tmp_path, scores) | cells_with(tmp_path, [score - 0.05 for score in scores], OTHER)
    claim = make_claim(target=0.04, against={"experiment": OTHER})
    found = judge(claim, cells, PIPELINE)
    assert found.estimate == pytest.approx(0.05) and found.verdict == "reproduced" and len(found.cells) == 20
    assert judge(claim, {"moving-dot": cells["moving-dot"]}, PIPELINE).problems == [
        f"results/cells/{OTHER}: lacks seeds 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; make them: dvc repro, once baselines in "
        f"dvc.yaml lists {OTHER} and seeds.pipeline in params.yaml lists them instead of tuning seeds"
    ]


def test_the_two_sides_of_a_comparison_are_of_the_same_code_and_faced_the_same_episodes(tmp_path: Path) -> None:
    claim = make_claim(target=0.0, against={"experiment": "other"})
    assert judge(claim, cells_with(tmp_path, SCORES) | cells_with(tmp_path, SCORES, "other"), PIPELINE).problems == []
    made = json.loads((tmp_path / "results/cells/other/seed-0.json").read_text())
    for changes, setting in (
        ({"code_hash": "another"}, "code_hash"),
        ({"judged": "greedy"}, "judged"),
        ({"evaluation": made["evaluation"] | {"seed": 1}}, "evaluation.seed"),
        ({"evaluation": made["evaluation"] | {"episodes": 10}}, "evaluation.episodes"),
    ):
        cells = cells_with(tmp_path, SCORES, "other", **changes)
        assert judge(claim, cells, PIPELINE).problems == [
            f"results/cells: {setting} differs between moving-dot and other; {COMPARED[setting]}"
        ]


def test_several_tasks_have_the_interquartile_mean_of_all_scores(tmp_path: Path) -> None:
    cells = cells_with(tmp_path, SCORES) | cells_with(tmp_path, [0.5, *SCORES[1:]], "other")
    claim = make_claim(cells={"experiment": ["moving-dot", "other"], "seeds": "final"})
    found = judge(claim, cells, PIPELINE)
    assert found.estimate == interquartile_mean([np.array(SCORES), np.array([0.5, *SCORES[1:]])])
    assert found.verdict == "reproduced" and found.method == "IQM, bootstrap" and not found.problems
    for changes, setting in (({"code_hash": "another"}, "code_hash"), ({"judged": "greedy"}, "judged")):
        cells = cells_with(tmp_path, SCORES, "other", **changes)
        (problem,) = judge(claim, cells, PIPELINE).problems
        assert problem.startswith(f"results/cells: {setting} differs between moving-dot and other; ")


def test_judged_actions_are_those_of_the_cell(tmp_path: Path) -> None:
    found = judge(make_claim(), cells_with(tmp_path, SCORES, judged="greedy"), PIPELINE)
    assert found.estimate == 0.5
    assert judge(make_claim(metric="sampled.score"), find_cells(tmp_path), PIPELINE).estimate == pytest.approx(0.935)


def test_without_seeds_enough_nothing_is_said(tmp_path: Path) -> None:
    none = judge(make_claim(), {}, PIPELINE)
    assert (none.verdict, none.reason, none.estimate) == ("inconclusive", "no cells yet", None)
    few = judge(make_claim(), cells_with(tmp_path, [0.99] * 9), PIPELINE)
    assert (few.verdict, few.reason) == ("inconclusive", "9 of the 10 seeds that it needs")
    assert few.problems == [
        "results/cells/moving-dot: lacks seeds 9; make them: dvc repro, once seeds.pipeline in params.yaml lists them "
        "instead of tuning seeds"
    ]
    assert ours_text(judge(make_claim(), {"moving-dot": find_cells(tmp_path)["moving-dot"][:4]}, PIPELINE)) == (
        "0.990 (no interval)"
    )


def test_seeds_that_are_missing_are_a_problem_even_if_there_are_enough(tmp_path: Path) -> None:
    found = judge(make_claim(min_seeds=8), cells_with(tmp_path, [0.99] * 9), PIPELINE)
    assert found.verdict == "reproduced" and len(found.problems) == 1 and "lacks seeds 9" in found.problems[0]


def test_cells_of_uncommitted_or_of_mixed_code_are_a_problem(tmp_path: Path) -> None:
    cells_with(tmp_path, SCORES)
    make_cell(tmp_path, 3, sampled=0.94, dirty=True)
    make_cell(tmp_path, 4, sampled=0.95, code_hash="another")
    problems = judge(make_claim(), find_cells(tmp_path), PIPELINE).problems
    assert [problem.partition("; ")[0] for problem in problems] == [
        "results/cells/moving-dot: seeds 3 are of uncommitted code",
        "results/cells/moving-dot: code_hash differs among seeds",
    ]


def test_cells_that_other_code_evaluated_are_a_problem(tmp_path: Path) -> None:
    cells_with(tmp_path, SCORES)
    made = json.loads(make_cell(tmp_path, 3, sampled=0.94).read_text())
    for seed, evaluated_by in ((3, made["code_hash"]), (4, "another")):
        make_cell(tmp_path, seed, evaluation=made["evaluation"] | {"code_hash": evaluated_by}, sampled=0.94)
    assert judge(make_claim(), find_cells(tmp_path), PIPELINE).problems == [
        "results/cells/moving-dot: seeds 4 were evaluated by other code than trained them; make them anew: dvc repro"
    ]


def test_tuning_runs_are_the_most_that_a_cell_counted(tmp_path: Path) -> None:
    cells = cells_with(tmp_path, SCORES, tuning_runs=7)
    make_cell(tmp_path, 5, sampled=0.96, tuning_runs=0)  # trained elsewhere
    assert judge(make_claim(), cells, PIPELINE).tuning_runs == {"moving-dot": 7}
    assert judge(make_claim(), find_cells(tmp_path), PIPELINE).tuning_runs == {"moving-dot": 7}


def test_tuning_seeds_say_how_many_final_ones_it_takes(tmp_path: Path) -> None:
    for seed, score in ((100, 0.90), (101, 0.95), (102, 1.0)):
        make_cell(tmp_path, seed, sampled=score)
    cells = find_cells(tmp_path)
    plan = plan_seeds(make_claim(), cells, SEEDS.tuning)
    assert plan.endswith(
        "have 0.95, deviation 0.05: if final ones are like them, 10 seeds show 0.9 with at least 80% chance"
    )
    easy = plan_seeds(make_claim(target=0.5), cells, SEEDS.tuning)
    assert "10 seeds show 0.5" in easy  # it needs so many anyway
    assert "no number of seeds will show 0.96" in plan_seeds(make_claim(target=0.96), cells, SEEDS.tuning)
    assert "not even 1,000 seeds will show 0.949" in plan_seeds(make_claim(target=0.949), cells, SEEDS.tuning)
    assert plan_seeds(make_claim(), cells, [100, 101]) is None


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_fits_and_says_everything(tmp_path: Path, width: int) -> None:
    write_claims(
        tmp_path, CLAIM + CLAIM.replace("id: dot", "id: " + "long-" * 9 + "name").replace("moving-dot", "other")
    )
    cells_with(tmp_path, SCORES, tuning_runs=4)
    config = load_config(PROJECT / "presets/moving-dot.yaml")
    text = format_claims(judge_claims(tmp_path, config), width)
    assert max(map(len, text.splitlines())) <= width
    assert "dot: It is solved. (section 3; judged.score)" in text and "2026-11-21_moving-dot_0009" in text
    assert "check: results/cells/other: lacks seeds 0, 1, 2" in " ".join(text.split())
    row = text.splitlines()[2].split()
    assert row[0] == "dot" and row[-1] == "reproduced"


def test_the_command_reads_tracked_cells_alone_and_check_fails_on_what_is_missing(project, monkeypatch, capsys) -> None:
    path = write_claims(project.root, CLAIM.replace("moving-dot", "tiny"))
    assert here(project, monkeypatch, capsys, "claims")[0] == 0
    code, _, error = here(project, monkeypatch, capsys, "claims", "--check")
    assert code == 2 and error == "error: claims without the cells that they need: dot; `repro claims` says which\n"
    cells_with(project.root, SCORES, "tiny")
    code, out, error = here(project, monkeypatch, capsys, "claims", "--check", "--json")
    assert (code, error) == (0, "") and not (project.root / "runs").exists()
    (found,) = json.loads(out)["claims"]
    assert (found["verdict"], found["seeds"], len(found["runs"])) == ("reproduced", FINAL, 10)
    path.write_text(path.read_text().replace("min_seeds: 10", "min_seeds: 3"))
    code, out, error = here(project, monkeypatch, capsys, "claims", "--check")
    assert (code, out) == (2, "") and error.count("\n") == 1 and "min_seeds: 3 will not do" in error
