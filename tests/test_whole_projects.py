"""Projects of every kind, each set up, linted, tested, smoked and run to its report: make e2e-full."""

from __future__ import annotations

import os
import subprocess
from itertools import cycle
from pathlib import Path

import pytest
from conftest import SETTINGS, Generator

from local_extensions import gymnasium_extras, task

pytestmark = pytest.mark.long
REMOTES = ("../dvc remote", "s3://bucket/path", "../shared/data")


def rows() -> list[dict[str, str]]:
    """The first preset of each kind (what is observed, which reward, which extra), with all other choices in turn."""
    kinds = {}
    for preset in SETTINGS["preset"]:
        kind = task(preset)["observed"], task(preset)["learned"], gymnasium_extras(preset)
        kinds.setdefault(kind, preset)
    turns = zip(kinds.values(), cycle(SETTINGS["license"]), cycle(SETTINGS["wandb_mode"]), cycle(REMOTES), strict=False)
    return [
        {"preset": preset, "license": licence, "wandb_mode": mode, "dvc_remote": remote}
        for preset, licence, mode, remote in turns
    ]


@pytest.mark.parametrize("choices", rows(), ids=lambda choices: choices["preset"])
def test_it_installs_passes_its_tests_and_reproduces(generate: Generator, tmp_path: Path, choices: dict[str, str]):
    project = generate.project(tmp_path / "out", **choices)
    # HOME is the user's, whose caches of packages make this bearable; nothing is sent to W&B.
    programs = f"{project / '.venv/bin'}:{os.environ['PATH']}"
    env = os.environ | {"PATH": programs, "WANDB_MODE": "disabled", "DVC_NO_ANALYTICS": "1"}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout

    for target in ("setup", "lint", "test", "smoke"):
        run("make", target)
    # The smallest preset in its place, so that the pipeline takes a minute whatever the task.
    (project / "params.yaml").write_bytes((project / "presets" / "moving-dot-small.yaml").read_bytes())
    run("git", "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-qam", "the smallest preset")
    run("dvc", "repro")
    assert "up to date" in run("dvc", "repro")
    assert (project / "reports" / "report.html").stat().st_size > 0
    assert "No results yet" not in (project / "README.md").read_text(encoding="utf-8")
    run("repro", "claims")
