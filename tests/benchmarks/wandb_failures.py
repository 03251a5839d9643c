"""Twenty training runs with W&B online, and something of it broken at a random moment of each: is anything lost?

The server is a stand-in on this machine (`template/tests/unit/wandb_server.py`). In turn the service process of W&B or
the mirror's process is killed, or the server goes away, refuses, or does not answer, from a random moment on, drawn
from the run's number. What is to fail has to be there: where it is not yet, it is waited for, and where the run has
ended before, the run is done again, with another moment. Each run has to finish, with the very metrics of one without
W&B; afterwards, with the server back, `repro sync` has to bring it all rows, in order, once. Writes
docs/results/wandb-failures.md; finished runs are kept in build/wandb-failures.json, so that it can be broken off and
started again.

    python tests/benchmarks/wandb_failures.py              # about 12 minutes
    python tests/benchmarks/wandb_failures.py --runs 2     # a try: prints the page only
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template"
KEPT, PAGE = ROOT / "build/wandb-failures.json", ROOT / "docs/results/wandb-failures.md"
RUNS, SEED, STEPS = 20, 100, 24_576
FAILURES = ("service killed", "mirror killed", "server gone", "server refuses", "server hangs")
LONGEST = 15.0  # seconds until the failure


def make_project(root: Path) -> None:
    for name in ("src", "presets", "checklists"):
        shutil.copytree(TEMPLATE / name, root / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in ("pyproject.toml", "requirements.lock", "budget.yaml"):
        shutil.copy(TEMPLATE / name, root / name)
    shutil.copy(root / "presets/moving-dot-small.yaml", root / "params.yaml")


def make_run(root: Path) -> Any:
    """A run folder that waits to be done."""
    from repro.config import load_config
    from repro.device import resolve_auto
    from repro.tracking.creation import create_run, keep_code

    overrides = [f"training.total_steps={STEPS}", "reward.source=environment", "evaluation.video_rollouts=0"]
    config = load_config(root / "params.yaml", overrides)
    facts = {"config": resolve_auto(config), "name": config.name, "seed": SEED, "command": ["repro", "train"]}
    run = create_run(root, keep_code(root), **facts)
    run.update(status="queued")
    return run


def start(root: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    source = next((root / "runs/.snapshots").glob("[!.]*")) / "src"
    command = [sys.executable, "-P", "-m", "repro.cli", *arguments]
    environment = os.environ | {"PYTHONPATH": str(source), "NETRC": str(root / "none")} | environment
    return subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rows(run: Any) -> list[dict[str, Any]]:
    """What does not tell of the machine."""
    from repro.tracking.metrics import read_metrics

    varying = ("time/", "throughput/", "memory/")
    metrics = read_metrics(run.path / "metrics.jsonl")
    return [{name: repr(value) for name, value in row.items() if not name.startswith(varying)} for row in metrics]


def break_it(failure: str, server: Any, trainer: subprocess.Popen[bytes]) -> bool:
    """Let something of W&B fail; waits for the process that feels it. False if the run has ended before."""
    from wandb_examples import MIRROR, SERVICE, process_below

    victim = None
    while victim is None and trainer.poll() is None:
        time.sleep(0.01)
        victim = process_below(trainer.pid, SERVICE if failure == "service killed" else MIRROR)
    if victim is None:
        return False
    if failure in ("service killed", "mirror killed"):
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return False
    elif failure == "server gone":
        server.stop()
    else:
        server.refuses, server.hangs = failure == "server refuses", failure == "server hangs"
    return True


def rows_without() -> list[dict[str, Any]]:
    """Those of the run without W&B."""
    with tempfile.TemporaryDirectory() as folder:
        make_project(Path(folder))
        run = make_run(Path(folder))
        assert start(Path(folder), {"WANDB_MODE": "disabled"}, "_run", str(run.path)).wait() == 0
        return rows(run)


def one(number: int, expected: list[dict[str, Any]]) -> dict[str, Any]:
    """Train with one failure, as often as it takes for it to come before the end of the run; what came of it."""
    draw, failure = random.Random(number), FAILURES[number % len(FAILURES)]
    found, draws = None, 0
    while found is None:
        found, draws = attempt(failure, draw.uniform(0.0, LONGEST), expected), draws + 1
    return {"number": number, "failure": failure, "draws": draws} | found


def attempt(failure: str, moment: float, expected: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Train, with a failure at a moment; what came of it, or None if the run had ended before."""
    from repro.tracking.archive import read_run
    from wandb_examples import FAKE_KEY
    from wandb_server import Service

    with tempfile.TemporaryDirectory() as folder:
        root, server = Path(folder), Service()
        make_project(root)
        run = make_run(root)
        online = {"WANDB_MODE": "online", "WANDB_BASE_URL": server.url, "WANDB_API_KEY": FAKE_KEY}
        begin = time.monotonic()
        trainer = start(root, online, "_run", str(run.path))
        time.sleep(moment)
        hit = break_it(failure, server, trainer)
        moment = time.monotonic() - begin
        code = trainer.wait()
        if not hit:
            server.stop()
            return None
        found: dict[str, Any] = {"moment": round(moment, 1), "seconds": round(time.monotonic() - begin, 1)}
        found |= {"finished": code == 0 and read_run(run.path).record["status"] == "finished"}
        found |= {"complete": rows(run) == expected}
        back = server
        if failure == "server gone":
            back = Service(server.server_port)
            back.streams, back.known = server.streams, server.known
        back.refuses = back.hangs = False
        time.sleep(1)
        synced = start(root, online, "sync", run.id).wait()
        steps = [int(row["env_step"]) for row in expected]
        found |= {"synced": synced == 0 and back.rows() == steps}
        back.stop()
        return found


def page(found: list[dict[str, Any]]) -> str:
    counts = {name: sum(run[name] for run in found) for name in ("finished", "complete", "synced")}
    repeated = sum(run["draws"] - 1 for run in found)
    lines = [
        "# Training runs while W&B fails",
        "",
        f"Made by `python tests/benchmarks/wandb_failures.py`, once, on {os.cpu_count()} cores ({platform.machine()}). "
        f"{len(found)} runs of {STEPS:,} steps, each with one failure at a random moment, which lasted to its end.",
        "",
        f"- hit by their failure: {len(found)} of {len(found)}; those that had ended before it were done again, with "
        f"another moment: {repeated} times",
        f"- finished: {counts['finished']} of {len(found)}",
        f"- the metrics of a run without W&B, row for row: {counts['complete']}",
        f"- afterwards, `repro sync` brought all rows to the server, in order, once: {counts['synced']}",
        "",
        "| run | failure | after s | moments drawn | run took s | finished | complete | synced |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in found:
        told = ["yes" if run[name] else "NO" for name in ("finished", "complete", "synced")]
        told = [run["number"], run["failure"], run["moment"], run["draws"], run["seconds"], *told]
        lines.append(f"| {' | '.join(map(str, told))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=RUNS)
    runs = parser.parse_args().runs
    sys.path[:0] = [str(TEMPLATE / "src"), str(TEMPLATE / "tests/unit")]
    found = json.loads(KEPT.read_text()) if KEPT.exists() and runs == RUNS else []
    expected = rows_without()
    for number in range(len(found), runs):
        result = one(number, expected)
        found.append(result)
        print(result, flush=True)
        if runs == RUNS:
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_text(json.dumps(found))
    if runs == RUNS:
        PAGE.write_text(page(found))
        print(f"written: {PAGE.relative_to(ROOT)}")
    else:
        print(page(found))


if __name__ == "__main__":
    main()
