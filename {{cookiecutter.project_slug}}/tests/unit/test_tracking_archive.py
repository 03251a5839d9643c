"""The run folder: complete or absent, found again, and honest about how the run ended."""

import json
import math
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time

import pytest
from archive_examples import ENVIRONMENT, make_project, new_run

from repro.reading import UserError
from repro.tracking import creation, process
from repro.tracking.archive import effective_status, finish_run
from repro.tracking.index import list_summaries
from repro.tracking.lookup import find_run
from repro.tracking.process import is_running, process_start
from repro.views.listing import format_runs

CREATE = (
    "import sys, time; from pathlib import Path; from repro.reading import UserError\n"
    "from repro.tracking.creation import create_run, keep_code\n"
    "def create():\n"
    "    config = {'x': 'y' * 5000}\n"
    "    root = Path(sys.argv[1])\n"
    "    return create_run(root, keep_code(root), config=config, name='test', seed=1, command=[])\n"
)


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def test_twenty_processes_create_runs_at_once(repository):
    with multiprocessing.get_context("fork").Pool(20) as pool:
        runs = pool.map(new_run, [repository] * 20, chunksize=1)
        pool.close()  # a process that is terminated may take the lock of their queue with it, and the others hang
        pool.join()
    assert len({run.id for run in runs}) == 20
    records = list_summaries(repository)
    assert {record["id"] for record in records} == {run.id for run in runs}
    assert all((record["status"], record["seed"]) == ("running", 7) for record in records)


def test_a_name_that_is_taken_is_never_taken_again(repository, monkeypatch):
    codes = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr(creation.secrets, "token_hex", lambda size: next(codes) if size == 2 else "0" * 2 * size)
    first = new_run(repository)
    (first.path / "metrics.jsonl").write_text("precious")
    second = new_run(repository)
    assert (first.id[-4:], second.id[-4:]) == ("aaaa", "bbbb")
    assert find_run(repository, "bbbb").record["id"] == second.id
    assert (first.path / "metrics.jsonl").read_text() == "precious"


@pytest.mark.parametrize("limit", [3000, 5500])  # fails in params.yaml; in run.json
def test_a_full_disk_leaves_nothing_half_made(repository, limit):
    new_run(repository)
    before = sorted(os.listdir(repository / "runs"))
    code = CREATE + "try: create()\nexcept UserError as error: print(error)\n"
    done = subprocess.run(
        [sys.executable, "-c", code, repository],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "") and "disk is full" in done.stdout
    assert done.stdout.count("\n") == 1
    assert sorted(os.listdir(repository / "runs")) == before


def test_a_disk_that_refuses_is_one_line(repository):
    (repository / "runs").write_text("not a folder")
    with pytest.raises(UserError, match="runs"):
        new_run(repository)


