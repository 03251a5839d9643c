"""What the report says before its experiments: claims, preregistration, compute, deviations from the paper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from claims_examples import CLAIM, cells_with, write_claims
from preflight_examples import PROJECT
from report_examples import README, Page, make_cell, make_results, table_rows

from repro.claims.preregistration import REGISTERED, entry_hash
from repro.config import Config, load_config
from repro.reading import UserError
from repro.report.overview import paper_table
from repro.report.writing import write_report

SCORES = [0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.93, 0.94, 0.92, 0.95]
DEVIATIONS = """# Deviations

| detail | paper (section) | here | why |
|---|:---:|---|---|
| discount | 0.99 (A.2) | see `agent.discount` | *short* [episodes](x.md) \\| few |
| loss | cross-entropy | the same | |
| lives | hidden | does not arise | |
| ties | a half | two | |

| a | table | of another form |
|---|---|---|
| x | y | z |
"""


@pytest.fixture
def config() -> Config:
    return load_config(PROJECT / "presets/moving-dot.yaml", ["seeds.pipeline=[0,1,2,3,4,5,6,7,8,9]"])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_bytes(README)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/moving-dot.yaml").write_bytes((PROJECT / "presets/moving-dot.yaml").read_bytes())
    cells_with(tmp_path, SCORES, tuning_runs=12)
    other = CLAIM.replace("id: dot", "id: baseline").replace(
        "experiment: moving-dot", "experiment: moving-dot-true-reward"
    )
    write_claims(tmp_path, CLAIM + CLAIM.replace("id: dot", "id: better").replace("0.9", "0.99") + other)
    return tmp_path


def report(project: Path, config: Config) -> tuple[str, str, Page]:
    """The README, results.md and the page."""
    write_report(project, config)
    page = Page((project / "reports/report.html").read_text())
    return (project / "README.md").read_text(), (project / "reports/results.md").read_text(), page


def test_each_claim_has_its_verdict_everywhere(project: Path, config: Config) -> None:
    readme, markdown, page = report(project, config)
    for text in (readme, markdown):
        rows = {row[0]: row for row in table_rows(text)}
        assert rows["dot"] == ["dot", "–", "0.9", r"0.935 \[0.924, 0.946\]", "10", "12", "✓ reproduced"]
        assert rows["better"][-1] == "✗ not reproduced"
        assert rows["baseline"][-3:] == ["0 of 10 needed", "–", "? inconclusive"]
    assert '<span class="verdict good">✓ reproduced</span>' in (project / "reports/report.html").read_text()
    assert '<span class="verdict open">? inconclusive</span>' in (project / "reports/report.html").read_text()
    for text in (markdown, page.text):
        assert "It is solved. In the paper: section 3." in text and "Inconclusive, because: no cells yet." in text
        assert "Nothing was preregistered." in text


def test_compute_is_summed_up(project: Path, config: Config) -> None:
    for seed in (0, 1):
        make_cell(project, seed, "other", labels=None, wall_seconds=1800.0, sampled=0.5)
    _, markdown, _ = report(project, config)
    rows = {row[0]: row for row in table_rows(markdown[markdown.index("## Compute") : markdown.index("## moving-dot")])}
    assert rows["moving-dot"][1:4] == ["10", "800,000", "10,000"] and rows["moving-dot"][-1] == "12"
    assert rows["other"][1:] == ["2", "160,000", "–", "1.00 h", "30.0 min", "–"]
    assert rows["**all**"][1:4] == ["**12**", "**960,000**", "**10,000**"]


def register(project: Path) -> None:
    entry = {"registered": "2026-11-20T10:00:00+01:00", "commit": "c" * 40, "previous": None, "reason": None}
    entry |= {"params": {}, "claims": {}, "code_hash": "x", "seeds": {"tuning": [], "final": []}}
    entry |= {"plan": {}, "analysis": {}, "dirty": False, "results_seen": 0}
    (project / REGISTERED).write_text(json.dumps([entry | {"hash": entry_hash(entry)}]))
    plan = "hypotheses: [{id: H, text: t, claim: dot, how_surprised_if_false: very}]\n"
    (project / "paper/preregistration.yaml").write_text(
        plan + "".join(f"{name}: t\n" for name in ("analysis", "stopping_rule", "exclusions", "tuning"))
    )
    (project / "presets/moving-dot-true-reward.yaml").write_bytes(
        (PROJECT / "presets/moving-dot-true-reward.yaml").read_bytes()
    )


def test_deviations_from_the_registration_are_listed(project: Path, config: Config) -> None:
    register(project)
    readme, markdown, page = report(project, config)
    for text in (markdown, page.text):
        assert "Preregistered 2026-11-20T10:00:00+01:00, at commit cccccccccccc." in text
        assert "claims.dot.target: nothing was registered, 0.9 now" in text.replace("\\", "")
    assert "deviations from what was preregistered: see `reports/results.md`" in readme


def test_details_of_the_paper_that_are_the_same_are_left_out(project: Path, config: Config) -> None:
    (project / "paper/deviations.md").write_text(DEVIATIONS)
    assert paper_table(project).rows == [
        ["discount", "0.99 (A.2)", "see agent.discount", "short episodes | few"],
        ["ties", "a half", "two", "–"],
    ]
    _, markdown, page = report(project, config)
    assert "2 details, in `paper/deviations.md`" in markdown and "see agent.discount" in page.text
    (project / "paper/deviations.md").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"paper/deviations\.md: cannot be read"):
        paper_table(project)


def test_without_claims_nothing_is_said_of_them(tmp_path: Path) -> None:
    project, config = make_results(tmp_path / "project"), load_config(PROJECT / "presets/moving-dot.yaml")
    write_report(project, config)
    assert "Claims" not in (project / "reports/report.html").read_text()
    write_claims(project, "  []\n")
    write_report(project, config)
    assert "Claims" not in (project / "reports/report.html").read_text()


def test_claims_that_were_registered_cannot_be_left_away(project: Path, config: Config) -> None:
    register(project)
    write_claims(project, "  []\n")
    with pytest.raises(UserError, match=r"hypotheses\[0\]\.claim: 'dot' is no claim of claims\.yaml"):
        write_report(project, config)
    (project / "paper/claims.yaml").unlink()
    with pytest.raises(UserError, match=r"paper/claims\.yaml"):
        write_report(project, config)
    assert not (project / "reports").exists()


def test_seeds_that_are_left_out_are_named_everywhere(project: Path, config: Config) -> None:
    for seed in (10, config.seeds.tuning[0]):  # the latter are not to be reported
        make_cell(project, seed, "moving-dot", sampled=-1.0)
    for text in report(project, config)[:2]:
        assert "> **Warning.** moving-dot: cells of seeds 10 are not in seeds.pipeline, and left out" in text
    page = (project / "reports/report.html").read_text()
    assert "<strong>Warning.</strong> moving-dot: cells of seeds 10 are not in seeds.pipeline" in page
    assert f"moving-dot: cells of seeds 10, {config.seeds.tuning[0]} are" in write_report(project, config).warnings[0]
