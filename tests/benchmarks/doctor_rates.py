"""How often the health checks name a bug that is planted in a training run, and how often they alarm without one.

Each bug of the generated project's tests/sick_runs.py is planted in runs of each task and seed, which end when a check
that is made for it has seen something; the same runs without a bug are healthy, and whole. The metrics of each run are
kept in --runs, one file each, and a benchmark that was stopped goes on with those that are missing. Thresholds were
set on seeds 100 to 109, and after a first measurement on 300 to 309; new ones are measured.
Writes docs/results/doctor-rates.md.

    PYTHONPATH=template/src python tests/benchmarks/doctor_rates.py --runs FOLDER [--tasks TASK ...] [--seeds N ...]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template"
sys.path.insert(0, str(TEMPLATE / "tests"))

if TYPE_CHECKING:
    from repro.config import Config
    from repro.health.diagnosis import Diagnosis
    from repro.health.history import Row

PAGE = ROOT / "docs" / "results" / "doctor-rates.md"
SEEDS = tuple(range(310, 320))
HEALTHY = "healthy"
TASKS = {  # preset, overrides, what it is, and CPU seconds of a run
    "cartpole-true": (
        *("cartpole-preferences", ("reward.source=environment",)),
        *("CartPole of fixed horizon, true rewards", 6),
    ),
    "cartpole-learned": ("cartpole-preferences", (), "CartPole of fixed horizon, learned rewards", 11),
    "dot-true": ("moving-dot-true-reward", ("env.image_size=42",), "moving dot of 42x42 pixels, true rewards", 15),
    "dot-learned": ("moving-dot", ("env.image_size=42",), "moving dot of 42x42 pixels, learned rewards", 40),
}


class Run(NamedTuple):
    """One to be made: a bug, or none, in a task."""

    task: str
    bug: str
    seed: int


def config_of(task: str) -> Config:
    """The task's parameters, the same on any machine."""
    from repro.config import load_config

    preset, overrides, _, _ = TASKS[task]
    plain = ("training.threads=1", "training.precision=float32", "training.device=cpu")
    return load_config(TEMPLATE / f"presets/{preset}.yaml", (*overrides, *plain))


def bugs_of(task: str) -> list[str]:
    """No bug, and those that this task can have."""
    from sick_runs import BUGS

    source = config_of(task).reward.source
    return [HEALTHY, *(bug.what for bug in BUGS if source in bug.rewards)]


def path_of(folder: Path, run: Run) -> Path:
    """Where its metrics are kept: other parameters are other runs."""
    from repro.tracking.parameters import params_hash

    task = f"{run.task}-{params_hash(config_of(run.task).model_dump(mode='json'))}"
    return folder / task / re.sub(r"\W+", "-", run.bug) / f"{run.seed}.json"


def make(folder: Path, run: Run) -> float:
    """Train, and keep the metrics; returns CPU seconds."""
    from repro.files import write_atomic
    from repro.tracking.metrics import encode
    from sick_runs import BUGS, train

    start, config = time.process_time(), config_of(run.task)
    bug = next((bug for bug in BUGS if bug.what == run.bug), None)
    rows = train(config, run.seed, bug, names(config, bug.named)) if bug else train(config, run.seed)
    path = path_of(folder, run)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = [{name: encode(float(value)) for name, value in row.items()} for row in rows]
    write_atomic(path, json.dumps(encoded).encode())
    return time.process_time() - start


def names(config: Config, checks: Sequence[str]) -> Callable[[Row], bool]:
    """Told row by row, whether one of these checks has seen something."""
    from repro.health.checks import CHECKS, is_due
    from repro.health.history import History
    from repro.health.subject import Subject

    history, subject = History(), Subject.of(config.model_dump())

    def saw(row: Row) -> bool:
        history.add(row)
        return any(
            is_due(check, history) and check(history, subject) is not None for check in CHECKS if check.name in checks
        )

    return saw


