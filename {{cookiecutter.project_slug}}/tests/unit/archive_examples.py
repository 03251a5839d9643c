"""Projects with their runs that the tests of the run folder share."""

import os
import subprocess
from pathlib import Path

import repro
from repro.tracking.archive import create_run

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(repro.__file__).parents[1])}
CONFIG = {"name": "test", "agent": {"learning_rate": 1e-05, "clip": 0.1}, "answer": "no", "list": [1, 2], "none": None}


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
    return create_run(
        root, **({"kind": "train", "config": CONFIG, "name": "test", "seed": 7, "command": ["x"]} | fields)
    )
