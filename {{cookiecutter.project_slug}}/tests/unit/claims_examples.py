"""A project with claims and synthetic cells, for the tests of claims and preregistration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from preflight_examples import PROJECT
from report_examples import make_cell

from repro.config import SeedConfig
from repro.reading import parse_yaml
from repro.results.claims import Claim
from repro.results.pipeline import Pipeline
from repro.results.records import Cell, find_cells

FINAL = list(range(10))
SEEDS = SeedConfig(tuning=[100, 101, 102], final=FINAL, pipeline=[100], ablations=[])
PIPELINE = Pipeline("moving-dot", SEEDS, baselines=[], presets=PROJECT / "presets")
CLAIM = """  - id: dot
    claim: It is solved.
    where: section 3
    environment: dot
    metric: judged.score
    paper_value: null
    target: 0.9
    tolerance: null
    min_seeds: 10
    cells: {experiment: moving-dot, seeds: final}
"""
HEAD = "paper: {title: A, url: b}\nclaims:\n"


def write_claims(root: Path, text: str = CLAIM) -> Path:
    path = root / "paper" / "claims.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD + text)
    return path


def make_claim(**changes: Any) -> Claim:
    return Claim.model_validate(parse_yaml(CLAIM, "example")[0] | changes)


def cells_with(
    root: Path, scores: list[float], experiment: str = "moving-dot", **changes: Any
) -> dict[str, list[Cell]]:
    """Cells of the seeds 0, 1, ... with these scores, all that `root` has by group."""
    for seed, score in enumerate(scores):
        make_cell(root, seed, experiment, sampled=score, **changes)
    return find_cells(root)
