"""The preference store under killed processes, two writers, and a full disk."""

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import repro
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.reading import UserError

# Labels queries of a run from a given number on, each in a transaction of its own, and says so after
# each commit. Random frames do not compress, so that the log is soon copied into the database, too.
LABELLER = """
import resource
import sys
import numpy as np
from repro.reading import UserError
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore

path, run, first, last, file_limit = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])

def segment(number):
    pixels = np.random.default_rng(number).integers(0, 256, (8, 64, 64), np.uint8)
    return Segment(pixels, np.arange(5), np.arange(5, dtype=np.float32))

print("ready", flush=True)
sys.stdin.readline()
if file_limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
try:
    store = PreferenceStore(path, "test")
    for number in range(first, last):
        with store.transaction():
            store.add_query(run, number, segment(number), segment(number + 1), number, "uniform")
            store.add_label(run, number, "left", "anna", 1.0, number)
        print(number, flush=True)
except UserError as error:
    print(f"error: {error}", flush=True)
"""


def start_labeller(path, run, first=0, last=10**6, file_limit=0):
    """Returns once it is about to begin; a line on its stdin makes it begin."""
    process = subprocess.Popen(
        [sys.executable, "-c", LABELLER, str(path), run, str(first), str(last), str(file_limit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(repro.__file__).parents[1])},
    )
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def test_kill_9_at_random_moments_loses_no_committed_label(tmp_path):
    path = tmp_path / "preferences.db"
    chance = random.Random(0)
    expected = 0  # labels known to be committed
    for attempt in range(10):
        process = start_labeller(path, "r", first=expected)
        begin(process)
        if attempt % 2:  # otherwise it may be killed while it opens or creates the store
            for _ in range(chance.randint(1, 12)):
                process.stdout.readline()
                expected += 1
        time.sleep(chance.uniform(0, 0.08))
        process.kill()
        acknowledged = process.communicate()[0].splitlines()
        expected += len(acknowledged)
        with PreferenceStore(path) as store:
            numbers = [comparison.number for comparison in store.labelled("r")]
            # One more may have been committed whose acknowledgement was never written.
            assert numbers in (list(range(expected)), list(range(expected + 1)))
            expected = len(numbers)
            assert store.waiting() == 0
            assert store.value("PRAGMA integrity_check") == "ok"
    with PreferenceStore(path) as store:
        for comparison in store.labelled("r"):
            store.segment(comparison.left)


def test_two_processes_write_at_once_from_the_creation_on(tmp_path):
    path = tmp_path / "preferences.db"
    processes = [start_labeller(path, run, last=60) for run in ("trainer", "person")]
    for process in processes:
        begin(process)
    for process in processes:
        assert process.communicate(timeout=60)[0].split() == [str(number) for number in range(60)]
    with PreferenceStore(path) as store:
        for run in ("trainer", "person"):
            assert [comparison.number for comparison in store.labelled(run)] == list(range(60))
        assert store.counts()["labels"] == 120


def test_a_writer_waits_for_another_that_is_busy(tmp_path):
    path = tmp_path / "preferences.db"
    with PreferenceStore(path, "test") as store:
        process = start_labeller(path, "r", last=1)
        with store.transaction():
            begin(process)
            time.sleep(0.3)
            assert process.poll() is None
        assert process.communicate(timeout=60)[0] == "0\n"
        assert len(store.labelled("r")) == 1


@pytest.mark.parametrize("limit", [20_000, 500_000, 5_000_000])
def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path, limit):
    """The limit is met while the store is created, soon after, and when the log has been copied over."""
    path = tmp_path / "preferences.db"
    process = start_labeller(path, "r", file_limit=limit)
    begin(process)
    *numbers, error = process.communicate(timeout=60)[0].splitlines()
    assert error.startswith(f"error: {path}: ") and error.endswith("is the disk full?")
    assert process.returncode == 0
    with PreferenceStore(path, "test") as store:
        assert [str(comparison.number) for comparison in store.labelled("r")] == numbers
        assert store.value("PRAGMA integrity_check") == "ok"
        segment = Segment(np.zeros((5, 2), np.float32), np.zeros(5), np.zeros(5, np.float32))
        store.add_query("r", len(numbers), segment, segment, 0, "uniform")
        store.add_label("r", len(numbers), "tie", "anna", 1.0, 0)  # there is space again
        assert len(store.labelled("r")) == len(numbers) + 1


def test_a_full_disk_while_exporting_leaves_no_half_of_a_file(tmp_path):
    path = tmp_path / "preferences.db"
    process = start_labeller(path, "r", last=3)
    begin(process)
    process.communicate(timeout=60)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with PreferenceStore(path) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        try:
            with pytest.raises(UserError, match=r"segments\.npz: the disk is full"):
                store.export(tmp_path / "data", name="test", seed=0, env_steps=0)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert list((tmp_path / "data").iterdir()) == []
        store.export(tmp_path / "data", name="test", seed=0, env_steps=0)
    assert len(list((tmp_path / "data").iterdir())) == 3
