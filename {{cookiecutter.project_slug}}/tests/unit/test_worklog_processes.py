"""The work log when many processes write at once, and when they are killed: nothing is lost, nothing stands twice."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("what, count, least", [("kill", 50, 50), ("together", 20, 180)])
def test_nothing_is_lost_and_nothing_stands_twice(tmp_path, what, count, least):
    """The program checks the log after each kill, and after all have written."""
    program = Path(__file__).with_name("worklog_processes.py")
    command = [sys.executable, str(program), what, str(tmp_path), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= least  # so many things were done before the kills
