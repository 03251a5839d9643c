"""`repro label`: what it serves, what it refuses in one line, and that nothing confirmed is lost when it is killed."""

import json
import os
import re
import signal
import socket
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from labeller_examples import Page, fill, make_segment
from project import here, kill

from repro.envs import describe_environment
from repro.labels import tasks
from repro.preferences.labeller.desk import Situation
from repro.preferences.schema import REPEATS
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.tracking.locks import hold_run

PERSON = "preferences.annotator=person"


@pytest.fixture(scope="module")
def run(shared_project):
    """A run with 12 comparisons, which an oracle has answered."""
    run = shared_project.queue(100)
    environment = describe_environment(shared_project.config().env)
    fill(run.path / "preferences.db", 12, run.id, environment)
    with PreferenceStore(run.path / "preferences.db") as store:
        for number in range(12):
            store.add_label(run.id, number, "left", "oracle", None, 0)
        store.export(shared_project.root / "exported", name="dot", seed=100, env_steps=100, run=run.id)
    return run


def serve(project, *arguments):
    """The process that serves the page, and the page."""
    process = project.start("label", *arguments, "--port", "0")
    line = process.stdout.readline()
    port = re.search(r"http://[^/]*:(\d+)/", line)
    assert port, line + process.communicate()[1]
    return process, Page(int(port[1])), line


def labels(path):
    with PreferenceStore(path) as store:
        return store.rows("SELECT number, answer, annotator FROM labels ORDER BY id")


@pytest.mark.parametrize("source", ["run", "exported"])
def test_a_killed_server_loses_no_label_that_was_confirmed(shared_project, run, source, tmp_path):
    path = tmp_path / "mine.db"
    source = run.id if source == "run" else "exported"
    process, page, _ = serve(shared_project, source, "--store", str(path), "--annotator", "anna", "--repeats", "0")
    confirmed = []
    for answer in ("left", "tie", "right"):
        pair = page.work()["pairs"][0]
        assert page.post(pair, answer)[0] == 200
        confirmed.append({"number": int(pair["key"]), "answer": answer, "annotator": "anna"})
    unconfirmed = page.work()["pairs"][0]
    kill(process)
    process, page, _ = serve(shared_project, source, "--store", str(path), "--annotator", "anna", "--repeats", "0")
    assert labels(path) == confirmed
    assert page.post(pair, "right")[0] == 200  # sent again, as the page does when it has heard nothing
    assert labels(path) == confirmed
    assert page.post(unconfirmed, "left")[0] == 200
    assert [one["key"] for one in page.work()["pairs"]] == ["4", "5", "6"]
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert (
        process.returncode == 0
        and error == ""
        and out.endswith(f"the page is closed; what it has confirmed: repro prefs {path}\n")
    ), out + error
    assert len(labels(path)) == 4


def test_the_page_says_what_to_do(shared_project, run, tmp_path):
    process, page, line = serve(shared_project, "latest", "--store", str(tmp_path / "mine.db"))
    try:
        assert run.id in line and "http://127.0.0.1:" in line and "token" not in line
        setting = page.get("/api/setting")
        assert setting["instruction"] == shared_project.config().preferences.instruction != ""
        assert setting["run"] == run.id and setting["annotator"] is None
    finally:
        kill(process)


def test_on_a_network_the_link_holds_a_token(shared_project, run, tmp_path):
    process, page, line = serve(shared_project, "latest", "--store", str(tmp_path / "mine.db"), "--host", "0.0.0.0")
    try:
        token = re.search(r"token=([\w-]{30,})", line)[1]
        assert page.request("GET", "/")[0] == 401
        assert page.request("GET", f"/?token={token}")[0] == 303
    finally:
        kill(process)


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    """The disk is full for this process: files can grow no further."""
    import resource

    from labeller_examples import make_task, serving

    path = fill(tmp_path / "preferences.db", 3)
    with serving(make_task(path)) as page:
        first, second = page.work()["pairs"][:2]
        assert page.post(first, "left")[0] == 200
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
        try:
            status, content = page.post(second, "right")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert status == 503 and "is the disk full?" in content["error"] and "\n" not in content["error"]
        assert page.post(second, "right")[0] == 200  # once there is room again
        assert page.work()["progress"]["labels"] == 2


