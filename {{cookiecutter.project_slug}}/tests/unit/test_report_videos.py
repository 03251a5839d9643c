"""Videos in the report: what policies do and what reward models like, of a few seeds."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from report_examples import README, Page, make_cell, report

from repro.results.cells import EPISODE_VIDEO, SEGMENTS_VIDEO

NAMES = (EPISODE_VIDEO, SEGMENTS_VIDEO)
SCORES = {100: 0.5, 101: 0.9, 102: 0.1, 103: 0.7, 104: 0.6}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_bytes(README)
    for seed, score in SCORES.items():
        make_cell(tmp_path, seed, sampled=score)
        film(tmp_path, seed, EPISODE_VIDEO)
    return tmp_path


def film(root: Path, seed: int, name: str) -> str:
    """Where it is; what it shows is its own path."""
    path = f"models/moving-dot/seed-{seed}/{name}"
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(path)
    return path


def shown(root: Path) -> set[str]:
    """The videos in the page that are listed in results.md, too."""
    report(root)
    page, markdown = ((root / "reports" / name).read_text() for name in ("report.html", "results.md"))
    paths = {path for seed in SCORES for path in (f"models/moving-dot/seed-{seed}/{name}" for name in NAMES)}
    inside = {path for path in paths if base64.b64encode(path.encode()).decode() in page}
    assert inside == {path for path in paths if f"- `{path}`" in markdown}
    return inside


def test_of_many_seeds_the_worst_the_middle_and_the_best_are_shown(root: Path) -> None:
    assert shown(root) == {f"models/moving-dot/seed-{seed}/{EPISODE_VIDEO}" for seed in (101, 102, 104)}
    assert "predicted returns" not in Page((root / "reports/report.html").read_text()).text


def test_of_three_that_have_a_video_all_are_shown(root: Path) -> None:
    segments = {film(root, seed, SEGMENTS_VIDEO) for seed in (100, 101, 103)}
    assert shown(root) >= segments
    text = Page((root / "reports/report.html").read_text()).text
    assert text.index("An episode") < text.index("Segments with the highest and the lowest predicted returns")


def test_without_videos_there_is_no_heading(root: Path) -> None:
    for seed in SCORES:
        (root / f"models/moving-dot/seed-{seed}/{EPISODE_VIDEO}").unlink()
    assert shown(root) == set()
    assert "An episode" not in (root / "reports/report.html").read_text()
