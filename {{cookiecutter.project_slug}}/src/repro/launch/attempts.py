"""Doing a run that waits in its folder, by a process of its own, which is started once more if it dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from repro.reading import UserError
from repro.runs.processes import FAILED, REFUSED, TERMINATED, as_shells_count, start_process
from repro.tracking.archive import read_run
from repro.tracking.durations import now
from repro.tracking.locks import is_held

LOOK_SECONDS = 1.0  # between looks at a run that another process does
DIED = "its process died"  # a note of a run that was started again begins so


class RunProcesses:
    """The processes of runs; `do` is called by several threads, each of which minds one run."""

    def __init__(self) -> None:
        self.processes: set[subprocess.Popen[bytes]] = set()
        self.stopped = False
        self.starting = threading.RLock()  # held while a process is started, or all are stopped

    def do(self, path: Path) -> int:
        """Do a run to its end, a second time if its process dies. Returns its exit code."""
        tries = 0
        try:
            while True:
                while is_held(path):  # another process does it, perhaps left over from a pool that was killed
                    if self.stopped:
                        return TERMINATED
                    time.sleep(LOOK_SECONDS)
                if read_run(path).record["status"] == "finished":
                    return 0
                code = self._start_and_wait(path)
                if is_held(path) or read_run(path).record["status"] == "finished":  # perhaps another was quicker
                    continue
                tries += 1
                if tries == 2 or not _has_died(code):
                    return as_shells_count(code)
                how = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
                _note(path, f"{DIED} ({how}) at {now()}; it was started again")
        except (UserError, OSError) as error:  # of this run; the others are to be done all the same
            _tell(path, f"error: {error}")
            return REFUSED

    def stop(self) -> None:
        """Interrupt what runs, and begin nothing more."""
        with self.starting:
            self.stopped = True
            for process in self.processes:
                process.terminate()

    def _start_and_wait(self, path: Path) -> int:
        root = Path(os.path.abspath(path)).parent.parent
        with self.starting:
            if self.stopped:
                return TERMINATED
            process = start_process(root, read_run(path).record["code_hash"], "_run", str(path))
            self.processes.add(process)
        try:
            return process.wait()
        finally:
            with self.starting:
                self.processes.discard(process)


def _has_died(code: int) -> bool:
    """Whether a run with this exit code of its process might get further the next time.

    Not one that refused (it would again) or that somebody stopped.
    """
    return code == FAILED or (code < 0 and -code not in (signal.SIGINT, signal.SIGTERM))


def _tell(path: Path, line: str) -> None:
    """Where whoever looks for the reason is sent to."""
    with contextlib.suppress(OSError), (path / "output.log").open("a") as log:
        log.write(f"{line}\n")


def _note(path: Path, text: str) -> None:
    with contextlib.suppress(UserError):  # the run matters more than the note
        run = read_run(path)
        run.revise(lambda record: {"notes": [*(record.get("notes") or []), text]})
