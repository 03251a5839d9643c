"""`make setup` of a project says what it will take, and shows pip's progress where there is somebody to see it."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import TEMPLATE

# Stands in for python: makes an environment with itself in it, and says what is asked of pip.
FAKE = """#!/bin/sh
case "$*" in
  *venv*) mkdir -p .venv/bin && cp "$0" .venv/bin/python;;
  *pip*) echo "pip: $*";;
esac
"""


# As typed by a person, also where these tests were started by make.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(TEMPLATE / name, tmp_path / name)
    (tmp_path / "fake").write_text(FAKE)
    (tmp_path / "fake").chmod(0o755)
    return tmp_path


def test_it_is_quiet_where_nobody_looks(project: Path):
    command = ["make", "setup", "PYTHON=./fake"]
    done = subprocess.run(command, cwd=project, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert "pip: -m pip install --quiet" in done.stdout


def test_at_a_terminal_it_says_first_what_it_fetches_and_then_how_far_it_is(project: Path):
    ours, its = pty.openpty()
    command = ["make", "setup", "PYTHON=./fake"]
    subprocess.run(command, cwd=project, env=ENVIRONMENT, stdout=its, stderr=its, check=True)
    os.close(its)
    said = os.read(ours, 100_000).decode()
    os.close(ours)
    assert said.startswith("Fetching some 160 packages") and "pip: -m pip install" in said and "--quiet" not in said
    assert said.index("several GB") < said.index("venv")
