"""`repro sync`, and runs that are resumed online: the server gets what it does not have, in order, once."""

import contextlib
import json
import os
import signal
import sqlite3

import pytest
from archive_examples import CONFIG, make_project, new_run
from project import here, wait_until
from wandb_examples import OFFLINE, SERVICE, files_with_key, log, process_below

from repro.reading import UserError
from repro.tracking.archive import finish_run, read_run
from repro.tracking.locks import hold_run
from repro.tracking.metrics import MetricsWriter
from repro.tracking.wandb import WandbMirror, WandbSettings, read_mirror
from repro.tracking.wandb_sync import check_login, is_uploaded, upload, upload_again

pytestmark = pytest.mark.usefixtures("no_account", "processes_of_others")
ONLINE = WandbSettings("lab", "test", "online")


def rows(*steps):
    return [{"env_step": step, "return/mean": step / 3} for step in steps]


def attempt(run, settings, *steps, taken_back=0):
    """The mirror during one attempt at a run, which begins by taking rows back to its checkpoint."""
    path = run.path / "metrics.jsonl"
    if taken_back:
        kept = path.read_bytes().splitlines(keepends=True)[:-taken_back]
        with MetricsWriter(path) as writer:
            writer.truncate(sum(map(len, kept)))
    mirror = WandbMirror.start(run.path, settings)
    log(run.path, *rows(*steps))
    return mirror


@pytest.fixture
def run(repository):
    return new_run(repository, config=CONFIG | {"env": {"id": "dot"}}, question="Does it?")


def test_what_was_recorded_offline_killed_and_resumed_arrives_in_order_and_once(run, server):
    attempt(run, OFFLINE, *range(10))._process.stdin.close()  # the trainer was killed
    attempt(run, OFFLINE, *range(7, 15), taken_back=3).finish(0)
    finish_run(run, "finished", 0)
    assert not is_uploaded(run.path)
    settings = check_login(OFFLINE)
    assert upload(run, settings) == f"{server.url}/lab/test/runs/{run.id}"
    assert server.rows() == list(range(15)) and is_uploaded(run.path)
    assert server.streams[-1]["exitcode"] == 0
    assert read_run(run.path).record["wandb"]["mode"] == "online"
    upload(run, settings)
    assert server.rows() == list(range(15))  # it had them
    log(run.path, *rows(15))
    assert not is_uploaded(run.path)


def test_a_row_that_a_kill_cut_off_keeps_no_run_from_being_uploaded(run, server):
    attempt(run, ONLINE, *range(3)).finish(1)
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"env_step": 3, "return/me')
    upload(run, ONLINE)
    assert is_uploaded(run.path) and server.rows() == [0, 1, 2]


def test_a_run_that_is_resumed_online_goes_on_with_its_curve(run, server):
    """Of the first attempt the service of W&B is killed, so that its last rows are lost to the server."""
    mirror = attempt(run, ONLINE, *range(10))
    wait_until(lambda: server.rows() == list(range(10)))
    os.kill(process_below(os.getpid(), SERVICE), signal.SIGKILL)
    log(run.path, *rows(*range(10, 20)))
    mirror.finish(1)
    assert server.rows() == list(range(10)) and not is_uploaded(run.path)
    attempt(run, ONLINE, *range(16, 25), taken_back=4).finish(0)
    assert server.rows() == list(range(25)) and is_uploaded(run.path)
    assert {start["name"] for start in server.starts} == {run.id}  # one run, under one id


def test_a_server_that_is_down_refuses_or_is_not_logged_in_to(run, server, monkeypatch):
    log(run.path, *rows(*range(5)))
    lock = hold_run(run.path)
    with pytest.raises(UserError, match="is running, and is uploaded by its own process"):
        upload(run, ONLINE)
    os.close(lock)
    monkeypatch.setattr("repro.tracking.wandb.INIT_SECONDS", 0.5)
    with monkeypatch.context() as down:
        down.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        with pytest.raises(UserError, match=rf"^{run.id}: W&B did not take it \(see .*mirror.log\)$"):
            upload(run, ONLINE)
    assert not list(run.path.glob("wandb/offline-run-*")) and not is_uploaded(run.path)
    assert files_with_key(run.path) == []
    monkeypatch.setattr("repro.tracking.wandb.INIT_SECONDS", 20.0)
    upload(run, ONLINE)
    assert server.rows() == list(range(5))
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(UserError, match="nobody is logged in; log in with: wandb login"):
        check_login(ONLINE)
    with pytest.raises(UserError, match="W&B is turned off"):
        check_login(WandbSettings(None, "test", "disabled"))


@pytest.mark.parametrize("fault", ["hangs", "refuses", "refuses_rows"])
@pytest.mark.parametrize("networks", [[], ["agent.pt"]])
def test_what_a_server_does_not_take_in_the_end_is_not_uploaded(run, server, fault, networks):
    (run.path / "checkpoints").mkdir()
    for name in networks:
        (run.path / "checkpoints" / name).write_bytes(b"networks")
    mirror = WandbMirror.start(run.path, ONLINE, upload_seconds=4.0)
    log(run.path, *rows(0, 1))
    wait_until(lambda: server.rows() == [0, 1])
    setattr(server, fault, True)
    log(run.path, *rows(2))
    mirror.finish(0, 10.0)
    assert server.rows() == [0, 1] and not is_uploaded(run.path)


def test_an_artifact_that_is_not_taken_is_not_uploaded(run, server):
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints/agent.pt").write_bytes(b"networks")
    log(run.path, *rows(1))
    server.refuses_files = True
    with pytest.raises(UserError, match="W&B did not take it"):
        upload(run, ONLINE)
    server.refuses_files = False
    upload(run, ONLINE)
    assert server.files["/agent.pt"] == b"networks"


