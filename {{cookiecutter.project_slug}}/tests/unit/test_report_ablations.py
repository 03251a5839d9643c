"""The report of an experiment and its ablations: grouped, compared, drawn."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from report_examples import GREEDY, PRESET, SAMPLED, Page, make_cell, make_results, report, table_rows

from repro.config import load_config
from repro.config.ablations import ABLATIONS
from repro.reading import UserError
from repro.report.ablations import better_text
from repro.report.writing import write_report
from repro.results.aggregates import bootstrap_interval, probability_of_improvement
from repro.results.statistics import difference_interval, paired_interval


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Three seeds, two ablations, one of them of a single seed."""
    root = make_results(tmp_path / "project")
    for seed in SAMPLED:
        make_cell(root, seed, ablation="no-ensemble", worse=0.2)
    make_cell(root, 100, ablation="random-queries")
    return root


def comparison(root: Path) -> dict[str, dict[str, str]]:
    """The rows of the table of ablations in results.md."""
    text = (root / "reports/results.md").read_text()
    header, _, *rows = table_rows(text[text.index("### Ablations") :])
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows[: 1 + 2] if len(row) == len(header)}


def test_each_ablation_stands_beside_the_whole_method_and_the_papers_finding(project: Path) -> None:
    report(project)
    rows = comparison(project)
    assert list(rows) == ["none", "random-queries", "no-ensemble"]  # in the order of the table in the code
    assert rows["none"]["judged score"] == "0.820 (0.600 to 0.950)"
    assert rows["none"]["difference"] == "–"
    assert rows["no-ensemble"]["difference"] == "-0.200 (n=3, no interval)"
    assert rows["no-ensemble"]["seeds"] == "3" and rows["no-ensemble"]["success"].startswith("0/3")
    assert rows["no-ensemble"]["the paper"] == ABLATIONS["no-ensemble"].finding
    assert rows["random-queries"]["difference"].endswith("(n=1, no interval)")


def test_the_summary_has_the_baselines_once_and_leads_to_each_part(project: Path) -> None:
    report(project)
    names = [row[0] for row in table_rows((project / "README.md").read_text())[2:]]
    variants = ["moving-dot", "moving-dot/no-ensemble", "moving-dot/random-queries"]
    assert names == [*variants, "random policy", "best known"]
    page = (project / "reports/report.html").read_text()
    for target in variants:
        found = re.search(rf'<a href="#([^"]+)">{target}</a>', page)
        assert found and f'id="{unquote(found[1])}"' in page


def test_of_five_seeds_each_the_difference_has_an_interval_of_pairs_if_they_are_the_same(
    tmp_path: Path, monkeypatch
) -> None:
    for seed, score in ((103, 0.8), (104, 0.7)):
        monkeypatch.setitem(SAMPLED, seed, score)
        monkeypatch.setitem(GREEDY, seed, score)
    root, whole = make_results(tmp_path / "five"), list(SAMPLED.values())
    ablated = [score - 0.2 - 0.01 * number for number, score in enumerate(whole)]
    for seed, score in zip(SAMPLED, ablated, strict=True):
        make_cell(root, seed, ablation="no-ensemble", sampled=score)
        make_cell(root, seed + (seed == 104), ablation="random-queries", sampled=score)  # 105 in place of 104
    report(root)
    for name, interval, mark in (
        ("no-ensemble", paired_interval, ""),
        ("random-queries", difference_interval, " (Welch)"),
    ):
        _, low, high = interval(ablated, whole)
        assert comparison(root)[name]["difference"] == rf"-0.220 \[{low:+.3f}, {high:+.3f}\]{mark}"
    row = comparison(root)["no-ensemble"]
    better = probability_of_improvement([np.array(ablated)], [np.array(whole)])
    assert row["better"] == f"{better:.2f}" and row["tuning runs"] == "–"


