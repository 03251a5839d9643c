"""How long the commands take that neither train, probe nor check: with 10 runs in the archive, and with 10,000.

Medians of five calls of the whole command, Python's start included; calls take turns, so that a machine that is slow
for a while is slow for all. The first row is what every command begins with: Python and its packages for commands and
parameters. The archive is one real small run, copied.

    python tests/benchmarks/command_times.py [RUNS ...]     (in an environment of a generated project)
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
from datetime import datetime, timedelta
from pathlib import Path

from presets import make_project

FAST = ("training.total_steps=2048", "preferences.initial_labels=16", "preferences.total_labels=20")
COMMANDS = (
    ("log",),
    ("log", "add", "a thought"),
    ("log", "confused", "does not add up"),
    ("log", "hours", "0.01"),
    ("log", "search", "thought"),
    ("log", "week"),
    ("runs",),
    ("runs", "--sort", "score", "--limit", "20"),
    ("show", "latest"),
    ("compare", "{first}", "{last}"),
    ("close", "{first}", "--cause", "too few steps"),
    ("watch", "--once"),
    ("ledger",),
    ("ledger", "--planned"),
    ("ledger", "--predictions"),
)
ROUNDS = 5


def repro(root: Path, *arguments: str) -> float:
    """Run a command in the project; returns its seconds."""
    env = os.environ | {"PYTHONPATH": str(root / "src"), "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    command = [sys.executable, "-P", "-m", "repro.cli", *arguments]
    subprocess.run(command, cwd=root, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def make_small_project(folder: Path) -> Path:
    """A project with one small finished run."""
    root = folder / "project"
    root.mkdir()
    make_project(root)
    repro(root, "train", "--seed", "100", *(part for override in FAST for part in ("--set", override)))
    return root


def fill_archive(root: Path, count: int) -> list[str]:
    """Copies of the run's record and metrics, an hour apart; returns their ids."""
    (real,) = [path for path in (root / "runs").iterdir() if not path.name.startswith(".")]
    record = json.loads((real / "run.json").read_text())
    start, ids = datetime.fromisoformat(record["started"]), [real.name]
    for number in range(1, count):
        began = start - timedelta(hours=number)
        folder = root / "runs" / f"{began:%Y-%m-%d}_moving-dot-small_{number:06x}"
        folder.mkdir()
        copy = record | {"id": folder.name, "seed": 100 + number % 20, "started": began.isoformat(timespec="seconds")}
        (folder / "run.json").write_text(json.dumps(copy, indent=1))
        shutil.copy(real / "metrics.jsonl", folder)
        ids.append(folder.name)
    time.sleep(3)  # records that were written just now are not entered in the index
    return ids


def first_list(root: Path) -> float:
    """Seconds of a list that has to make the index."""
    (root / "runs" / ".index.json").unlink(missing_ok=True)
    return repro(root, "runs")


def packages() -> float:
    """Seconds of a process that does no more than to import what all commands need."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", "import typer, pydantic, ruamel.yaml"], check=True)
    return time.perf_counter() - start


def measure(root: Path, ids: list[str]) -> dict[str, float]:
    """Median seconds by what was done."""
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        seconds.setdefault("(Python and packages)", []).append(packages())
        seconds.setdefault("repro runs, without an index", []).append(first_list(root))
        for command in COMMANDS:
            words = [word.format(first=ids[-1], last=ids[0]) for word in command]
            shown = f"repro {' '.join(command).format(first='RUN', last='RUN')}"
            seconds.setdefault(shown, []).append(repro(root, *words))
    return {shown: statistics.median(values) for shown, values in seconds.items()}


def main() -> None:
    counts = [int(argument) for argument in sys.argv[1:]] or [10, 10_000]
    columns = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            root = make_small_project(Path(folder))
            columns.append(measure(root, fill_archive(root, count)))
    print(f"| seconds, with so many runs | {' | '.join(f'{count:,}' for count in counts)} |")
    print(f"|---|{'---|' * len(counts)}")
    for shown in columns[0]:
        print(f"| {shown} | {' | '.join(f'{column[shown]:.2f}' for column in columns)} |")


if __name__ == "__main__":
    main()
