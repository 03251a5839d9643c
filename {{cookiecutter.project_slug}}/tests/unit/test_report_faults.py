"""`repro report` on faulty results: refusals, warnings, hostile text, damaged files, a full disk."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_examples import README, Page, files_of, make_cell, make_results, report, table_rows

from repro.reading import UserError
from repro.report import writing


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_results(tmp_path / "project")


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
        report(project)
    assert "README.md" in str(caught.value)
    assert (project / "README.md").read_bytes() == readme
    assert not (project / "reports").exists()


def test_without_a_readme(project: Path) -> None:
    (project / "README.md").unlink()
    with pytest.raises(UserError, match=r"README\.md"):
        report(project)


def test_without_cells_the_command_that_makes_them_is_named(project: Path) -> None:
    shutil.rmtree(project / "results")
    with pytest.raises(UserError, match="`dvc repro`"):
        report(project)
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
        (lambda text: text.replace('"seed": 101', '"seed": 7'), "should be results/cells/moving-dot/seed-7.json"),
    ],
)
def test_damaged_cell_is_named_with_its_key(project: Path, damage: Callable[[str], str], key: str) -> None:
    path = project / "results" / "cells" / "moving-dot" / "seed-101.json"
    text = path.read_text()
    path.write_text(damage(text))
    assert path.read_text() != text
    with pytest.raises(UserError) as caught:
        report(project)
    message = str(caught.value)
    assert message.startswith("results/cells/moving-dot/seed-101.json: ")
    assert key in message
    assert "\n" not in message
    assert (project / "README.md").read_bytes() == README
    assert not (project / "reports").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace('"env_step": 32000', '"step": 32000'), "line 2: not a row of metrics"),
        (lambda text: text.replace('"env_step": 48000', '"env_step": 32000'), "line 3: env_step: 32000 does not"),
        (lambda text: text.replace('"env_step": 48000', '"env_step": "NaN"'), "line 3: env_step: nan does not"),
        (lambda text: text.replace('"env_step": 48000', '"env_step": "a"'), "line 3: not a row of metrics"),
        (lambda text: text + "7\n", "line 6: not a row of metrics"),
    ],
)
def test_damaged_curve_is_named_with_its_line(project: Path, damage: Callable[[str], str], message: str) -> None:
    path = project / "results" / "curves" / "moving-dot" / "seed-101.jsonl"
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=re.escape(f"results/curves/moving-dot/seed-101.jsonl, {message}")):
        report(project)


def test_seeds_of_different_code_or_parameters_are_warned_of(project: Path) -> None:
    make_cell(project, 101, code_hash="ffff000011112222", params_hash="p2", labels=500)
    warnings = report(project).warnings
    html = (project / "reports" / "report.html").read_text()
    for name in ("code_hash", "params_hash", "labels"):
        (warning,) = (text for text in warnings if f"{name} differs among seeds" in text)
        assert "(seed 101)" in warning
        assert f"{name} differs among seeds" in html
    assert len(warnings) == 3


def test_what_no_plot_can_show_is_told(project: Path) -> None:
    folder = project / "results" / "curves" / "moving-dot"
    torn, diverged = folder / "seed-100.jsonl", folder / "seed-101.jsonl"
    torn.write_text(torn.read_text()[:-10])
    diverged.write_text(
        re.sub(r'("return/mean": )[^,]+', r'\1"NaN", "value/explained_variance": "NaN"', diverged.read_text())
    )
    first, second = report(project).warnings
    assert "seed-100.jsonl does not end at the 80,000 steps of results/cells/moving-dot/seed-100.json" in first
    assert "seed-101.jsonl holds NaN or infinity" in second and second.endswith(" in: return/mean")
    assert "NaN or infinity" in (project / "README.md").read_text()


def test_seeds_judged_on_different_actions_have_no_mean(project: Path) -> None:
    make_cell(project, 101, judged="greedy")
    with pytest.raises(UserError, match=r"seed-101\.json on greedy"):
        report(project)


def test_missing_metrics_and_curves_are_told_where_rewards_are_learned(project: Path) -> None:
    make_cell(project, 101, learned=True)
    report(project)
    assert "Left out, for want of the metric: seeds 100, 102" in (project / "reports" / "results.md").read_text()
    make_cell(project, 101)
    (project / "results" / "curves" / "moving-dot" / "seed-102.jsonl").unlink()
    result = report(project)
    plots = {path.name for path in (project / "reports" / "moving-dot").iterdir()}
    assert plots == {"curves.png", "curves.svg", "seeds.png", "seeds.svg"}  # those of the first report are gone
    page = Page((project / "reports" / "report.html").read_text()).text
    for title in ("Accuracy of the reward model", "Predicted against true return"):
        assert title not in page  # nothing was predicted
    assert result.not_made == []
    assert any("no learning curve of seed 102" in warning for warning in result.warnings)
    assert "Left out, for want of the metric: seed 102" in page


def test_a_run_that_hacked_its_reward_is_warned_of(project: Path) -> None:
    curve = project / "results" / "curves" / "moving-dot" / "seed-101.jsonl"
    rows = [
        {"env_step": 80_000 * (n + 1) // 40, "return/mean": -n, "return/score": -n / 100, "predicted_return/mean": n}
        for n in range(40)
    ]
    curve.write_text("".join(json.dumps(row) + "\n" for row in rows))
    warnings = [warning for warning in report(project).warnings if "reward_hacking" in warning]
    assert len(warnings) == 1 and "seed 101: step 60,000: reward_hacking: from step 2,000 to 60,000 " in warnings[0]
    assert "reward_hacking" in Page((project / "reports" / "report.html").read_text()).text


def test_only_plots_of_the_reported_experiments_are_removed(project: Path) -> None:
    mine = project / "reports" / "figures of mine" / "curves.png"
    for path in (mine, project / "reports" / "curves.svg", project / "reports" / "moving-dot" / "reward_model.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"drawn before")
    report(project)
    assert mine.exists() and (project / "reports" / "curves.svg").exists()
    assert not (project / "reports" / "moving-dot" / "reward_model.png").exists()


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("reports/moving-dot/reward_model.png", "reward_model.png: cannot be written"),
        ("models/moving-dot/seed-100/segments.mp4", "models/moving-dot/seed-100/segments.mp4: cannot be read"),
    ],
)
def test_a_folder_where_a_file_belongs_is_named(project: Path, folder: str, message: str) -> None:
    (project / folder).mkdir(parents=True)
    with pytest.raises(UserError, match=re.escape(message)):
        report(project)
    assert (project / "README.md").read_bytes() == README


def test_what_is_written_into_the_readme_meanwhile_is_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_section = writing.make_section

    def slowly(*arguments: Any) -> Any:
        (project / "README.md").write_bytes(b"# Edited while it drew\n" + README)
        return make_section(*arguments)

    monkeypatch.setattr(writing, "make_section", slowly)
    assert report(project).written[-1] == project / "README.md"
    text = (project / "README.md").read_text()
    assert text.startswith("# Edited while it drew\n# A reproduction\n") and "| moving-dot |" in text


def test_text_of_files_cannot_become_markup(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(README)
    changes = {"run": 'x"><script>alert(1)</script>|`|', "code_hash": "<img src=x>", "dirty": True}
    make_cell(tmp_path, 100, experiment="<!-- results:end --><script>|`*", **changes)
    report(tmp_path)
    report(tmp_path)  # the README still has one end marker
    page = Page((tmp_path / "reports" / "report.html").read_text())
    assert "script" not in page.tags
    assert page.tags.count("img") == 2
    assert 'x"><script>alert(1)</script>|`|' in page.text
    for name in ("README.md", "reports/results.md"):
        markdown = (tmp_path / name).read_text()
        assert {len(row) for row in table_rows(markdown)} <= {6, 7, 8, 9}  # columns of the four tables
        assert "<script>" not in re.sub(r"`[^`]*`", "", markdown.replace(r"\`", ""))


def test_full_disk_leaves_whole_files(project: Path) -> None:
    program = (
        "import resource, sys; from pathlib import Path; from repro.reading import UserError\n"
        "from report_examples import report\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try: report(Path(sys.argv[1]))\n"
        "except UserError as error: sys.exit(str(error))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(project)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parent,
    )
    assert result.returncode == 1
    assert "report.html: the disk is full" in result.stderr
    assert (project / "README.md").read_bytes() == README
    assert {path.name for path in (project / "reports").rglob("*")} == {"results.csv", "results.md"}
