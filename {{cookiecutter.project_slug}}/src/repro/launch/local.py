"""The pool: several runs at once on this machine, by a process of its own that outlives the terminal.

What is known of a run stands in its folder, so that a pool that was killed leaves nothing behind that matters: its runs
go on to their ends, and the same launch again waits for those and does the rest.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from repro.config import Config
from repro.launch.cells import describe_cells
from repro.reading import UserError
from repro.tracking.archive import RunFolder, effective_status, read_run, this_process
from repro.tracking.durations import now
from repro.tracking.locks import hold_pool, is_held, pool_is_held
from repro.tracking.provenance import usable_cores
from repro.workflow.processes import as_shells_count, start_process
from repro.workflow.runs import FAILED, INTERRUPTED, REFUSED, TERMINATED

READY = "ready"  # the pool's only word, to the launch that started it
LOOK_SECONDS = 1.0  # between looks at a run that another process does
DIED = "its process died"  # a note of a run that was started again begins so


def runs_at_once(config: Config, device: str) -> int:
    """How many runs keep the cores busy, each with `training.threads`; on a GPU ("cuda") it is one."""
    return 1 if device == "cuda" else max(1, usable_cores() // config.training.threads)


def start_pool(root: Path, runs: Sequence[RunFolder], at_once: int) -> subprocess.Popen[bytes]:
    """Start the process that does the runs, apart from this terminal, and say what to do next. Raises UserError."""
    before = pool_is_held(root / "runs")
    paths = [str(run.path) for run in runs]
    arguments = ("_pool", str(at_once), *paths)
    process = start_process(
        root, runs[0].record["code_hash"], *arguments, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    if process.stdout.readline().strip() != READY.encode():
        raise UserError(f"{runs[0].id}: did not get under way; see why with: repro resume {runs[0].id}")
    print(describe_cells(runs))
    if before:
        print("an earlier launch is at work; these begin once its runs have ended")
    many = f"{len(runs)} runs, {min(at_once, len(runs))} at a time, have started" if runs[1:] else "1 run has started"
    print(f"{many}; follow with: repro watch; stop all with: kill {process.pid}", flush=True)
    return process


def wait_for_pool(root: Path, runs: Sequence[RunFolder], process: subprocess.Popen[bytes]) -> int:
    """Show how the runs go until the pool has ended; returns its exit code. Ctrl-C ends the waiting only."""
    from rich.console import Console

    from repro.workflow.watch import Watch

    try:
        Watch(root, runs, None, Console(highlight=False)).until_all_end(lambda: process.poll() is None)
    except KeyboardInterrupt:
        print(f"\nthe runs go on; stop them all with: kill {process.pid}", file=sys.stderr)
        return INTERRUPTED
    records = [read_run(run.path).record for run in runs]
    for record in records:
        for note in record.get("notes") or []:
            if note.startswith(DIED):
                print(f"{record['id']}: {note}")
    unfinished = [record for record in records if record["status"] != "finished"]
    print(f"{len(records) - len(unfinished)} of {len(records)} runs have finished")
    for record in unfinished:
        print(f"{record['id']}: {effective_status(record)}: {record.get('result') or 'see its output.log'}")
    if unfinished:
        print("the same launch again goes on with these, and does no other again")
    return as_shells_count(process.wait())


def work_off(paths: Sequence[Path], at_once: int) -> int:
    """Do these runs, `at_once` of them at a time, however each ends. Returns the largest of their exit codes.

    On one machine pools take turns, so that launches do not slow each other down. When this process is terminated, the
    runs that are under way are interrupted, and no other is begun.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    for path in paths:
        _claim_queued(path)
    print(READY, flush=True)
    lock = hold_pool(paths[0].parent)
    pool = _Pool()
    try:
        with ThreadPoolExecutor(at_once) as executor:
            try:
                return max(executor.map(pool.do, paths))
            except (SystemExit, KeyboardInterrupt):
                pool.stop()
                raise
    finally:
        os.close(lock)


class _Pool:
    """The processes of runs; `do` is called by several threads, each of which minds one run."""

    def __init__(self) -> None:
        self.processes: set[subprocess.Popen[bytes]] = set()
        self.stopped = False
        self.starting = threading.Lock()  # held while a process is started, or all are stopped

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
                tries += 1
                if is_held(path):  # another was quicker
                    continue
                if tries == 2 or not _has_died(code):
                    return as_shells_count(code)
                _note(path, f"{DIED} ({_describe(code)}) at {now()}; it was started again")
        except UserError:  # of this run's folder; the others are to be done all the same
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


def _claim_queued(path: Path) -> None:
    """Record that a run which waits, waits for this process. Raises UserError."""
    run = read_run(path)
    if run.record["status"] == "queued":
        run.update(**this_process())


def _has_died(code: int) -> bool:
    """Whether a run with this exit code of its process might get further the next time.

    Not one that refused (it would again) or that somebody stopped.
    """
    return code == FAILED or (code < 0 and -code not in (signal.SIGINT, signal.SIGTERM))


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by signal {-code}"


def _note(path: Path, text: str) -> None:
    with contextlib.suppress(UserError):  # the run matters more than the note
        run = read_run(path)
        run.revise(lambda record: {"notes": [*(record.get("notes") or []), text]})
