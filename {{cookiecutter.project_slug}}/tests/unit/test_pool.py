"""The pool by itself: what it does with processes that end in one way or another. No run is trained."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time

import pytest
from archive_examples import new_run

from repro.launch import attempts as attempts_module
from repro.launch import local
from repro.launch.attempts import DIED
from repro.preflight.memory import memory_needed
from repro.runs.processes import FAILED, REFUSED
from repro.tracking.archive import read_run
from repro.tracking.locks import hold_run

# A run that writes when it began and ended, says that it has finished if it does, and ends as planned for each attempt.
RUN = """
import json, os, sys, time
path, plan = sys.argv[1], json.loads(sys.argv[2])
attempts = path + "/attempts"
number = len(open(attempts).readlines()) if os.path.exists(attempts) else 0
began = time.time()
time.sleep(0.2)
open(attempts, "a").write(f"{began} {time.time()}\\n")
end = plan[min(number, len(plan) - 1)]
if end == 0:
    record = json.load(open(path + "/run.json"))
    json.dump(record | {"status": "finished"}, open(path + "/run.json", "w"))
if end < 0:
    os.kill(os.getpid(), -end)
sys.exit(end)
"""


@pytest.fixture
def work_off(monkeypatch):
    """The pool, with processes that end as the run's question says."""

    def start(root, code_hash, command, path):
        assert command == "_run" and (root / "runs").is_dir()
        plan = read_run(type(root)(path)).record["question"]
        return subprocess.Popen([sys.executable, "-c", RUN, path, plan])

    monkeypatch.setattr(attempts_module, "start_process", start)
    monkeypatch.setattr(attempts_module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return local.work_off


def queue(repository, *plans):
    runs = [new_run(repository, seed=seed, question=json.dumps(plan)) for seed, plan in enumerate(plans)]
    for run in runs:
        run.update(status="queued")
    return [run.path for run in runs]


def attempts(path):
    """When each began and ended."""
    file = path / "attempts"
    return [tuple(map(float, line.split())) for line in file.read_text().splitlines()] if file.exists() else []


def died(path):
    return [note for note in read_run(path).record["notes"] if note.startswith(DIED)]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_so_many_at_a_time_and_no_more(repository, work_off, at_once):
    paths = queue(repository, *[[0]] * 5)
    assert work_off(paths, at_once) == 0
    spans = [attempt for path in paths for attempt in attempts(path)]
    assert len(spans) == 5
    assert max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans) == at_once


@pytest.mark.parametrize(
    ("plan", "tries", "code", "note"),
    [
        ([0], 1, 0, None),
        ([-9, 0], 2, 0, "killed by signal 9"),
        ([FAILED, 0], 2, 0, "exit code 1"),
        ([-11, -9], 2, 137, "killed by signal 11"),  # twice and no more
        ([REFUSED], 1, REFUSED, None),  # it would say the same again
        ([143], 1, 143, None),  # somebody stopped it
        ([-15], 1, 143, None),  # ... before it could say so
    ],
)
def test_one_that_dies_is_started_once_more(repository, work_off, plan, tries, code, note):
    paths = queue(repository, plan, [0])
    assert work_off(paths, 1) == code
    assert [len(attempts(path)) for path in paths] == [tries, 1]
    assert [text.split("(")[1].split(")")[0] for text in died(paths[0])] == ([note] if note else [])
    assert read_run(paths[1]).record["status"] == "finished"


def test_one_whose_folder_is_gone_or_that_has_finished_meanwhile(repository, work_off):
    paths = queue(repository, [0], [0], [0])
    read_run(paths[1]).update(status="finished")
    original = local._claim_queued

    def claim_and_lose(path):
        original(path)
        if path == paths[0]:
            (path / "run.json").unlink()

    local._claim_queued = claim_and_lose
    try:
        assert work_off(paths, 2) == REFUSED
    finally:
        local._claim_queued = original
    assert [len(attempts(path)) for path in paths] == [0, 0, 1]