def test_an_export_that_holds_repeated_questions_is_asked_as_it_was_the_first_time(shared_project, tmp_path):
    config = shared_project.config()
    left, right = make_segment(0), make_segment(1)
    with PreferenceStore(tmp_path / "theirs.db", describe_environment(config.env)) as store:
        for number in range(3):
            store.add_query("r", number, left, right, 100, "uniform")
            store.add_query("r" + REPEATS, number, right, left, 100, "repeat")
            store.add_label("r" + REPEATS, number, "right", "anna", 1.0, 100)
            if number:  # of the first, only the answer to its repeat stands
                store.add_label("r", number, "left", "anna", 1.0, 100)
                store.add_label("r", number, "left", "oracle", None, 100)
        store.export(tmp_path / "exported", name="dot", seed=100, env_steps=100)
    task = tasks.export_task(config, tmp_path / "exported", tmp_path / "mine.db", "ben", 0.0)
    with PreferenceStore(task.store) as mine:
        asked = mine.rows("SELECT run, number, left_hash, right_hash FROM queries ORDER BY number")
    assert asked == [
        {"run": task.run, "number": number, "left_hash": left.hash, "right_hash": right.hash} for number in (1, 2)
    ]


def test_who_labels_an_export_can_be_compared_with_the_answers_in_it(
    shared_project, run, monkeypatch, capsys, tmp_path
):
    both = tmp_path / "both.db"
    task = tasks.export_task(shared_project.config(), shared_project.root / "exported", both, "anna", 0.0)
    with PreferenceStore(both) as store:
        for number in range(4):
            store.add_label(task.run, number, "right" if number else "left", "anna", 1.0, 0)
    for command in (("import", "exported", str(both)), ("show", str(both), "--json")):
        code, out, error = here(shared_project, monkeypatch, capsys, "prefs", *command)
        assert code == 0, error
    found = json.loads(out)
    assert found["queries"] == 12
    (agreement,) = found["agreements"]
    assert agreement["annotators"] == ["anna", "oracle"] and (agreement["count"], agreement["of"]) == (1, 4)


def refuse(project, monkeypatch, capsys, *arguments):
    monkeypatch.setattr("repro.preferences.labeller.server.serve", lambda *_: pytest.fail("it is served"))
    code, out, error = here(project, monkeypatch, capsys, "label", *arguments)
    assert code == 2 and out == "" and error.count("\n") == 1, out + error
    return error


def test_what_cannot_be_labelled_is_one_line(shared_project, run, monkeypatch, capsys, tmp_path):
    def line(*arguments):
        return refuse(shared_project, monkeypatch, capsys, *arguments)

    assert "no run 'nothing'" in line("nothing")
    assert f"repro label {run.id} --store mine.db" in line(run.id)
    assert "--store mine.db" in line("exported")
    other = fill(tmp_path / "other.db", 1)
    assert "holds preferences for dot, not for moving-dot" in line(run.id, "--store", str(other))
    assert "other.db" in line("exported", "--store", str(other))
    (tmp_path / "text.db").write_text("no database at all, but long enough to be taken for one" * 20)
    assert "text.db" in line(run.id, "--store", str(tmp_path / "text.db"))
    store = ("--store", str(tmp_path / "mine.db"))
    assert "holds preferences for moving-dot" in line("exported", *store, "--set", "env.image_size=50")
    assert "annotator: oracle is the name" in line(run.id, *store, "--annotator", "oracle")
    assert "--params, --set: are for an exported folder" in line(run.id, *store, "--set", "name=dot")
    assert "--repeats" in line(run.id, *store, "--repeats", "2")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"--port {port}: " in line(run.id, *store, "--port", port)
    assert "--host nowhere.invalid: no address of this machine" in line(run.id, *store, "--host", "nowhere.invalid")