def make_missing(folder: Path, runs: Sequence[Run], at_once: int) -> None:
    """Make those that are not there yet."""
    missing = [run for run in runs if not path_of(folder, run).exists()]
    minutes = sum(TASKS[run.task][3] for run in missing) / 60
    print(
        f"{len(runs) - len(missing)} of {len(runs)} runs are there; about {minutes:.0f} core-minutes", file=sys.stderr
    )
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(at_once, mp_context=multiprocessing.get_context("spawn")) as pool:
        made = {pool.submit(make, folder, run): run for run in missing}
        for future in as_completed(made):
            run = made[future]
            print(f"{run.task}, seed {run.seed}: {run.bug}: {future.result():.0f} s", file=sys.stderr, flush=True)


def found_in(folder: Path, run: Run) -> dict[str, Diagnosis]:
    """What the checks see in a run, by name."""
    from repro.health.diagnosis import FOUND, diagnose
    from repro.health.subject import Subject
    from repro.tracking.metrics import decode_row

    kept = json.loads(path_of(folder, run).read_bytes())
    rows = [row for one in kept if (row := decode_row(json.dumps(one).encode())) is not None]
    diagnoses = diagnose(rows, Subject.of(config_of(run.task).model_dump()))
    return {one.check.name: one for one in diagnoses if one.state == FOUND}


def section(folder: Path, task: str, seeds: Sequence[int]) -> tuple[list[str], int, int]:
    """The page's part on a task, how many runs with a bug there were, and in how many it was named."""
    from sick_runs import BUGS

    count, named_in_all = len(seeds), 0
    lines = [f"## {TASKS[task][2][0].upper()}{TASKS[task][2][1:]} (`{task}`)", ""]
    healthy = [found_in(folder, Run(task, HEALTHY, seed)) for seed in seeds]
    alarms = Counter(name for found in healthy for name in found)
    errors = sum(any(one.is_error for one in found.values()) for found in healthy)
    warned = sum(bool(found) for found in healthy)
    lines += [
        f"Without a bug: errors in {errors} of {count} runs, any alarm in {warned} of {count}" + said(alarms) + ".",
        "",
    ]
    lines += ["| bug | named by its check | its check | what else was seen |", "|---|---|---|---|"]
    bugs = [bug for bug in BUGS if bug.what in bugs_of(task)]
    for bug in bugs:
        runs = [found_in(folder, Run(task, bug.what, seed)) for seed in seeds]
        named = sum(not found.keys().isdisjoint(bug.named) for found in runs)
        named_in_all += named
        others = Counter(name for found in runs for name in found if name not in bug.named)
        checks = ", ".join(f"`{name}`" for name in bug.named)
        lines.append(f"| {bug.what} | {named} of {count} | {checks} | {said(others).removeprefix(': ')} |")
    return [*lines, ""], count * len(bugs), named_in_all


def said(counts: Counter[str]) -> str:
    """Checks and in how many runs they saw something."""
    return ": " + ", ".join(f"`{name}` {count}" for name, count in counts.most_common()) if counts else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, metavar="FOLDER", help="where metrics of runs are kept")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, metavar="N")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="runs at a time; default: 2")
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    tasks = [(task, bug) for task in arguments.tasks for bug in bugs_of(task)]
    make_missing(arguments.runs, [Run(*one, seed) for seed in arguments.seeds for one in tasks], arguments.at_once)
    sections = [section(arguments.runs, task, arguments.seeds) for task in arguments.tasks]
    sick, named = (sum(part[index] for part in sections) for index in (1, 2))
    seeds = ", ".join(map(str, arguments.seeds))
    lines = [
        "# Health checks: bugs that are named, and false alarms",
        "",
        "Made by `PYTHONPATH=template/src python tests/benchmarks/doctor_rates.py`: each bug of the generated",
        "project's `tests/sick_runs.py` is planted in whole runs of the presets, and the checks of `repro doctor` look",
        "at their metrics. Thresholds were set on seeds 100 to 109, and after a first measurement on 300 to 309;",
        f"these are seeds {seeds}. A bug counts as named if a check that is",
        "made for it saw something at any time, and the run ended then; what else was seen by then are mostly its",
        "consequences.",
        "",
        f"**Of {sick} runs with a bug, {named} are named.**",
        "",
        *(line for part in sections for line in part[0]),
    ]
    arguments.page.write_text("\n".join(lines))
    print(f"wrote {arguments.page}")


if __name__ == "__main__":
    main()