def test_pools_of_one_machine_take_turns(repository):
    paths = queue(repository, [0])
    held = local.hold_pool(repository / "runs")
    assert local.pool_is_held(repository / "runs")
    script = (
        "import sys; from pathlib import Path; from repro.launch import local; local.work_off([Path(sys.argv[1])], 1)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(paths[0])], stdout=subprocess.PIPE) as second:
        assert second.stdout.readline() == b"ready\n"
        assert read_run(paths[0]).record["pid"] == second.pid  # it is this one that the run waits for
        time.sleep(0.2)
        assert second.poll() is None and read_run(paths[0]).record["status"] == "queued"
        second.terminate()
        assert second.wait() == 143
    local.os.close(held)
    assert not local.pool_is_held(repository / "runs")


def test_a_run_that_another_process_does_is_waited_for(repository, work_off):
    (path,) = queue(repository, [0])
    script = (
        "import sys, time; from pathlib import Path; from repro.tracking.locks import hold_run; "
        "from repro.tracking.archive import read_run; path = Path(sys.argv[1]); hold_run(path); print(1, flush=True); "
        "time.sleep(1); read_run(path).update(status='finished')"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert work_off([path], 1) == 0
        assert other.wait() == 0
    assert attempts(path) == []
    hold_run(path)


def test_what_keeps_the_cores_busy(shared_project, monkeypatch):
    monkeypatch.setattr(local, "usable_cores", lambda: 8)
    at_once = [
        local.runs_at_once(shared_project.config(f"training.threads={threads}"), "cpu", 10) for threads in (1, 2, 3, 16)
    ]
    assert at_once == [8, 4, 2, 1]
    one_thread = shared_project.config("training.threads=1")
    assert local.runs_at_once(one_thread, "cuda", 10) == 1
    assert local.runs_at_once(one_thread, "cpu", 3) == 3


@pytest.mark.parametrize(("room_for", "at_once"), [(0.5, 1), (1.5, 1), (3.5, 3), (4.5, 4), (100, 4), (None, 4)])
def test_no_more_than_free_memory_has_room_for(shared_project, monkeypatch, capsys, room_for, at_once):
    config = shared_project.config("training.threads=1")
    needed = sum(memory_needed(config).values())
    monkeypatch.setattr(local, "usable_cores", lambda: 8)
    monkeypatch.setattr(local, "free_memory", lambda: None if room_for is None else room_for * needed)
    assert local.runs_at_once(config, "cpu", 4) == at_once
    said = capsys.readouterr().out
    assert said.startswith(f"{at_once} at a time, not 4: each may need ") if at_once < 4 else not said


def test_one_whose_process_cannot_be_started_keeps_no_other_from_being_done(repository, work_off, monkeypatch):
    paths = queue(repository, [0], [0], [0])
    start = attempts_module.start_process

    def start_but_the_first(root, code_hash, command, path):
        if path == str(paths[0]):
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return start(root, code_hash, command, path)

    monkeypatch.setattr(attempts_module, "start_process", start_but_the_first)
    assert work_off(paths, 1) == REFUSED
    assert [len(attempts(path)) for path in paths] == [0, 1, 1]


def test_a_start_that_found_another_process_at_work_is_no_try(repository, work_off, monkeypatch):
    """The first is refused, as another process does the run; that one is gone, and the second dies."""
    (path,) = queue(repository, [REFUSED, -9, 0])
    held = iter([False, True, *[False] * 5])  # before and after each start
    monkeypatch.setattr(attempts_module, "is_held", lambda path: next(held))
    assert work_off([path], 1) == 0
    assert len(attempts(path)) == 3 and len(died(path)) == 1


def test_a_run_that_another_finished_while_this_one_was_refused_is_done(repository, work_off, monkeypatch):
    (path,) = queue(repository, [REFUSED])
    start = attempts_module.start_process

    def start_too_late(*arguments):
        process = start(*arguments)
        process.wait()
        read_run(path).update(status="finished")
        return process

    monkeypatch.setattr(attempts_module, "start_process", start_too_late)
    assert work_off([path], 1) == 0
    assert len(attempts(path)) == 1
