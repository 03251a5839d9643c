"""`repro report` on synthetic results: numbers, warnings, hostile text, damaged files, atomic writes."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repro.config import UserError
from repro.results.statistics import t_interval
from repro.workflow.report import write_report

README = b"# A reproduction\n\n<!-- results:start -->\nnothing yet\n<!-- results:end -->\n\nThe end.\n"
SAMPLED = {100: 0.95, 101: 0.91, 102: 0.6}
GREEDY = {100: 0.9, 101: 0.88, 102: 0.5}


def make_cell(root: Path, seed: int, experiment: str = "moving-dot", learned: bool = False, **changes: Any) -> Path:
    """One cell with a curve of five rollouts; `changes` replace its top-level keys. Returns its path.

    `learned`: the curve holds the metrics of a reward model.
    """

    def score(share: float) -> dict[str, float]:
        return {"score": share, "return_mean": 75 * share, "return_std": 20.0, "returns_sum": 7500 * share}

    cell = {
        "experiment": experiment,
        "seed": seed,
        "run": f"2026-11-21_{experiment}_{seed:04x}",
        "code_hash": "3f2a9c81d0b7e645",
        "dirty": False,
        "env_steps": 80_000,
        "labels": 1_000,
        "wall_seconds": 120.0 + seed,
        "judged": "sampled",
        "success": SAMPLED[seed] >= 0.85,
        "success_score": 0.85,
        "evaluation": {
            "episodes": 100,
            "seed": 12345,
            "sampled": score(SAMPLED[seed]),
            "greedy": score(GREEDY[seed]),
            "random": score(0.02),
            "optimal": {"return_mean": 75.0, "returns_sum": 7500.0},
        },
    }
    path = root / "results" / "cells" / experiment / f"seed-{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(cell | changes))

    random = np.random.default_rng(seed)
    rows = []
    for rollout in range(5):
        share = SAMPLED[seed] * rollout / 4 + 0.01 * random.standard_normal()
        row = {"env_step": 16_000 * (rollout + 1), "return/mean": 75 * share, "return/fraction_of_optimal": share}
        if learned:
            row |= {"predicted_return/mean": 30 * share + random.standard_normal()}
            row |= {"reward_model/accuracy_train": 0.9, "reward_model/accuracy_val": 0.8}
        rows.append(json.dumps(row) + "\n")
    curve = root / "results" / "curves" / experiment / f"seed-{seed}.jsonl"
    curve.parent.mkdir(parents=True, exist_ok=True)
    curve.write_text("".join(rows))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "README.md").write_bytes(README)
    for seed in SAMPLED:
        make_cell(root, seed)
    return root


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def table_rows(markdown: str) -> list[list[str]]:
    """The cells of all tables, split at the pipes that are not escaped."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_readme_table_holds_mean_interval_success_rate_and_baselines(project: Path) -> None:
    write_report(project)
    readme = (project / "README.md").read_text()
    header, _, dot, random, optimal = table_rows(readme)
    row = dict(zip(header, dot, strict=True))
    mean, low, high = t_interval(list(SAMPLED.values()))
    assert row["experiment"] == "moving-dot"
    assert row["sampled score"] == rf"{mean:.3f} \[{low:.3f}, {high:.3f}\]"
    assert row["success rate"] == r"2/3 \[0.21, 0.94\]"
    assert row["minutes, median"] == "3.7"
    assert random[:4] == ["random policy", "–", "–", "0.020"]
    assert optimal[:4] == ["optimal", "–", "–", "1.000"]


def test_results_table_has_every_seed_and_its_run(project: Path) -> None:
    make_cell(project, 101, dirty=True)
    result = write_report(project)
    rows = {row[0]: row for row in table_rows((project / "reports" / "results.md").read_text())}
    assert rows["seed 102"] == [
        *["seed 102", "0.600", "0.500", "no", "45.0", "80,000", "1,000", "3.7"],
        *["`2026-11-21_moving-dot_0066`", "no"],
    ]
    assert rows["seed 101"][-1] == "yes"
    assert rows["random policy"][4] == "1.5"
    assert rows["optimal"][4] == "75.0"
    assert rows["102"][1] == "`results/cells/moving-dot/seed-102.json`"
    for shown in (*result.warnings, (project / "README.md").read_text(), (project / "reports/report.html").read_text()):
        assert "seed 101 ran on uncommitted changes" in shown


def test_csv_holds_the_unrounded_numbers(project: Path) -> None:
    write_report(project)
    with (project / "reports" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["seed"]) for row in rows] == [100, 101, 102]
    assert [float(row["sampled_score"]) for row in rows] == list(SAMPLED.values())
    assert [float(row["minutes"]) for row in rows] == [220 / 60, 221 / 60, 222 / 60]
    assert rows[0]["random_score"] == "0.02"
    assert rows[0]["dirty"] == "False"


def test_all_plots_are_written(project: Path) -> None:
    make_cell(project, 101, learned=True)
    result = write_report(project)
    names = {
        f"{name}.{form}" for name in ("curves", "seeds", "reward_model", "predicted_return") for form in ("png", "svg")
    }
    assert {path.name for path in (project / "reports" / "moving-dot").iterdir()} == names
    assert result.not_made == []
    found = {path for path in files_of(project) if not path.startswith("results/")}
    assert {path.relative_to(project).as_posix() for path in result.written} == found


