"""Processes that run the code of a snapshot, whatever the project's code is by then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from repro.tracking.snapshot import snapshot_path


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
