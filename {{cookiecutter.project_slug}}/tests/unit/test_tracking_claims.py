"""Which process does a run: one at a time, again after it was killed, also where the machine has another name."""

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from archive_examples import ENVIRONMENT, new_run

from repro.reading import UserError
from repro.tracking.archive import claim_run, effective_status, finish_run, read_run
from repro.tracking.durations import now
from repro.tracking.index import list_summaries
from repro.tracking.locks import hold_run, is_held
from repro.tracking.lookup import find_run

LIVE = (
    "import sys, time; from pathlib import Path; from repro.tracking.archive import *\n"
    "from repro.tracking.locks import hold_run\n"
    "run = read_run(Path(sys.argv[1])); hold_run(run.path); claim_run(run); print('claimed', flush=True)\n"
    "time.sleep(60)\n"
)


@pytest.fixture
def run(repository):
    """A run that waits to be done."""
    run = new_run(repository)
    run.update(status="queued")
    return run


@pytest.fixture
def live(run):
    """A process that does the run."""
    process = subprocess.Popen([sys.executable, "-c", LIVE, run.path], stdout=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stdout.readline() == b"claimed\n"
    yield process
    process.kill()
    process.communicate()


def test_a_killed_run_has_crashed_until_it_is_resumed(run, live):
    record = read_run(run.path).record
    assert (record["pid"], record["resumed"], effective_status(record)) == (live.pid, [], "running")
    assert is_held(run.path)
    with pytest.raises(UserError, match=f"{run.id}: is being done by another process; stop that one first"):
        hold_run(run.path)
    live.send_signal(signal.SIGKILL)
    time.sleep(0.05)
    assert effective_status(record) == "crashed"  # although nobody has waited for the process yet
    live.wait()
    assert effective_status(record) == "crashed" and not is_held(run.path)

    run = read_run(run.path)
    os.close(hold_run(run.path))
    claim_run(run)
    assert (run.record["pid"], len(run.record["resumed"])) == (os.getpid(), 1)
    assert effective_status(read_run(run.path).record) == "running"
    claim_run(run)  # already ours
    assert len(run.record["resumed"]) == 1


def test_a_process_that_only_looks_keeps_nobody_from_the_run(run):
    """`is_held` has the lock, shared, for a moment."""
    with open(run.path / ".lock", "w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        leaving = threading.Timer(0.1, fcntl.flock, (looking, fcntl.LOCK_UN))
        leaving.start()
        os.close(hold_run(run.path))
        leaving.join()


def test_a_queued_run_has_crashed_when_the_process_that_was_starting_it_is_gone(run):
    assert effective_status(run.record) == "queued"  # that is this one
    gone = run.record | {"pid": 1, "process_start": "tick 5"}
    assert effective_status(gone) == "crashed"
    assert effective_status(gone | {"host": "another-machine"}) == "queued"  # cannot be told from here


def test_one_that_is_about_to_start_is_not_taken_from_it(run, live):
    """Between its creation and its own hold, its process is known only by its id."""
    run = read_run(run.path)
    with pytest.raises(UserError, match=f"is being done by process {live.pid} on "):
        claim_run(run)


def test_a_container_that_restarts_under_another_name_goes_on(run, live):
    live.kill()
    live.wait()
    run.update(host="container-of-yesterday", pid=1, process_start="tick 5", status="running")
    assert effective_status(run.record) == "running"  # cannot be told from here
    lock = hold_run(run.path)
    claim_run(run)
    assert run.record["pid"] == os.getpid() and len(run.record["resumed"]) == 1
    os.close(lock)


def test_a_run_on_another_host_is_protected_by_its_lock(run, live):
    read_run(run.path).update(host="another-machine")
    with pytest.raises(UserError, match="is being done by another process"):
        hold_run(run.path)
    live.kill()
    live.wait()
    os.close(hold_run(run.path))


def test_a_run_that_another_host_lost_has_crashed_once_nobody_holds_its_lock(run, live):
    read_run(run.path).update(host="another-machine", started="2020-01-01T10:00:00+01:00")
    record = read_run(run.path).record
    (summary,) = list_summaries(run.path.parents[1])
    assert effective_status(record, run.path) == effective_status(summary) == "running"
    live.kill()
    live.wait()
    assert effective_status(record, run.path) == effective_status(summary) == "crashed"
    assert effective_status(record | {"started": now()}, run.path) == "running"  # it may be about to take the lock
    (run.path / ".lock").unlink()
    (run.path / ".lock").mkdir()
    assert effective_status(record, run.path) == "running"  # cannot be told


def test_only_one_of_many_gets_it(run):
    with multiprocessing.get_context("fork").Pool(8, maxtasksperchild=1) as pool:
        got = pool.map(try_to_hold, [run.path] * 8, chunksize=1)
    assert sum(got) == 1


def try_to_hold(path):
    try:
        hold_run(path)
    except UserError:
        return False
    time.sleep(1)
    return True


def test_a_folder_that_cannot_be_locked_is_one_line(run):
    (run.path / ".lock").mkdir()
    with pytest.raises(UserError, match=r"\.lock: cannot be written"):
        hold_run(run.path)


def test_what_an_earlier_attempt_ended_with_is_forgotten(run):
    finish_run(run, "failed", 2, result="the disk is full", result_metrics={"env_step": 5}, seconds=30.0)
    someone_elses(run)
    claim_run(run)
    record = find_run(run.path.parents[1], run.id).record
    assert [record[name] for name in ("result", "result_metrics", "ended", "exit_code")] == [None] * 4
    assert record["active_seconds"] == 30.0


def test_the_time_it_lay_idle_does_not_count(run):
    """An attempt of 30 seconds, one that was killed with 45 s of training on record, one of 10 s."""
    assert run.record["active_seconds"] == 0.0
    finish_run(run, "interrupted", 130, seconds=30.0)
    someone_elses(run)
    claim_run(run)
    (run.path / "metrics.jsonl").write_text(
        '{"env_step": 1, "time/wall": 20.0}\n{"env_step": 2, "time/wall": 45.0}\n{"e'
    )
    someone_elses(run)
    claim_run(run)
    assert run.record["active_seconds"] == 45.0
    finish_run(run, "finished", 0, seconds=10.0)
    assert find_run(run.path.parents[1], run.id).record["active_seconds"] == 55.0


def someone_elses(run):
    run.update(pid=1, process_start="tick 5")