class Page(HTMLParser):
    """Collects what a page loads and shows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "srcset", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_loads_nothing_and_has_light_and_dark_plots(project: Path) -> None:
    write_report(project)
    page = Page((project / "reports" / "report.html").read_text())
    assert len(page.sources) == 4
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "3f2a9c81d0b7e645" in page.text
    assert "prefers-color-scheme: dark" in page.text


def test_same_results_give_the_same_bytes_anywhere(project: Path, tmp_path: Path) -> None:
    write_report(project)
    first = files_of(project)
    written = {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.is_file()}
    write_report(project)
    assert files_of(project) == first
    assert {path: path.stat().st_mtime_ns for path in written} == written  # equal files are left alone

    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(project / "results", elsewhere / "results")
    (elsewhere / "README.md").write_bytes(README)
    (elsewhere / "runs").write_text("no folder at all: runs/ is not read")
    write_report(elsewhere)
    assert files_of(elsewhere) == first | {"runs": (elsewhere / "runs").read_bytes()}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_text_around_the_table_is_left_byte_for_byte(project: Path, newline: bytes) -> None:
    before = b"# T\xff\xfe  \n\ttext \r\n mixed" * (newline == b"\r\n") + newline + b"<!-- results:start -->"
    after = b"<!-- results:end -->   " + newline * 4 + b"no newline at the end \xc3"
    (project / "README.md").write_bytes(before + b" old " + after)
    (project / "README.md").chmod(0o640)
    write_report(project)
    content = (project / "README.md").read_bytes()
    assert content.startswith(before + newline)
    assert content.endswith(newline + after)
    table = content[len(before) : -len(after)]
    assert b"moving-dot" in table
    assert table.count(b"\n") == table.count(newline)
    assert (project / "README.md").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("readme", "message"),
    [
        (b"# no table", "<!-- results:start --> is there 0 times"),
        (b"<!-- results:start -->", "<!-- results:end --> is there 0 times"),
        (README + b"<!-- results:start -->", "<!-- results:start --> is there 2 times"),
        (b"<!-- results:end --><!-- results:start -->", "comes before"),
    ],
)
def test_readme_with_damaged_markers_is_refused_before_anything_is_written(
    project: Path, readme: bytes, message: str
) -> None:
    (project / "README.md").write_bytes(readme)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        write_report(project)
    assert "README.md" in str(caught.value)
    assert (project / "README.md").read_bytes() == readme
    assert not (project / "reports").exists()


def test_without_a_readme(project: Path) -> None:
    (project / "README.md").unlink()
    with pytest.raises(UserError, match=r"README\.md"):
        write_report(project)


def test_without_cells_the_command_that_makes_them_is_named(project: Path) -> None:
    shutil.rmtree(project / "results")
    with pytest.raises(UserError, match="`dvc repro`"):
        write_report(project)
    assert files_of(project) == {"README.md": README}


def drop(*keys: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        cell = json.loads(text)
        section = cell
        for key in keys[:-1]:
            section = section[key]
        del section[keys[-1]]
        return json.dumps(cell)

    return change


@pytest.mark.parametrize(
    ("damage", "key"),
    [
        (lambda text: text[:0], "JSON"),
        (lambda text: text[:-40], "JSON"),
        (lambda text: f"[{text}]", "seed-101.json"),
        (drop("run"), "run: missing"),
        (drop("evaluation", "greedy", "score"), "evaluation.greedy.score: missing"),
        (lambda text: text.replace('"wall_seconds": 221.0', '"wall_seconds": "221"'), 'wall_seconds: "221"'),
        (lambda text: text.replace('"score": 0.91', '"score": NaN'), "evaluation.sampled.score: NaN"),
        (lambda text: text.replace('"dirty": false', '"dirty": null'), "dirty: null"),
        (lambda text: text.replace('"judged": "sampled"', '"judged": "best"'), 'judged: "best"'),
        (lambda text: text.replace('"success": true', '"success": false'), "success is false, but"),
        (lambda text: text.replace('"seed": 101', '"seed": 7'), "should be results/cells/moving-dot/seed-7.json"),
    ],
)
def test_damaged_cell_is_named_with_its_key(project: Path, damage: Callable[[str], str], key: str) -> None:
    path = project / "results" / "cells" / "moving-dot" / "seed-101.json"
    text = path.read_text()
    path.write_text(damage(text))
    assert path.read_text() != text
    with pytest.raises(UserError) as caught:
        write_report(project)
    message = str(caught.value)
    assert message.startswith("results/cells/moving-dot/seed-101.json: ")
    assert key in message
    assert "\n" not in message
    assert (project / "README.md").read_bytes() == README
    assert not (project / "reports").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-10], "line 5: not valid JSON"),
        (lambda text: text.replace('"env_step": 32000', '"step": 32000'), "line 2: env_step"),
        (lambda text: text.replace('"env_step": 48000', '"env_step": 32000'), "line 3: env_step: 32000"),
        (lambda text: text + "7\n", "line 6: env_step"),
    ],
)
def test_damaged_curve_is_named_with_its_line(project: Path, damage: Callable[[str], str], message: str) -> None:
    path = project / "results" / "curves" / "moving-dot" / "seed-101.jsonl"
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=re.escape(f"results/curves/moving-dot/seed-101.jsonl, {message}")):
        write_report(project)


def test_seeds_of_different_code_or_parameters_are_warned_of(project: Path) -> None:
    make_cell(project, 101, code_hash="ffff000011112222", params_hash="p2", labels=500)
    warnings = write_report(project).warnings
    html = (project / "reports" / "report.html").read_text()
    for name in ("code_hash", "params_hash", "labels"):
        (warning,) = (text for text in warnings if f"{name} differs among seeds" in text)
        assert "(seed 101)" in warning
        assert f"{name} differs among seeds" in html
    assert len(warnings) == 3


def test_seeds_judged_on_different_actions_have_no_mean(project: Path) -> None:
    make_cell(project, 101, judged="greedy")
    with pytest.raises(UserError, match=r"seed-101\.json on greedy"):
        write_report(project)


def test_judged_greedy_actions_are_named(project: Path) -> None:
    for seed in SAMPLED:
        make_cell(project, seed, judged="greedy")
    write_report(project)
    rows = {row[0]: row for row in table_rows((project / "reports" / "results.md").read_text())}
    assert rows[""][1:3] == ["sampled score", "greedy score (judged)"]
    assert rows["seed 100"][4] == "67.5"  # the return of the judged actions


def test_missing_metrics_and_curves_are_told(project: Path) -> None:
    make_cell(project, 101, learned=True)
    write_report(project)
    assert "Left out, for want of the metric: seeds 100, 102" in (project / "reports" / "results.md").read_text()
    make_cell(project, 101)
    (project / "results" / "curves" / "moving-dot" / "seed-102.jsonl").unlink()
    result = write_report(project)
    plots = {path.name for path in (project / "reports" / "moving-dot").iterdir()}
    assert plots == {"curves.png", "curves.svg", "seeds.png", "seeds.svg"}  # those of the first report are gone
    page = Page((project / "reports" / "report.html").read_text()).text
    for title in ("Accuracy of the reward model", "Predicted against true return"):
        assert any(title in note for note in result.not_made)
        assert f"{title}: not drawn" in page
    assert any("no learning curve of seed 102" in warning for warning in result.warnings)
    assert "Left out, for want of the metric: seed 102" in page


def test_one_seed_has_no_interval(project: Path) -> None:
    for seed in (101, 102):
        (project / "results" / "cells" / "moving-dot" / f"seed-{seed}.json").unlink()
    write_report(project)
    readme = (project / "README.md").read_text()
    assert "0.950 (n=1, no interval)" in readme
    assert r"1/1 \[0.21, 1.00\]" in readme
    assert "nan" not in (project / "reports" / "results.md").read_text()
    assert "nan" not in Page((project / "reports" / "report.html").read_text()).text


def test_each_experiment_has_a_section(project: Path) -> None:
    for seed in (100, 101):
        make_cell(project, seed, experiment="true-reward")
    write_report(project)
    markdown = (project / "reports" / "results.md").read_text()
    assert re.findall(r"^## (.*)$", markdown, re.MULTILINE) == ["moving-dot", "true-reward"]
    assert (project / "reports" / "true-reward" / "curves.svg").is_file()
    names = [row[0] for row in table_rows((project / "README.md").read_text())[2:]]
    assert names == ["moving-dot", "random policy", "optimal", "true-reward", "random policy", "optimal"]


def test_text_of_files_cannot_become_markup(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(README)
    changes = {"run": 'x"><script>alert(1)</script>|`|', "code_hash": "<img src=x>", "dirty": True}
    make_cell(tmp_path, 100, experiment="<!-- results:end --><script>|`*", **changes)
    write_report(tmp_path)
    write_report(tmp_path)  # the README still has one end marker
    page = Page((tmp_path / "reports" / "report.html").read_text())
    assert "script" not in page.tags
    assert page.tags.count("img") == 2
    assert 'x"><script>alert(1)</script>|`|' in page.text
    for name in ("README.md", "reports/results.md"):
        markdown = (tmp_path / name).read_text()
        assert {len(row) for row in table_rows(markdown)} <= {9, 10, 5}  # columns of the three tables
        assert "<script>" not in re.sub(r"`[^`]*`", "", markdown)


def test_full_disk_leaves_whole_files(project: Path) -> None:
    program = (
        "import resource, sys; from pathlib import Path; from repro.config import UserError\n"
        "from repro.workflow.report import write_report\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try: write_report(Path(sys.argv[1]))\n"
        "except UserError as error: sys.exit(str(error))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(project)], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 1
    assert result.stderr.strip().endswith("it is left as it was")
    assert "report.html: cannot be written" in result.stderr
    assert (project / "README.md").read_bytes() == README
    assert {path.name for path in (project / "reports").rglob("*")} == {"results.csv", "results.md"}
