"""A project for each test, or one that several tests of a module share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# One thread a process, as tests run in as many processes as there are cores. PyTorch reads this when it is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from project import Project

# Started in the background of a script, this process ignores Ctrl-C, and so would the runs that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _signals_as_in_a_new_process() -> None:
    """Code under test sets handlers. Processes forked later would have them, and not end when they are terminated."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("shared") / "project")
