"""`repro runs` and `repro show`; runs of other projects; a pipeline that goes on where it was killed."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from project import here, kill, line_count, wait_until

from repro.runs.earlier import find_unfinished
from repro.tracking.archive import RunFolder
from repro.tracking.index import list_summaries
from repro.tracking.locks import hold_run
from repro.tracking.lookup import find_own_run, find_run
from repro.views.listing import format_runs


@pytest.fixture
def repro(project, monkeypatch, capsys):
    """`repro ...` without a process of its own."""
    return lambda *arguments: here(project, monkeypatch, capsys, *arguments)


def days_ago(days: float) -> str:
    return (datetime.now().astimezone() - timedelta(days=days)).isoformat(timespec="seconds")


class TestRuns:
    def test_filters_and_order(self, project, repro):
        old = project.queue(1, question="does it?", started=days_ago(3))
        new = project.queue(2, started=days_ago(1), stage="tuning")
        assert repro("runs", "--limit", "1")[1].splitlines()[1].startswith(new.id)
        assert [line.split()[0] for line in repro("runs")[1].splitlines()[1:]] == [new.id, old.id]
        assert [line.split()[0] for line in repro("runs", "--sort", "seed")[1].splitlines()[1:]] == [old.id, new.id]
        for options, found in (
            (["--question", "DOES"], old),
            (["--stage", "tuning"], new),
            (["--since", days_ago(2)[:10]], new),
        ):
            code, out, _ = repro("runs", *options)
            assert code == 0 and [line.split()[0] for line in out.splitlines()[1:]] == [found.id]
        assert repro("runs", "--status", "failed") == (0, "no run of 2 is like that: 0 with --status failed\n", "")
        assert repro("runs", "--stage", "final")[1] == "no run of 2 is like that: 0 with --stage final\n"
        for options, message in (
            (
                ["--sort", "date"],
                "--sort date: write one of 'started', 'score', 'return', 'time', 'seed', 'name'; see repro runs --help",
            ),
            (
                ["--outcome", "fialed"],
                "--outcome fialed: write one of 'succeeded', 'failed', 'open'; see repro runs --help",
            ),
            (["--name", "tinny"], "--name tinny: no run is of this experiment; did you mean 'tiny'?"),
            (["--stage", "finale"], "--stage finale: no such stage in budget.yaml; did you mean 'final'?"),
            (["--out", "x.html"], "--out x.html: is where the page goes; add --html to write it"),
            (["--since", "long ago"], "--since long ago: not a day; write it as 2026-11-21, today or yesterday"),
        ):
            assert repro("runs", *options) == (2, "", f"error: {message}\n")

    def test_the_page(self, project, repro):
        runs = [project.queue(1), project.queue(2, status="failed")]
        assert repro("runs", "--html") == (0, "written: runs/index.html\n", "")
        text = (project.root / "runs/index.html").read_text()
        assert all(f"{run.id}/" in text for run in runs)
        assert repro("runs", "--html", "--status", "failed", "--out", "page.html")[0] == 0
        text = (project.root / "page.html").read_text()
        assert f"{runs[1].id}/" in text and f"{runs[0].id}/" not in text
        assert len(repro("runs")[1].splitlines()) == 3  # the page is not a run

    def test_prune_asks_or_needs_yes(self, project, repro):
        run = project.queue(1, status="finished", ended=days_ago(40))
        checkpoint = run.path / "checkpoints/last.pt"
        checkpoint.parent.mkdir()
        checkpoint.write_bytes(b"x" * 5000)
        proposal = f"   5.0 kB  {run.id}  checkpoints/last.pt\n   5.0 kB  in all\n"
        message = "error: there is no terminal to ask on, and nothing was deleted; to delete these: --yes\n"
        assert repro("runs", "--prune") == (2, proposal, message)
        code, out, _ = repro("runs", "--prune", "--yes", "--stage", "final")  # of those that are listed
        assert code == 0 and out.startswith("nothing to delete")
        ours, theirs = pty.openpty()
        with project.start("runs", "--prune", stdin=theirs) as process:
            assert process.stdout.read(len(proposal) + 6) == proposal + "Delete"
            process.send_signal(signal.SIGINT)
            _, error = process.communicate()
            assert (process.returncode, error) == (130, "\nstopped\n")
        os.close(ours)
        os.close(theirs)
        for answer, said in ((b"n\n", b"nothing was deleted"), (b"y\n", b"deleted: 5.0 kB of 1 run")):
            assert checkpoint.exists()
            ours, theirs = pty.openpty()
            os.write(ours, answer)
            with project.start("runs", "--prune", stdin=theirs, text=False) as process:
                os.close(theirs)
                assert said in process.communicate()[0] and process.returncode == 0
            os.close(ours)
        assert not checkpoint.exists() and find_run(project.root, run.id).record["pruned"] == ["checkpoints/last.pt"]
        assert "pruned     checkpoints/last.pt" in repro("show", run.id)[1]
        code, out, _ = repro("runs", "--prune", "--yes")
        assert code == 0 and out.startswith("nothing to delete")

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            (["--yes"], "--older-than, --yes: say what --prune may delete; add it"),
            (["--older-than", "0"], "--older-than, --yes: say what --prune may delete; add it"),
            (["--prune", "--html"], "--prune, --html: give one of them"),
            (["--out", "page.html"], "--out page.html: is where the page goes; add --html to write it"),
        ],
    )
    def test_no_option_is_passed_over(self, repro, options, line):
        assert repro("runs", *options) == (2, "", f"error: {line}\n")

    def test_ten_thousand_are_listed_in_a_second(self, project):
        first = project.queue(1, status="finished").path / "run.json"
        os.utime(first, (time.time() - 60, time.time() - 60))
        for index in range(10_000):
            folder = project.root / f"runs/2026-01-01_many_{index:04x}"
            folder.mkdir()
            os.link(first, folder / "run.json")
        list_summaries(project.root)
        start = time.process_time()  # whatever else the machine does
        text = format_runs(list_summaries(project.root), columns=200)
        assert time.process_time() - start < 0.7
        assert text.count("\n") == 10_001


class TestRunsElsewhere:
    def test_a_folder_that_was_moved_is_shown(self, project, tmp_path):
        run = project.queue(1, question="where am I?")
        (run.path / "metrics.jsonl").write_text('{"env_step": 512, "loss": 0.5}\n')
        moved = Path(shutil.move(run.path, tmp_path / "renamed"))
        for path, cwd in ((str(moved), tmp_path), ("renamed", tmp_path), ("../renamed", project.root), (".", moved)):
            out = project.ok("show", path, cwd=cwd)
            assert out.startswith("run        renamed\n") and "where am I?" in out and "loss 0.5" in out

    def test_a_half_written_one_is_shown_as_far_as_it_goes(self, project, repro):
        run = project.queue(1)
        (run.path / "metrics.jsonl").write_text('{"env_step": 512, "loss": 0.5}\n')
        (run.path / "run.json").write_text("{")
        for name in (run.id, f"runs/{run.id}"):
            code, out, error = repro("show", name)
            assert code == 2 and "status     unreadable" in out and "params.yaml" in out and "loss 0.5" in out
            assert error.startswith(f"error: runs/{run.id}/run.json: missing or damaged") and error.count("\n") == 1

    @pytest.mark.parametrize("command", ["resume", "evaluate"])
    def test_a_run_of_another_project_is_refused(self, project, repro, command, tmp_path):
        run = project.queue(1, project="pong-again")
        before = (run.path / "run.json").read_bytes()
        code, out, error = repro(command, run.id)
        assert (code, out) == (2, "") and error.count("\n") == 1
        assert f"error: {run.id}: is a run of the project pong-again, not of " in error
        own = project.queue(2)
        shutil.move(own.path, tmp_path / own.id)
        assert "lies outside this project's runs/" in repro(command, str(tmp_path / own.id))[2]
        assert (run.path / "run.json").read_bytes() == before

    @pytest.mark.parametrize("command", ["resume", "label", "close"])
    def test_a_renamed_one_is_refused_as_its_labels_would_be_missed(self, project, repro, command):
        run = project.queue(1)
        best = run.path.rename(run.path.with_name("best"))
        before = (best / "run.json").read_bytes()
        code, out, error = repro(command, "best")
        assert (code, out) == (2, "") and error.count("\n") == 1
        assert error.startswith(f"error: best: was made as {run.id}, and its labels are kept under that name; give it")
        assert (best / "run.json").read_bytes() == before

    def test_linked_runs_are_found_by_the_way_through_the_project(self, project, tmp_path):
        (tmp_path / "large").mkdir()
        (project.root / "runs").symlink_to(tmp_path / "large")
        run = project.queue(1)
        assert find_own_run(project.root, str(tmp_path / "large" / run.id)).path == run.path

    def test_a_clock_that_went_back_starts_nothing(self, project, repro):
        run = project.queue(1, started=days_ago(-2))
        before = sorted(os.listdir(project.root / "runs"))
        code, out, error = repro("train", "--seed", "1")
        assert (code, out) == (2, "") and error.count("\n") == 1
        assert error.startswith("error: the clock went back: it is ") and f"but {run.id} began at 20" in error
        assert sorted(os.listdir(project.root / "runs")) == before

    def test_an_unknown_stage_starts_nothing(self, project, repro):
        code, _, error = repro("train", "--seed", "1", "--stage", "debuging")
        assert code == 2 and "--stage debuging" in error and "debugging" in error and error.count("\n") == 1
        assert not (project.root / "runs").exists()


CELL = "tiny/seed-100"


class TestCells:
    def test_a_killed_one_goes_on_where_it_was(self, project, repro):
        """Killed with -9, in a container that comes back under another name."""
        params = project.config("training.total_steps=7680").model_dump(mode="json")
        project.params.write_text(json.dumps(params))
        repro("prefs", "collect", "--seed", "100")
        run = project.queue(100, cell=CELL, preferences=str(project.root / "data" / CELL))
        process = project.start("resume", run.id)
        wait_until(lambda: line_count(run.path / "metrics.jsonl") >= 4, process)
        kill(process)
        run.update(host="container-of-yesterday")
        out = project.does("train", "--cell", "--seed", "100")
        assert f"going on with {run.id}, an unfinished run of this cell" in out
        record = project.only_run().record
        assert (record["status"], len(record["resumed"]), record["cell"]) == ("finished", 1, CELL)
        assert record["active_seconds"] > 0
        assert json.loads((project.root / "models" / CELL / "run.json").read_text())["id"] == run.id

    def test_only_the_same_run_is_gone_on_with(self, project):
        run = project.queue(100, cell=CELL, status="interrupted", pid=1)
        record = run.record

        def found(**changes) -> RunFolder | None:
            wanted = {"cell": CELL, "code": record["code_hash"], "params": record["params"], "seed": 100}
            return find_unfinished(project.root, **{"preferences": None} | wanted | changes)

        assert found().id == run.id
        assert found(cell="tiny/seed-101") is None and found(code="0" * 16) is None
        assert found(params=record["params"] | {"name": "other"}) is None
        assert found(params=record["params"] | {"seeds": {"pipeline": [100, 101, 102]}}).id == run.id
        assert found(preferences=project.root / "data") is None
        for status in ("finished", "failed", "queued"):
            run.update(status=status)
            assert found() is None
        run.update(status="running", process_start="tick 1")
        assert found().id == run.id
        lock = hold_run(run.path)
        assert found() is None
        os.close(lock)
        run.update(data_hashes={"data/tiny/seed-100": "aa.dir"})
        assert found() is None
