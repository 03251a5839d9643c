"""`repro report` on synthetic results: numbers, tables, plots, the page, and the text around the table."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
from report_examples import README, SAMPLED, Page, files_of, make_cell, make_results, report, table_rows

from repro.reading import UserError
from repro.report import writing
from repro.results.statistics import t_interval


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_results(tmp_path / "project")


def test_readme_table_holds_mean_interval_success_rate_and_baselines(project: Path) -> None:
    report(project)
    readme = (project / "README.md").read_text()
    header, _, dot, random, optimal = table_rows(readme)
    row = dict(zip(header, dot, strict=True))
    assert row["experiment"] == "moving-dot"
    # The t-interval reaches beyond 1, from 0.34 to 1.30.
    assert row["sampled score"] == "0.820 (0.600 to 0.950), judged"
    assert row["success rate"] == r"2/3 \[0.21, 0.94\]"
    assert row["time, median"] == "3.7 min"
    assert "judged" not in row["greedy score"]
    assert random[:4] == ["random policy", "–", "0.020", "–"]
    assert optimal[:4] == ["best known", "–", "1.000", "1.000"]


def test_results_table_has_every_seed_and_its_run(project: Path) -> None:
    make_cell(project, 101, dirty=True)
    result = report(project)
    rows = {row[0]: row for row in table_rows((project / "reports" / "results.md").read_text())}
    assert rows["seed 102"] == [
        *["seed 102", "0.600", "0.500", "no", "45.0", "80,000", "1,000", "3.7 min"],
    ]
    assert rows["101"][-1] == "yes" and rows["102"][3::2] == ["`2026-11-21_moving-dot_0066`", "no"]
    assert rows["random policy"][4] == "1.5"
    assert rows["best known"][4] == "75.0"
    assert rows["102"][1] == "`results/cells/moving-dot/seed-102.json`"
    for shown in (*result.warnings, (project / "README.md").read_text(), (project / "reports/report.html").read_text()):
        assert "seed 101 ran on uncommitted changes" in shown


def test_csv_holds_the_unrounded_numbers(project: Path) -> None:
    report(project)
    with (project / "reports" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["seed"]) for row in rows] == [100, 101, 102]
    assert [float(row["sampled_score"]) for row in rows] == list(SAMPLED.values())
    assert [float(row["minutes"]) for row in rows] == [220 / 60, 221 / 60, 222 / 60]
    assert rows[0]["random_score"] == "0.02"
    assert rows[0]["dirty"] == "False"
    assert [row["success"] for row in rows] == ["True", "True", "False"]


def test_all_plots_are_written(project: Path) -> None:
    make_cell(project, 101, learned=True)
    result = report(project)
    plots = ("curves", "seeds", "reward_model", "reward_losses", "loss_ratio")
    plots += ("predicted_return", "reward_correlation", "disagreement")
    names = {f"{name}.{form}" for name in plots for form in ("png", "svg")}
    assert {path.name for path in (project / "reports" / "moving-dot").iterdir()} == names
    assert result.not_made == []
    found = {path for path in files_of(project) if not path.startswith("results/")}
    assert {path.relative_to(project).as_posix() for path in result.written} == found


def test_what_is_0_throughout_is_not_drawn(project: Path) -> None:
    """As the disagreement of one member with nobody."""
    curve = make_cell(project, 101, learned=True).parents[2] / "curves/moving-dot/seed-101.jsonl"
    curve.write_text(curve.read_text().replace('"reward_model/disagreement": 0.1', '"reward_model/disagreement": 0.0'))
    result = report(project)
    assert result.not_made == ["moving-dot: Disagreement of the ensemble: not drawn, since it is 0 throughout"]
    assert not list((project / "reports").rglob("disagreement.*"))


def test_page_loads_nothing_and_has_light_and_dark_plots(project: Path) -> None:
    report(project)
    page = Page((project / "reports" / "report.html").read_text())
    loaded = [source for source in page.sources if not source.startswith("#")]  # those lead to a part of the page
    assert len(loaded) == 4
    assert all(source.startswith("data:image/svg+xml;base64,") for source in loaded)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "3f2a9c81d0b7e645" in page.text
    assert "prefers-color-scheme: dark" in page.text


def test_same_results_give_the_same_bytes_anywhere(project: Path, tmp_path: Path) -> None:
    report(project)
    first = files_of(project)
    written = {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.is_file()}
    report(project)
    assert files_of(project) == first
    assert {path: path.stat().st_mtime_ns for path in written} == written  # equal files are left alone

    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(project / "results", elsewhere / "results")
    (elsewhere / "README.md").write_bytes(README)
    (elsewhere / "runs").write_text("no folder at all: runs/ is not read")
    report(elsewhere)
    assert files_of(elsewhere) == first | {"runs": (elsewhere / "runs").read_bytes()}


def test_processes_make_what_one_would_and_name_what_is_damaged(project: Path, monkeypatch) -> None:
    for seed in (100, 101):
        make_cell(project, seed, experiment="true-reward")
    report(project)
    alone = files_of(project)
    shutil.rmtree(project / "reports")
    monkeypatch.setattr(writing, "SEEDS_FOR_PROCESSES", 5)
    report(project)
    assert files_of(project) == alone
    curve = project / "results/curves/true-reward/seed-101.jsonl"
    curve.write_text("{\n" + curve.read_text())
    with pytest.raises(UserError, match=re.escape("results/curves/true-reward/seed-101.jsonl, ")):
        report(project)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_text_around_the_table_is_left_byte_for_byte(project: Path, newline: bytes) -> None:
    before = b"# T\xff\xfe  \n\ttext \r\n mixed" * (newline == b"\r\n") + newline + b"<!-- results:start -->"
    after = b"<!-- results:end -->   " + newline * 4 + b"no newline at the end \xc3"
    (project / "README.md").write_bytes(before + b" old " + after)
    (project / "README.md").chmod(0o640)
    report(project)
    content = (project / "README.md").read_bytes()
    assert content.startswith(before + newline)
    assert content.endswith(newline + after)
    table = content[len(before) : -len(after)]
    assert b"moving-dot" in table
    assert table.count(b"\n") == table.count(newline)
    assert (project / "README.md").stat().st_mode & 0o777 == 0o640


def test_judged_greedy_actions_are_named(project: Path) -> None:
    for seed in SAMPLED:
        make_cell(project, seed, judged="greedy")
    report(project)
    rows = {row[0]: row for row in table_rows((project / "reports" / "results.md").read_text())}
    assert rows[""][1:3] == ["sampled score", "greedy score (judged)"]
    assert rows["seed 100"][4] == "67.5"  # the return of the judged actions
    header, _, dot, *_ = table_rows((project / "README.md").read_text())
    row = dict(zip(header, dot, strict=True))
    assert row["greedy score"].endswith(", judged") and "judged" not in row["sampled score"]


def test_five_seeds_have_an_interval(project: Path) -> None:
    scores = {**SAMPLED, 103: 0.9, 104: 0.8}
    for seed in (103, 104):
        make_cell(project, seed, sampled=scores[seed])
    report(project)
    mean, low, high = t_interval(list(scores.values()))
    readme, page = (project / "README.md").read_text(), (project / "reports/results.md").read_text()
    assert rf"{mean:.3f} \[{low:.3f}, {high:.3f}\]" in readme
    assert "Band: its pointwise 95% t-interval" in page and "make no interval" not in page


def test_few_seeds_have_their_range_everywhere(project: Path) -> None:
    report(project)
    page = (project / "reports/results.md").read_text()
    assert page.count("(0.600 to 0.950)") == 2 and "| **mean (range)** |" in page and "t-interval" not in page
    assert "fewer than 5 make no interval" in page and "Band: from the lowest to the highest" in page


def test_seconds_are_told_as_such(project: Path) -> None:
    for seed in SAMPLED:
        make_cell(project, seed, wall_seconds=12.0)
    report(project)
    assert (project / "reports/results.md").read_text().count("| 12 s |") == 5  # once as a mean of compute
    assert "**12 s**" in (project / "reports/results.md").read_text()


def test_one_seed_has_no_interval(project: Path) -> None:
    for seed in (101, 102):
        (project / "results" / "cells" / "moving-dot" / f"seed-{seed}.json").unlink()
    report(project)
    readme = (project / "README.md").read_text()
    assert "0.950 (n=1, no interval)" in readme
    assert r"1/1 \[0.21, 1.00\]" in readme
    assert "nan" not in (project / "reports" / "results.md").read_text()
    assert "nan" not in Page((project / "reports" / "report.html").read_text()).text


def test_each_experiment_has_a_section(project: Path) -> None:
    for seed in (100, 101):
        make_cell(project, seed, experiment="true-reward")
    report(project)
    markdown = (project / "reports" / "results.md").read_text()
    assert re.findall(r"^## (.*)$", markdown, re.MULTILINE) == [
        "Experiments",
        "Compute spent",
        "moving-dot",
        "true-reward",
    ]
    assert (project / "reports" / "true-reward" / "curves.svg").is_file()
    names = [row[0] for row in table_rows((project / "README.md").read_text())[2:]]
    assert names == ["moving-dot", "random policy", "best known", "true-reward", "random policy", "best known"]


def test_the_page_breaks_where_it_may_and_names_each_number_on_narrow_screens(project: Path) -> None:
    report(project)
    page = (project / "reports" / "report.html").read_text()
    assert '<td data-name="sampled score">0.820 <span class=whole>(0.600 to 0.950)</span>, judged</td>' in page
    assert '<td data-name="time, median"><span class=whole>3.7 min</span></td>' in page
    assert "<code>2026-<wbr>11-<wbr>21_<wbr>moving-<wbr>dot_<wbr>0066</code>" in page
    assert "<td class=nothing>–</td>" in page
