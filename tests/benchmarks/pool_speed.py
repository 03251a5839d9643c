"""How much sooner the pool (`repro launch --seeds …`) does ten runs, as many at once as there are cores, than in a row.

An MLP (CartPole) with one thread on both sides, and a CNN (the moving dot from 84x84 images), each side at its best
thread count, of 1 and as many as there are cores. All sides are the pool itself, with one run at a time or with as many
as there are cores; W&B is off, and nothing is filmed. Writes docs/results/pool-speed.md.

    python tests/benchmarks/pool_speed.py                          # about 20 minutes on two idle cores
    python tests/benchmarks/pool_speed.py --runs 2 --share 0.1     # a try: prints the page only
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template"
PAGE = ROOT / "docs/results/pool-speed.md"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
RUNS, FIRST_SEED = 10, 100


@dataclass(frozen=True)
class Task:
    """What is trained, for how long, and which share of the time in a row the pool is to need."""

    title: str
    preset: str
    steps: int
    limit: float
    threads: tuple[int, ...]  # that are tried on both sides


TASKS = (
    Task("MLP, one thread (CartPole)", "cartpole", 102_400, 0.6, (1,)),
    Task("CNN, best thread count (moving dot, 84x84)", "moving-dot-true-reward", 16_384, 0.9, tuple({1: 0, CORES: 0})),
)


def make_project(root: Path) -> None:
    for name in ("src", "presets", "checklists"):
        shutil.copytree(TEMPLATE / name, root / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in ("pyproject.toml", "requirements.lock", "budget.yaml"):
        shutil.copy(TEMPLATE / name, root / name)


def make_runs(root: Path, task: Task, threads: int, runs: int, share: float) -> list[str]:
    """Run folders that wait to be done, as `repro launch` makes them, without estimate and gate."""
    from repro.config import load_config
    from repro.device import resolve_auto
    from repro.tracking.creation import create_run, keep_code

    steps = round(task.steps * share)
    overrides = [f"training.total_steps={steps}", f"training.threads={threads}", "evaluation.video_rollouts=0"]
    config = load_config(root / f"presets/{task.preset}.yaml", overrides)
    code, folders = keep_code(root), []
    for seed in range(FIRST_SEED, FIRST_SEED + runs):
        facts = {"config": resolve_auto(config), "name": config.name, "seed": seed, "command": ["repro", "launch"]}
        run = create_run(root, code, **facts)
        run.update(status="queued")
        folders.append(str(run.path))
    return folders


def seconds(task: Task, threads: int, at_once: int, runs: int, share: float) -> float:
    """Wall time of the pool for so many runs, from its start to its end; all of them have to finish."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_project(root)
        paths = make_runs(root, task, threads, runs, share)
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        environment |= {"PYTHONPATH": str(root / "src"), "WANDB_MODE": "disabled"}
        command = [sys.executable, "-P", "-m", "repro.cli", "_pool", str(at_once), *paths]
        start = time.perf_counter()
        subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def measure(task: Task, runs: int, share: float) -> list[str]:
    """Measure all sides of a task; returns its part of the page."""
    lines = ["", f"## {task.title}", "", "| | threads of a run | runs at once | seconds |", "|---|---|---|---|"]
    best: dict[str, float] = {}
    for side, at_once in (("in a row", 1), ("pool", CORES)):
        for threads in task.threads:
            took = seconds(task, threads, at_once, runs, share)
            best[side] = min(took, best.get(side, took))
            lines.append(f"| {side} | {threads} | {at_once} | {took:.1f} |")
            print(lines[-1], flush=True)
    ratio = best["pool"] / best["in a row"]
    verdict = "reached" if ratio < task.limit else "missed"
    steps = round(task.steps * share)
    lines += ["", f"{runs} runs of {steps:,} steps: the pool takes **{ratio:.2f}** of the time in a row; aim: under "]
    lines[-1] += f"{task.limit}: {verdict}."
    return lines


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--share", type=float, default=1.0, help="of the steps of a run")
    options = parser.parse_args()
    sys.path.insert(0, str(TEMPLATE / "src"))
    load = os.getloadavg()[0]
    lines = [
        "# Several runs at once",
        "",
        f"Made by `python tests/benchmarks/pool_speed.py`, once, on {CORES} cores ({platform.machine()}), Python "
        f"{platform.python_version()}; load before it began: {load:.1f}. Wall time of the pool of `repro launch`, with",
        "starting and ending each run; W&B off, no videos.",
    ]
    for task in TASKS:
        lines += measure(task, options.runs, options.share)
    text = "\n".join(lines) + "\n"
    if (options.runs, options.share) == (RUNS, 1.0):
        PAGE.write_text(text)
        print(f"written: {PAGE.relative_to(ROOT)}")
    else:
        print(text)


if __name__ == "__main__":
    main()