def test_a_run_without_comparisons_is_one_line(project, monkeypatch, capsys):
    assert "there is no run yet" in refuse(project, monkeypatch, capsys)
    run = project.queue(100, "reward.source=environment")
    assert "learns from the environment's reward" in refuse(project, monkeypatch, capsys, run.id)
    assert f"{run.id} (the latest run, until repro train names a new one): " in refuse(project, monkeypatch, capsys)
    run = project.queue(101, status="interrupted")
    line = refuse(project, monkeypatch, capsys, run.id, "--store", "mine.db")
    assert f"{run.id}: has ended (interrupted) without asking for comparisons; see: repro show {run.id}" in line
    assert not (run.path / "preferences.db").exists() and not os.path.exists(project.root / "mine.db")
    run = project.queue(102, PERSON, reward_model="runs/earlier/checkpoints/reward_model.pt")
    assert "keeps the reward model that it was given as it is, and asks nobody" in refuse(
        project, monkeypatch, capsys, run.id
    )


@pytest.fixture
def meanwhile(monkeypatch):
    """What happens each time `repro label` waits a moment, and what it said that it waits for."""
    happens, said = [], []
    monkeypatch.setattr(tasks, "time", SimpleNamespace(sleep=lambda _: happens.pop(0)()))
    monkeypatch.setattr(tasks, "waiting", lambda text: said.append(text) or nullcontext())
    return happens, said


def test_a_run_that_is_starting_is_waited_for(project, meanwhile):
    happens, said = meanwhile
    environment = describe_environment(project.config().env)
    for status in ("queued", "running"):
        run = project.queue(100, PERSON, status=status)
        path = run.path / "preferences.db"
        happens[:] = [
            lambda: None,
            lambda path=path: fill(path, 0, environment=environment),  # made, and nothing asked yet
            lambda path=path, run=run: fill(path, 3, run.id, environment),
        ]
        task = tasks.run_task(project.root, run.id, None, "anna", 0.0)
        assert (happens, task.store, task.wanted) == ([], path, 40)
        assert said.pop() == f"waiting for the first comparisons of {run.id}; Ctrl-C stops waiting" and not said


def test_a_run_that_ends_before_it_asks_is_given_up(project, meanwhile):
    happens, _ = meanwhile
    run = project.queue(100, PERSON)
    happens[:] = [lambda: None, lambda: run.update(status="failed")]
    with pytest.raises(UserError, match=rf"{run.id}: has ended \(failed\) without asking for comparisons"):
        tasks.run_task(project.root, run.id, None, "anna", 0.0)
    held = hold_run(run.path)  # it is being resumed, and does not say so yet
    happens[:] = [lambda: None, lambda: os.close(held)]
    with pytest.raises(UserError, match=r"has ended \(failed\)"):
        tasks.run_task(project.root, run.id, None, "anna", 0.0)
    assert not happens and not (run.path / "preferences.db").exists()


def test_a_damaged_segment_is_one_line_and_changes_nothing(project, monkeypatch, capsys, tmp_path):
    run = project.queue(100)
    environment = describe_environment(project.config().env)
    path = fill(run.path / "preferences.db", 2, run.id, environment)
    with PreferenceStore(path) as store:
        store.execute("UPDATE segments SET observations = x'00' WHERE hash = ?", (make_segment(3).hash,))
    mine = tmp_path / "mine.db"
    assert "is damaged" in refuse(project, monkeypatch, capsys, run.id, "--store", str(mine))
    with PreferenceStore(mine) as store:
        assert store.query_count(run.id) == 0


def test_whether_training_waits_is_told_as_it_is(project):
    for mode, before, after in (("wait", True, True), ("continue", True, False)):
        run = project.queue(100, PERSON, f"preferences.when_unlabelled={mode}", status="running")
        fill(run.path / "preferences.db", 2, run.id, describe_environment(project.config().env))
        task = tasks.run_task(project.root, run.id, None, "anna", 0.0)
        assert task.situation() == Situation("running", 0, waits=before)
        (run.path / "metrics.jsonl").write_text('{"env_step": 512}\n')
        assert task.situation() == Situation("running", 512, waits=after)
        run.update(status="finished")
        assert task.situation() == Situation("finished", 512, waits=False)