def test_saving_over_a_full_disk_keeps_the_old_record(repository):
    run = new_run(repository)
    before = (run.path / "run.json").read_bytes()
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            finish_run(run, "finished", 0)
        except UserError as error:
            os._exit(7 if "disk is full" in str(error) else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert (run.path / "run.json").read_bytes() == before
    assert list(run.path.glob(".*.tmp")) == []


def test_readers_never_see_half_a_record(repository):
    run = new_run(repository)
    pid = os.fork()
    if pid == 0:
        for index in range(150):
            run.update(result="x" * (index * 997 % 50_000))
        os._exit(0)
    reads = 0
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        assert json.loads((run.path / "run.json").read_text())["id"] == run.id
        reads += 1
    assert reads > 20


def test_a_run_ends(repository):
    run = new_run(repository)
    metrics = {"score": 0.25, "loss": math.nan}
    finish_run(run, "finished", 0, result="score 0.25", result_metrics=metrics)
    record = find_run(repository, run.id).record
    assert (record["status"], record["exit_code"], record["result"]) == ("finished", 0, "score 0.25")
    assert record["result_metrics"] == {"score": 0.25, "loss": "NaN"}
    assert record["ended"] >= record["started"] and effective_status(record) == "finished"


def test_updating_keeps_what_another_process_wrote(repository):
    run = new_run(repository)
    find_run(repository, run.id).update(question="asked meanwhile")
    finish_run(run, "interrupted", 130)
    record = find_run(repository, run.id).record
    assert (record["question"], record["status"]) == ("asked meanwhile", "interrupted")


def test_a_deleted_folder_is_not_made_anew(repository):
    run = new_run(repository)
    shutil.rmtree(run.path)
    with pytest.raises(UserError, match="is gone"):
        finish_run(run, "finished", 0)
    assert not run.path.exists()


def test_a_process_is_its_id_and_its_start():
    mine = process_start(os.getpid())
    assert mine is not None and is_running(os.getpid(), mine)
    assert not is_running(os.getpid(), "tick 1")  # the id was given to a new process
    assert not is_running(2**22 + 1, mine)


def test_processes_are_found_without_proc(monkeypatch):
    sleeper = subprocess.Popen(["sleep", "30"])
    monkeypatch.setattr(process, "HAS_PROC", False)
    start = process_start(sleeper.pid)
    assert start is not None and ":" in start and is_running(sleeper.pid, start)
    sleeper.kill()
    time.sleep(0.05)
    assert process_start(sleeper.pid) is None  # a zombie
    sleeper.wait()
    assert process_start(sleeper.pid) is None


def test_runs_are_found_by_beginning_code_and_path(repository):
    runs = [new_run(repository, name=name) for name in ("dot", "dot", "pong")]
    assert find_run(repository, runs[0].id).id == runs[0].id
    assert find_run(repository, runs[0].id[-4:]).id == runs[0].id
    assert find_run(repository, f"runs/{runs[1].id}/").id == runs[1].id
    assert find_run(repository, runs[2].id[:13]).id == runs[2].id
    with pytest.raises(UserError, match="may be any of") as caught:
        find_run(repository, runs[0].id[:11])
    assert all(run.id in str(caught.value) for run in runs)
    typo = runs[2].id.replace("pong", "pnog")
    with pytest.raises(UserError, match=f"no run '{typo}'; did you mean '?{runs[2].id}"):
        find_run(repository, typo)
    with pytest.raises(UserError, match=r"no run '\.\./\.\.'"):
        find_run(repository, "../..")
    for nothing in ("", ".", "runs/"):
        with pytest.raises(UserError):
            find_run(repository, nothing)


def test_without_runs(project):
    assert list_summaries(project) == []
    with pytest.raises(UserError, match="there are no runs yet"):
        find_run(project, "7f3a")


@pytest.mark.parametrize("content", [None, b"", b'{"id": "x", "sta', b"[]", b"{}", b"\xff\xfe"])
def test_a_damaged_record_is_listed_not_fatal(repository, content):
    good, bad = new_run(repository), new_run(repository)
    (bad.path / "run.json").unlink()
    if content is not None:
        (bad.path / "run.json").write_bytes(content)
    statuses = {record["id"]: record["status"] for record in list_summaries(repository)}
    assert statuses == {good.id: "running", bad.id: "unreadable"}
    with pytest.raises(UserError, match=r"run\.json: missing or damaged") as caught:
        find_run(repository, bad.id)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"params": {"training": [1]}}, "params.training is of the wrong type: list"),
        ({"params": {"evaluation": "x"}}, "params.evaluation is of the wrong type: str"),
        ({"params": None}, "not the record of a run"),
        ({"status": None}, "not the record of a run"),
        ({"result_metrics": "x"}, "result_metrics is of the wrong type: str"),
        ({"evaluation": {"sampled": 0.9}}, "evaluation.sampled is of the wrong type: float"),
        ({"active_seconds": "long"}, "active_seconds is of the wrong type: str"),
        ({"resumed": "yesterday"}, "resumed is of the wrong type: str"),
        ({"question": ["why?"]}, "question is of the wrong type: list"),
        ({"closed": {"cause": "lr"}}, "closed lacks outcome"),
        ({"prediction": {"causes": []}}, "prediction lacks failure_probability"),
        ({"prediction": {"failure_probability": "x", "causes": []}}, "failure_probability is no number"),
        ({"prediction": {"failure_probability": 0.1, "causes": ["lr"]}}, "prediction.causes lacks cause, reason"),
        ({"closed": {"outcome": "failed", "cause": 5}}, "closed.cause is of the wrong type: int"),
        ({"evaluation": {"sampled": {"return_mean": 1.0}}}, "evaluation.sampled lacks score"),
        ({"params": {"evaluation": {"actions": []}}}, "params.evaluation.actions is of the wrong type: list"),
        ({"ended": 5}, "ended is of the wrong type: int"),
        ({"ended": "yesterday"}, "Invalid isoformat string: 'yesterday'"),
    ],
)
def test_a_record_whose_sections_are_odd_is_unreadable_and_hides_no_other(repository, monkeypatch, fields, problem):
    good, odd = new_run(repository), new_run(repository)
    (odd.path / "run.json").write_text(json.dumps(odd.record | fields))
    with pytest.raises(UserError, match=problem):
        find_run(repository, odd.id)
    statuses = {summary["id"]: summary["status"] for summary in list_summaries(repository)}
    assert statuses == {good.id: "running", odd.id: "unreadable"}
    assert "unreadable" in format_runs(list_summaries(repository), None)


def test_creating_a_run_is_quick_and_so_is_listing_many(repository):
    start = time.perf_counter()
    run = new_run(repository)
    assert time.perf_counter() - start < 0.5
    record = (run.path / "run.json").read_text()
    for index in range(1000):
        path = repository / "runs" / f"2026-01-01_many_{index:04x}"
        path.mkdir()
        (path / "run.json").write_text(record)
    start = time.process_time()
    assert len(list_summaries(repository)) == 1001
    assert time.process_time() - start < 0.5


def test_names_and_folders_that_cannot_be_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no run 'aaaa"):
        find_run(tmp_path, "a" * 300)
    (tmp_path / "runs").touch()
    with pytest.raises(UserError, match="runs: is a file, not the folder of runs; move it away"):
        find_run(tmp_path, "a")


def test_a_record_nested_too_deeply_is_damaged(repository):
    run = new_run(repository)
    (run.path / "run.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="missing or damaged"):
        find_run(repository, run.id)
    assert [record["status"] for record in list_summaries(repository)] == ["unreadable"]
