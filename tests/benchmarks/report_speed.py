"""How long `repro report` takes over 200 runs of 10,000 rows each: ten groups of twenty seeds.

The whole method with its eight ablations, and the same from true rewards, with claims on all of it. The rows hold as
many metrics as those of a real run and are written by the run's own writer; the curves of one group are written, and
copied for the others. Beside each model lie two files in place of its videos. Medians of three reports, each of a
project without an earlier one; Python's start is included. With the default number of rows it writes
docs/results/report-speed.md.

    python tests/benchmarks/report_speed.py [ROWS] [--profile]     (in an environment of a generated project)
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from presets import make_project
from repro.config.ablations import ABLATIONS
from repro.machine import usable_cores
from repro.tracking.metrics import MetricsWriter

SEEDS = range(20)
BASELINE = "moving-dot-true-reward"
GROUPS = ("moving-dot", *(f"moving-dot/{name}" for name in ABLATIONS), BASELINE)
OTHERS = 30  # metrics beside those that are drawn
VIDEOS, VIDEO_BYTES = ("episode.mp4", "segments.mp4"), 250_000
ROUNDS = 3
LIMIT = 20.0  # seconds
RESULTS = Path(__file__).resolve().parents[2] / "docs/results"
INTRODUCTION = """# How long the report takes

