"""Synthetic results, and readers of what is made of them, that the tests of the report share."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from repro.config import load_config
from repro.report.writing import ReportResult, write_report

PRESET = Path(__file__).parents[2] / "presets/moving-dot.yaml"
README = b"# A reproduction\n\n<!-- results:start -->\nnothing yet\n<!-- results:end -->\n\nThe end.\n"
SAMPLED = {100: 0.95, 101: 0.91, 102: 0.6}
GREEDY = {100: 0.9, 101: 0.88, 102: 0.5}


def make_cell(
    root: Path,
    seed: int,
    experiment: str = "moving-dot",
    learned: bool = False,
    ablation: str | None = None,
    worse: float = 0.0,
    sampled: float | None = None,
    **changes: Any,
) -> Path:
    """One cell with a curve of five rollouts; `changes` replace its top-level keys. Returns its path.

    `learned`: the curve holds the metrics of a reward model. `worse`: taken off the scores.
    """

    def score(share: float) -> dict[str, float]:
        return {"score": share, "return_mean": 75 * share, "return_std": 20.0, "returns_sum": 7500 * share}

    cell = {
        "experiment": experiment,
        "ablation": ablation,
        "seed": seed,
        "run": f"2026-11-21_{experiment}_{seed:04x}",
        "code_hash": "3f2a9c81d0b7e645",
        "dirty": False,
        "env_steps": 80_000,
        "labels": 1_000,
        "wall_seconds": 120.0 + seed,
        "judged": "sampled",
        "success_score": 0.85,
        "evaluation": {
            "episodes": 100,
            "seed": 12345,
            "sampled": score((SAMPLED[seed] if sampled is None else sampled) - worse),
            "greedy": score(GREEDY.get(seed, 0.5) - worse),
            "random": score(0.02),
            "optimal": score(1.0),
        },
    }
    path = root / "results" / "cells" / experiment / (ablation or "") / f"seed-{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(cell | changes))

    random = np.random.default_rng(seed)
    rows = []
    for rollout in range(5):
        share = SAMPLED.get(seed, 0.7) * rollout / 4 + 0.01 * random.standard_normal()
        row = {"env_step": 16_000 * (rollout + 1), "return/mean": 75 * share, "return/score": share}
        if learned:
            row |= {"predicted_return/mean": 30 * share + random.standard_normal()}
            row |= {"reward_model/accuracy_train": 0.9, "reward_model/accuracy_val": 0.8}
            row |= {"reward_model/loss_train": 0.3, "reward_model/loss_val": 0.36, "reward_model/loss_floor": 0.2}
            row |= {"reward_model/loss_ratio": 1.2, "reward_model/disagreement": 0.1}
            row |= {"reward_model/return_correlation": share, "reward/correlation": share / 2}
        rows.append(json.dumps(row) + "\n")
    curve = root / "results" / "curves" / experiment / (ablation or "") / f"seed-{seed}.jsonl"
    curve.parent.mkdir(parents=True, exist_ok=True)
    curve.write_text("".join(rows))
    return path


def make_results(root: Path) -> Path:
    """A project of three seeds, none of them reported yet. Returns `root`."""
    root.mkdir()
    (root / "README.md").write_bytes(README)
    for seed in SAMPLED:
        make_cell(root, seed)
    return root


def report(root: Path) -> ReportResult:
    """Report on all seeds of `root`, which are 100 and more."""
    seeds = list(range(100, 200))
    return write_report(root, load_config(PRESET, [f"seeds.tuning={seeds}", f"seeds.pipeline={seeds}"]))


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def table_rows(markdown: str) -> list[list[str]]:
    """The cells of all tables, split at the pipes that are not escaped."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


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
