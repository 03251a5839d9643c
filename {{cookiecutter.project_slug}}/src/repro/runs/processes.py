"""Processes that do runs with the code of their snapshot, whatever the project's code is by then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from repro.reading import UserError
from repro.tracking.archive import RunFolder, read_run
from repro.tracking.snapshot import snapshot_path

FAILED, REFUSED, INTERRUPTED, TERMINATED = 1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM  # exit codes


def become_run(root: Path, run: RunFolder) -> NoReturn:
    """Replace this process by one that does the run."""
    command, environment = snapshot_command(root, run.record["code_hash"], "_run", str(run.path))
    os.chdir(root)
    os.execve(sys.executable, command, environment)


def start_run(root: Path, run: RunFolder) -> subprocess.Popen[bytes]:
    """Start a process that does the run, apart from this terminal. Raises UserError if it does not get under way."""
    run.update(status="queued")  # until the process takes it over
    process = start_process(root, run.record["code_hash"], "_run", str(run.path), start_new_session=True)
    while read_run(run.path).record["status"] == "queued":
        if process.poll() is not None:
            raise UserError(f"{run.id}: did not get under way; see why with: repro resume {run.id}")
        time.sleep(0.05)
    return process


def say_started(run: RunFolder) -> None:
    """Print what to do next with a run that was started in the background."""
    print(f"{run.id} has started; follow it with: repro watch {run.id}", flush=True)


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a run that was started; returns its exit code. Ctrl-C ends the waiting only."""
    try:
        return as_shells_count(process.wait())
    except KeyboardInterrupt:
        print(f"\nthe run goes on; stop it with: kill {process.pid}", file=sys.stderr)
        return INTERRUPTED


def start_process(
    root: Path,
    code_hash: str,
    *arguments: str,
    stdout: int = subprocess.DEVNULL,
    start_new_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start `repro` with the code of this hash; it says nothing here, as runs keep their own output.log."""
    command, environment = snapshot_command(root, code_hash, *arguments)
    null = subprocess.DEVNULL
    return subprocess.Popen(
        command, cwd=root, env=environment, stdin=null, stdout=stdout, stderr=null, start_new_session=start_new_session
    )


def snapshot_command(root: Path, code_hash: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a `repro` in which `import repro` finds the code of this hash."""
    sources = [str(snapshot_path(root, code_hash) / "src"), os.environ.get("PYTHONPATH")]
    # -P: the folder that it is started in is no place to import from.
    command = [sys.executable, "-P", "-m", "repro.cli", *arguments]
    return command, os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sources)), "PYTHONUNBUFFERED": "1"}


def as_shells_count(code: int) -> int:
    """The exit code of a process, for which Python has the negative number of the signal that ended it."""
    return code if code >= 0 else 128 - code