`repro report` over twenty seeds of the whole method, of each of its eight ablations, and of training on the true
reward: tables, claims, a PNG, an SVG and a dark SVG of each plot, one page. Medians of three on {cores} cores, each of
which reads and draws some of the experiments; by `tests/benchmarks/report_speed.py`, with synthetic curves of 43
metrics and two files of 250 kB in place of the videos of each seed. Most of the time goes into drawing; of 10,000 rows
200 are drawn.
"""


def write_curve(path: Path, seed: int, rows: int) -> None:
    """A run that learns, with noise."""
    generator = np.random.default_rng(seed)
    progress = np.linspace(0, 1, rows)
    score = 0.95 * (1 - np.exp(-6 * progress)) + 0.05 * generator.standard_normal(rows)
    columns = {
        "env_step": 2048 * np.arange(1, rows + 1),
        "return/mean": 80 * score,
        "return/score": score,
        "predicted_return/mean": 30 * score + generator.standard_normal(rows),
        "reward_model/accuracy_train": 0.9 + 0.02 * generator.standard_normal(rows),
        "reward_model/accuracy_val": 0.85 + 0.02 * generator.standard_normal(rows),
        "reward_model/loss_train": 0.3 + 0.02 * generator.standard_normal(rows),
        "reward_model/loss_val": 0.36 + 0.02 * generator.standard_normal(rows),
        "reward_model/loss_floor": np.full(rows, 0.2),
        "reward_model/loss_ratio": 1.2 + 0.05 * generator.standard_normal(rows),
        "reward_model/disagreement": 0.1 + 0.01 * np.abs(generator.standard_normal(rows)),
        "reward_model/return_correlation": score,
        "reward/correlation": score / 2,
    }
    columns |= {f"others/metric_{number}": generator.standard_normal(rows) for number in range(OTHERS)}
    with MetricsWriter(path) as writer:
        for values in zip(*columns.values(), strict=True):
            writer.write(dict(zip(columns, values, strict=True)))


def write_cell(root: Path, group: str, seed: int, steps: int) -> None:
    """As `repro evaluate --cell` writes it."""
    experiment, _, ablation = group.partition("/")
    generator = np.random.default_rng([seed, GROUPS.index(group)])

    def score(mean: float) -> dict[str, float]:
        return {"score": mean, "return_mean": 80 * mean, "return_std": 20.0, "returns_sum": 8000 * mean}

    played = [score(0.93 - 0.02 * GROUPS.index(group) + 0.02 * float(generator.standard_normal())) for _ in range(2)]
    cell = {
        "experiment": experiment,
        "ablation": ablation or None,
        "seed": seed,
        "run": f"2026-11-21_{experiment}_{seed:04x}",
        "code_hash": "3f2a9c81d0b7e645",
        "params_hash": "0123456789abcdef",
        "dirty": False,
        "env_steps": steps,
        "labels": None if group == BASELINE else 700,
        "wall_seconds": 3600.0 + seed,
        "tuning_runs": 40,
        "judged": "sampled",
        "success": True,
        "success_score": 0.9,
        "evaluation": {
            "episodes": 100,
            "seed": 1000,
            "sampled": played[0],
            "greedy": played[1],
            "random": score(0.0),
            "optimal": score(1.0),
        },
    }
    path = root / "results/cells" / group / f"seed-{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(cell))


def make_results(folder: Path, rows: int) -> Path:
    """A project with all cells and curves, and a claim on each group."""
    root = folder / "project"
    root.mkdir()
    make_project(root)
    params = (root / "params.yaml").read_text()
    for name in ("final", "pipeline"):
        line = next(line for line in params.splitlines() if line.startswith(f"  {name}: "))
        params = params.replace(line, f"  {name}: {list(SEEDS)}")
    (root / "params.yaml").write_text(params)
    claims = [
        {
            "id": group.replace("/", "-"),
            "claim": "It is solved.",
            "where": "nowhere",
            "environment": "moving-dot",
            "metric": "judged.score",
            "paper_value": None,
            "target": 0.9,
            "tolerance": None,
            "min_seeds": 10,
            "cells": {"experiment": group.partition("/")[0], "seeds": "final"}
            | ({"ablation": group.partition("/")[2]} if "/" in group else {}),
        }
        for group in GROUPS
    ]
    (root / "paper").mkdir(exist_ok=True)
    (root / "paper/claims.yaml").write_text(json.dumps({"paper": {}, "claims": claims}))  # JSON is YAML
    (root / "README.md").write_text("<!-- results:start -->\n<!-- results:end -->\n")
    for seed in SEEDS:
        for group in GROUPS:
            write_cell(root, group, seed, 2048 * rows)
            models = root / "models" / group / f"seed-{seed}"
            models.mkdir(parents=True)
            for name in VIDEOS:
                (models / name).write_bytes(np.random.default_rng(seed).bytes(VIDEO_BYTES))
            curve = root / "results/curves" / group / f"seed-{seed}.jsonl"
            curve.parent.mkdir(parents=True, exist_ok=True)
            if group == GROUPS[0]:
                write_curve(curve, seed, rows)
            else:
                shutil.copyfile(root / "results/curves" / GROUPS[0] / f"seed-{seed}.jsonl", curve)
    return root


def report(root: Path, *python: str) -> tuple[float, float]:
    """Write the report anew; returns wall and processor seconds."""
    shutil.rmtree(root / "reports", ignore_errors=True)
    env = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    start, before = time.perf_counter(), os.times()
    command = [sys.executable, "-P", *python, "-m", "repro.cli", "report"]
    subprocess.run(command, cwd=root, env=env, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, used


def main() -> None:
    """Measure, print the table, and write the page."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--profile"]
    rows = int(arguments[0]) if arguments else 10_000
    with tempfile.TemporaryDirectory() as folder:
        root = make_results(Path(folder), rows)
        if "--profile" in sys.argv:
            shutil.rmtree(root / "reports", ignore_errors=True)
            env = os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-P", "-m", "cProfile", "-s", "cumtime", "-m", "repro.cli", "report"]
            subprocess.run(command, cwd=root, env=env, check=True)
            return
        times = [report(root) for _ in range(ROUNDS)]
        size = sum(path.stat().st_size for path in (root / "results/curves").rglob("*.jsonl"))
        plots = len(list((root / "reports").rglob("*.svg")))
        page = (root / "reports/report.html").stat().st_size
    wall, used = (statistics.median(column) for column in zip(*times, strict=True))
    runs = len(SEEDS) * len(GROUPS)
    table = "| runs | rows each | curves | plots | page | wall time | processor time | aim |\n"
    table += "|---|---|---|---|---|---|---|---|\n"
    table += f"| {runs} | {rows:,} | {size / 1e9:.1f} GB | {plots} | {page / 1e6:.0f} MB | {wall:.1f} s | {used:.1f} s "
    table += f"| under {LIMIT:.0f} s |\n"
    print(table)
    if not arguments:
        (RESULTS / "report-speed.md").write_text(f"{INTRODUCTION.format(cores=usable_cores())}\n{table}")


if __name__ == "__main__":
    main()
