"""Projects with their runs that the tests of the run folder share."""

import os
import subprocess
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

import repro
from repro.health.check import Finding
from repro.tracking.archive import this_process
from repro.tracking.creation import create_run, keep_code

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(repro.__file__).parents[1])}
FINDING = asdict(Finding("kl_spike", 512, "policy/approx_kl is 0.3", "Too far.", "a smaller learning rate"))
CONFIG = {"name": "test", "agent": {"learning_rate": 1e-05, "clip": 0.1}, "answer": "no", "list": [1, 2], "none": None}
START = datetime(2026, 11, 21, 10, 0, 0).astimezone()


def git(root, *arguments):
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def make_project(folder):
    """A project in `folder`, not under git yet."""
    root = folder / "project"
    (root / "src/repro").mkdir(parents=True)
    (root / "src/repro/agent.py").write_text("learning_rate = 1\n")
    (root / "pyproject.toml").write_text("[project]\nname = 'p'\nversion = '0.3.1'\n[tool.repro]\n")
    (root / "params.yaml").write_text("name: test\n")
    (root / ".gitignore").write_text("/runs/\n*.tmp\n")
    return root


def new_run(root, **fields):
    """A run that this process is about to do."""
    return create_run(
        root, keep_code(root), **({"config": CONFIG, "name": "test", "seed": 7, "command": ["x"]} | fields)
    )


def record(code="7f3a", minutes=75, **fields):
    """The content of a run.json."""
    return {
        "id": f"2026-11-21_moving-dot_{code}",
        "name": "moving-dot",
        "status": "finished",
        "project": "p",
        "cell": None,
        "stage": "debugging",
        "device": "cpu",
        "estimate_minutes": 70.0,
        "command": ["repro", "train", "--seed", "100"],
        **this_process(),
        "devices": {"cpu": "Some CPU", "cores": 2},
        "started": START.isoformat(),
        "ended": (START + timedelta(days=1, minutes=minutes)).isoformat(),  # it lay idle for a day
        "active_seconds": 60.0 * minutes,
        "exit_code": 0,
        "commit": "0123456789abcdef",
        "dirty": True,
        "code_hash": "948ab30feb101334",
        "params_hash": "0" * 16,
        "notes": [],
        "seed": 100,
        "params": {"training": {"total_steps": 1_500_000}},
        "versions": {"python": "3.11.7", "torch": None},
        "data_hashes": {},
        "question": "Does a smaller ensemble learn the dot as fast?",
        "prediction": None,
        "skip_reason": None,
        "overrides": [],
        "resumed": [],
        "result": "score 0.91 of optimal on 100 episodes",
        "result_metrics": None,
        "closed": None,
        "wandb": None,
    } | fields