def test_how_likely_an_ablation_is_better_has_an_interval_from_ten_seeds_on_unless_all_are() -> None:
    whole = [0.1 * number for number in range(10)]
    mixed = [score - 0.15 for score in whole]
    samples = [np.array(mixed)], [np.array(whole)]
    low, high = bootstrap_interval(probability_of_improvement, *samples)
    assert better_text(mixed, whole) == f"{probability_of_improvement(*samples):.2f} [{low:.2f}, {high:.2f}]"
    assert 0 < low < high < 1
    assert "[" not in better_text(mixed[1:], whole)
    assert better_text([score - 1 for score in whole], whole) == "0.00"  # each resample has it so: [0.00, 0.00]
    assert better_text([score + 1 for score in whole], whole) == "1.00"


def test_seeds_of_ablations_do_not_enter_the_methods_mean(project: Path) -> None:
    alone = make_results(project.parent / "alone")
    report(alone)
    report(project)
    table = {row[0]: row for row in table_rows((project / "README.md").read_text())}
    without = {row[0]: row for row in table_rows((alone / "README.md").read_text())}
    assert table["moving-dot"] == without["moving-dot"]
    assert table["moving-dot/no-ensemble"][1] == "3" and table["moving-dot/random-queries"][1] == "1"
    with (project / "reports/results.csv").open(newline="") as file:
        assert [row["ablation"] for row in csv.DictReader(file)] == ["", "", "", *["no-ensemble"] * 3, "random-queries"]


def test_the_plot_is_drawn_for_the_method_and_goes_with_the_last_ablation(project: Path) -> None:
    report(project)
    drawn = project / "reports/moving-dot/ablations.svg"
    rows = re.findall(r"<!-- (.+ \(n=\d\)) -->", drawn.read_text())  # letters are outlines, their text a comment
    assert rows == ["the whole method (n=3)", "random-queries (n=1)", "no-ensemble (n=3)"]
    assert not (project / "reports/moving-dot/no-ensemble/ablations.svg").exists()
    assert (project / "reports/moving-dot/no-ensemble/seeds.svg").exists()
    assert "no-ensemble" in Page((project / "reports/report.html").read_text()).text
    for folder in ("no-ensemble", "random-queries"):
        for cell in (project / "results/cells/moving-dot" / folder).glob("*.json"):
            cell.unlink()
    report(project)
    assert not drawn.exists() and "### Ablations" not in (project / "reports/results.md").read_text()


def test_ablations_without_the_whole_method_are_reported_alone(tmp_path: Path) -> None:
    root = make_results(tmp_path / "project")
    for cell in (root / "results/cells/moving-dot").glob("*.json"):
        cell.unlink()
    make_cell(root, 100, ablation="no-ensemble")
    report(root)
    assert "## moving-dot/no-ensemble" in (root / "reports/results.md").read_text()


def test_only_the_seeds_of_the_pipeline_are_compared(project: Path) -> None:
    result = write_report(project, load_config(PRESET, ["seeds.pipeline=[100, 101]"]))
    rows = comparison(project)
    assert rows["none"]["seeds"] == rows["no-ensemble"]["seeds"] == "2"
    assert "moving-dot/no-ensemble: cells of seeds 102 are not in seeds.pipeline, and left out" in result.warnings


def test_a_cell_in_the_wrong_place_is_refused(project: Path) -> None:
    path = project / "results/cells/moving-dot/no-ensemble/seed-100.json"
    path.rename(path.parent.parent / "seed-103.json")
    with pytest.raises(UserError, match=r"should be results/cells/moving-dot/no-ensemble/seed-100\.json"):
        report(project)


def test_welchs_interval() -> None:
    """Against scipy.stats.ttest_ind(equal_var=False).confidence_interval() of these values."""
    difference, low, high = difference_interval([1.0, 2.0, 4.0], [2.0, 6.0, 7.0, 9.0])
    assert difference == pytest.approx(7 / 3 - 6)
    from scipy.stats import ttest_ind

    found = ttest_ind([1.0, 2.0, 4.0], [2.0, 6.0, 7.0, 9.0], equal_var=False).confidence_interval()
    assert (low, high) == pytest.approx((found.low, found.high))
    assert np.isnan(difference_interval([1.0], [1.0, 2.0])[1:]).all()
    assert difference_interval([1.0, 1.0], [0.5, 0.5]) == (0.5, 0.5, 0.5)
