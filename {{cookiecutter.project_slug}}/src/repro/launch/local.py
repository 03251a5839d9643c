"""The pool: several runs at once on this machine, by a process of its own that outlives the terminal.

What is known of a run stands in its folder, so that a pool that was killed leaves nothing behind that matters: its runs
go on to their ends, and the same launch again waits for those and does the rest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from repro.config import Config
from repro.launch.attempts import DIED, RunProcesses
from repro.launch.cells import describe_cell, how_to_publish
from repro.machine import usable_cores
from repro.preflight.free_memory import free_memory
from repro.reading import UserError
from repro.runs.processes import INTERRUPTED, TERMINATED, as_shells_count, start_process
from repro.tracking.archive import RunFolder, effective_status, read_run, this_process
from repro.tracking.locks import hold_pool, pool_is_held

READY = "ready"  # the pool's only word, to the launch that started it


def runs_at_once(config: Config, device: str, count: int) -> int:
    """How many of `count` runs keep the cores busy, each with `training.threads`, and have room in free memory.

    On a GPU ("cuda") it is one. Says so where memory allows fewer than the cores.
    """
    from repro.preflight.memory import memory_needed  # torch, which the pool itself does without

    if device == "cuda":
        return 1
    at_once = min(count, max(1, usable_cores() // config.training.threads))
    if at_once == 1 or (free := free_memory()) is None:
        return at_once
    needed = sum(memory_needed(config).values())
    fit = max(1, int(free / needed))
    if fit < at_once:
        said = f"each may need {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
        print(f"{fit} at a time, not {at_once}: {said}; all the same: --at-once {at_once}")
    return min(fit, at_once)


def start_pool(root: Path, runs: Sequence[RunFolder], at_once: int) -> subprocess.Popen[bytes]:
    """Start the process that does the runs, apart from this terminal, and say what to do next. Raises UserError."""
    before = pool_is_held(root / "runs")
    arguments = ("_pool", str(at_once), *(str(run.path) for run in runs))
    code = runs[0].record["code_hash"]
    process = start_process(root, code, *arguments, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    if process.stdout.readline().strip() != READY.encode():
        raise UserError(f"{runs[0].id}: did not get under way; see why with: repro resume {runs[0].id}")
    print("\n".join(map(describe_cell, runs)))
    if before:
        print("an earlier launch is at work; these begin once its runs have ended")
    many = f"{len(runs)} runs, {min(at_once, len(runs))} at a time, have started" if runs[1:] else "1 run has started"
    print(f"{many}; follow with: repro watch; stop all with: kill {process.pid}", flush=True)
    return process


def wait_for_pool(root: Path, runs: Sequence[RunFolder], process: subprocess.Popen[bytes]) -> int:
    """Show how the runs go until the pool has ended; returns its exit code. Ctrl-C ends the waiting only."""
    from rich.console import Console

    from repro.views.watch import Watch

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
    elif said := how_to_publish(root, runs):
        print(said)
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
    processes = RunProcesses()
    try:
        with ThreadPoolExecutor(at_once) as executor:
            try:
                return max(executor.map(processes.do, paths))
            except (SystemExit, KeyboardInterrupt):
                processes.stop()
                raise
    finally:
        os.close(lock)


def _claim_queued(path: Path) -> None:
    """Record that a run which waits, waits for this process. Raises UserError."""
    run = read_run(path)
    if run.record["status"] == "queued":
        run.update(**this_process(), closed=None)