def test_videos_are_sent_once_and_those_of_before_are_found(run, server):
    (run.path / "videos").mkdir()
    log(run.path, *rows(100, 200))
    (run.path / "videos/step-000000100.mp4").write_bytes(b"of an offline attempt")
    upload(run, ONLINE)
    (run.path / "videos/step-000000200.mp4").write_bytes(b"new")
    upload(run, ONLINE)
    upload(run, ONLINE)
    videos = [row["video/env_step"] for row in server.lines("wandb-history.jsonl") if "video" in row]
    assert videos == [100, 200]
    assert json.loads((run.path / "wandb/mirror.json").read_bytes()) == read_mirror(run.path)


def test_the_command_names_what_was_uploaded_and_what_stands_in_the_way(shared_project, server, monkeypatch, capsys):
    assert here(shared_project, monkeypatch, capsys, "sync")[:2] == (0, "W&B has all runs that have ended\n")
    ended, without, going_on = (shared_project.queue(seed) for seed in (100, 101, 102))
    for run in (ended, without, going_on):
        log(run.path, *rows(*range(3)))
    finish_run(ended, "interrupted", 143)
    finish_run(without, "finished", 0)
    without.update(wandb={"mode": "disabled"})
    code, _, error = here(shared_project, monkeypatch, capsys, "sync")
    assert code == 2 and error.startswith("error: W&B is turned off") and error.count("\n") == 1
    monkeypatch.setattr("repro.tracking.wandb.read_wandb_settings", lambda path: ONLINE)  # `here` turns W&B off
    code, said, _ = here(shared_project, monkeypatch, capsys, "sync")
    assert (code, said) == (0, f"{ended.id}: {server.url}/lab/test/runs/{ended.id}\n")
    assert server.rows() == [0, 1, 2] and not is_uploaded(going_on.path)
    assert here(shared_project, monkeypatch, capsys, "sync")[1] == "W&B has all runs that have ended\n"


def test_an_evaluation_goes_where_the_curve_is(run, server):
    log(run.path, *rows(1, 2))
    upload(run, ONLINE)
    run.update(evaluation={"episodes": 4, "sampled": {"score": 0.5, "return_mean": 3.0}, "code_hash": "c0de"})
    upload_again(run.path)
    assert not is_uploaded(run.path) and read_mirror(run.path)["url"]
    upload(run, ONLINE)
    summary = server.lines("wandb-summary.json")[-1]
    found = {name: value for name, value in summary.items() if name.startswith("evaluation")}
    assert found == {"evaluation/sampled/score": 0.5, "evaluation/sampled/return_mean": 3.0}
    assert server.rows() == [1, 2] and is_uploaded(run.path)


def test_a_run_that_is_refused_keeps_no_other_from_being_uploaded(shared_project, monkeypatch, capsys):
    refused, taken = (shared_project.queue(seed, status="finished") for seed in (110, 111))

    def upload(run, settings):
        if run.id == refused.id:
            raise UserError(f"{run.id}: W&B did not take it")
        return "an address"

    monkeypatch.setattr("repro.tracking.wandb_sync.upload", upload)
    monkeypatch.setattr("repro.tracking.wandb_sync.check_login", lambda settings: settings)
    code, said, error = here(shared_project, monkeypatch, capsys, "sync", refused.id, taken.id)
    assert (code, said) == (2, f"{taken.id}: an address\n")
    assert error.splitlines() == [
        f"warning: {refused.id}: W&B did not take it",
        "error: 1 of 2 runs were not uploaded; try again later with: repro sync",
    ]


def test_networks_and_preferences_are_artifacts(repository, server):
    run = new_run(repository, config=CONFIG | {"reward": {"source": "learned"}})
    (run.path / "checkpoints").mkdir()
    for name in ("agent.pt", "reward_model.pt", "last.pt"):
        (run.path / "checkpoints" / name).write_bytes(name.encode())
    log(run.path, *rows(1))
    with contextlib.closing(sqlite3.connect(run.path / "preferences.db")) as database:  # open, as while training
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE labels (answer TEXT)")
        database.execute("INSERT INTO labels VALUES ('left')")
        database.commit()
        upload(run, ONLINE)
    assert server.artifacts == {"model": {"agent.pt", "reward_model.pt"}, "preferences": {"preferences.db"}}
    assert server.files["/agent.pt"] == b"agent.pt"
    (repository / "copy.db").write_bytes(server.files["/preferences.db"])
    with contextlib.closing(sqlite3.connect(repository / "copy.db")) as copy:
        assert copy.execute("SELECT answer FROM labels").fetchall() == [("left",)]
    assert not (run.path / "wandb/preferences.db").exists()


def test_preferences_are_sent_whole_whatever_the_folder_is_called(tmp_path, server):
    """In a URI, by which SQLite is told to read only, `#` and `?` end the path."""
    run = new_run(make_project(tmp_path / "paper #2?"), config=CONFIG | {"reward": {"source": "learned"}})
    log(run.path, *rows(1))
    with contextlib.closing(sqlite3.connect(run.path / "preferences.db")) as database:
        database.execute("CREATE TABLE labels (answer TEXT)")
        database.execute("INSERT INTO labels VALUES ('left')")
        database.commit()
    upload(run, ONLINE)
    (tmp_path / "copy.db").write_bytes(server.files["/preferences.db"])
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT answer FROM labels").fetchall() == [("left",)]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("paper")] == ["paper #2?"]
