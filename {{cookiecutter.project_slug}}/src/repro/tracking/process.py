"""Which process a run belongs to. A process is its id and its start: ids are used again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HAS_PROC = Path("/proc/self/stat").exists()


def process_start(pid: int) -> str | None:
    """When process `pid` was started, as the system writes it; None if there is no such process."""
    if HAS_PROC:
        try:
            with open(f"/proc/{pid}/stat", errors="replace") as file:
                stat = file.read()
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
        return None if fields[0] in "ZX" else f"tick {fields[19]}"  # since boot; see proc(5)
    try:
        os.kill(pid, 0)  # of thousands of crashed runs nearly all are settled by this
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # another user's
    listing = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    state, _, start = listing.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else start.strip()


def is_running(pid: int, start: str | None) -> bool:
    """Whether the process that had this id and start is still there."""
    return start is not None and process_start(pid) == start
