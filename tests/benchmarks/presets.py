"""What the presets reach: each is trained on tuning seeds 100 to 102, two runs at a time, and evaluated.

Scores are 0 for random actions and 1 for the best there is or is known; minutes are medians of training alone.

    python tests/benchmarks/presets.py [PRESET ...]     (in an environment of a generated project, its extras installed)
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[2] / "template"
SEEDS = (100, 101, 102)
# Names that begin so are left out unless they are named: games take hours, and the small dot is for smoke runs.
LEFT_OUT = ("pong", "breakout", "moving-dot-small")


def make_project(root: Path) -> None:
    """A project with all presets, in which nothing has run."""
    skipped = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
    for name in ("src", "checklists", "presets"):
        shutil.copytree(TEMPLATE / name, root / name, ignore=skipped)
    shutil.copy(TEMPLATE / "budget.yaml", root)
    pyproject = '[project]\nname = "p"\nversion = "0"\n[tool.repro.wandb]\nmode = "disabled"\n'
    (root / "pyproject.toml").write_text(pyproject)
    shutil.copy(root / "presets/moving-dot-small.yaml", root / "params.yaml")


def measure(root: Path, preset: str, seed: int) -> dict:
    """Train and evaluate; returns the run's record."""
    question = f"{preset}, seed {seed}"
    env = os.environ | {"PYTHONPATH": str(root / "src"), "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}

    def repro(*arguments: str) -> None:
        command = [sys.executable, "-P", "-m", "repro.cli", *arguments]
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{question}: repro {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")

    skip = ("--skip", "measuring the presets")
    repro("train", "--params", f"presets/{preset}.yaml", "--seed", str(seed), "--question", question, *skip)
    (path,) = [
        file for file in (root / "runs").glob("*/run.json") if json.loads(file.read_text())["question"] == question
    ]
    repro("evaluate", path.parent.name)
    return json.loads(path.read_text())


def row(preset: str, records: list[dict]) -> str:
    """A line of the table."""
    params = records[0]["params"]
    judged, wanted = params["evaluation"]["actions"], params["evaluation"]["success_score"]
    results = [record["evaluation"][judged] for record in records]
    scores = [result["score"] for result in results]
    cells = (
        preset,
        params["agent"]["algorithm"],
        params["reward"]["source"],
        f"{params['training']['total_steps']:,}",
        " / ".join(f"{score:.2f}" for score in scores),
        " / ".join(f"{result['return_mean']:.1f}" for result in results),
        f"{sum(score >= wanted for score in scores)} of {len(scores)} at {wanted:g}",
        f"{statistics.median(record['active_seconds'] for record in records) / 60:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    every = sorted(file.stem for file in (TEMPLATE / "presets").glob("*.yaml"))
    presets = sys.argv[1:] or [name for name in every if not name.startswith(LEFT_OUT)]
    if unknown := set(presets) - set(every):
        sys.exit(f"error: {', '.join(unknown)}: no such preset; there are {', '.join(every)}")
    print("| preset | algorithm | reward | steps | scores | mean returns | success | minutes |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        root = Path(folder)
        make_project(root)
        runs = {name: [pool.submit(measure, root, name, seed) for seed in SEEDS] for name in presets}
        for name in presets:
            print(row(name, [run.result() for run in runs[name]]), flush=True)


if __name__ == "__main__":
    main()
