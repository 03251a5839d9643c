"""Killed with -9 at any moment of creating, claiming, finishing: each record is readable or absent, none doubled."""

import itertools
import json
import os
import random
import signal
import time

import pytest
from archive_examples import CONFIG

from repro.tracking.archive import claim_run, finish_run, read_run, run_ids
from repro.tracking.creation import create_run, keep_code
from repro.tracking.locks import hold_run

SECONDS = 0.1  # several of the lives below


def live(root, code):
    """Create runs, take them over, and end them, until killed."""
    for number in itertools.count():
        name = f"life-{os.getpid()}-{number}"
        run = create_run(root, code, config=CONFIG, name=name, seed=7, command=["x"])
        run.update(status="queued", pid=1)
        lock = hold_run(run.path)
        claim_run(run)
        (run.path / "metrics.jsonl").write_text('{"env_step": 5, "time/wall": 2.0}\n')
        finish_run(run, "finished", 0, "done", {"env_step": 5}, 1.0)
        os.close(lock)


@pytest.mark.parametrize("seed", range(5))
def test_killed_at_ten_random_moments(repository, seed):
    code = keep_code(repository)
    dice = random.Random(seed)
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            try:
                live(repository, code)
            finally:
                os._exit(1)
        time.sleep(dice.uniform(0, SECONDS))
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    records = [read_run(repository / "runs" / run_id).record for run_id in run_ids(repository)]
    assert records  # and all can be read
    assert len({record["name"] for record in records}) == len(records)  # each was created once
    states = {"queued": (0.0, None), "running": (0.0, None), "finished": (1.0, "done")}
    for record in records:
        assert (record["active_seconds"], record["result"]) == states[record["status"]]
        assert json.loads((repository / "runs" / record["id"] / "run.json").read_text())["id"] == record["id"]
    for record in records:  # and whatever was cut short can be done to the end
        run = read_run(repository / "runs" / record["id"])
        os.close(hold_run(run.path))
        run.update(pid=1)
        claim_run(run)
        finish_run(run, "finished", 0)
        assert not list(run.path.glob(".*.tmp"))


def test_what_a_killed_creation_left_is_cleared_a_day_later(repository):
    recent, old = (repository / "runs" / f".new-{name}" for name in ("recent", "old"))
    for folder in (recent, old):
        folder.mkdir(parents=True)
        (folder / "params.yaml").touch()
    files = [repository / "runs" / name for name in (".index.json.12ab.tmp", ".gate/.7f3a.json.12ab.tmp")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    for leftover in (old, *files):
        os.utime(leftover, (time.time() - 90_000, time.time() - 90_000))
    create_run(repository, keep_code(repository), config=CONFIG, name="new", seed=7, command=["x"])
    assert recent.exists() and not old.exists() and not any(file.exists() for file in files)
