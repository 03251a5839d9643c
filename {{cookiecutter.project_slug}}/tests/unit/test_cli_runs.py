"""Runs that the commands start, as processes of their own: killed, resumed, launched; what is kept of them."""

from __future__ import annotations

import os
import pty
import re
import resource
import shutil
import signal
import sqlite3
from datetime import date

import pytest
from project import Project, assert_equal_runs, here, kill, line_count, rows, wait_until

from repro.preflight.checks import CHECKS
from repro.reading import UserError
from repro.tracking.archive import effective_status
from repro.tracking.lookup import find_run
from repro.tracking.snapshot import code_hash

LONG = "training.total_steps=200000"


def page(project: Project) -> str:
    return (project.root / "worklog" / f"{date.today()}.md").read_text()


def log_of(project: Project, run: str) -> list[int]:
    """The numbers of the logs in which the run has a row."""
    logs = re.split(r"^## (?=\d)", page(project), flags=re.MULTILINE)[1:]
    return [int(log[0]) for log in logs if f"[{run}](" in log]


class TestTraining:
    def test_from_the_first_command_to_the_evaluation(self, project):
        """Without git; everything that stands about the run afterwards."""
        project.env["PATH"] = "/nonexistent"
        out = project.ok("train", "--seed", "100", "--question", "does it run?", "--set", "training.total_steps=1024")
        run = project.only_run()
        assert re.match(rf"tiny: about [\d.]+ (s|min).*\nrun {run.id}\n", out)
        record = run.record
        assert (record["status"], record["exit_code"], record["seed"]) == ("finished", 0, 100)
        assert record["command"][:4] == ["repro", "train", "--seed", "100"]
        assert record["overrides"] == ["training.total_steps=1024"]
        assert record["params"]["training"]["total_steps"] == 1024
        assert record["commit"] is None and record["notes"] == [
            "git is not installed: the code is kept in the snapshot only"
        ]
        assert record["gate"]["passed"] == "below threshold"
        assert record["devices"]["gpus"] == [] or record["devices"]["gpus"][0]
        assert (record["stage"], record["device"], record["closed"]) == ("debugging", "cpu", None)
        assert record["estimate_minutes"] == record["gate"]["estimate_minutes"] > 0
        assert 0 < record["active_seconds"] < 120
        assert record["result"] in out and "1,024 steps, " in record["result"]
        assert line_count(run.path / "metrics.jsonl") == 2  # 512 of the 1024 steps were for the initial labels
        assert record["result"] in (run.path / "output.log").read_text()
        assert log_of(project, run.id) == [4] and "does it run?" in page(project)
        assert "does it run?" in project.does("runs")
        assert "does it run?" in project.does("show", "latest")
        evaluated = project.does("evaluate", run.id)
        assert "sampled" in evaluated and "<- judged" in evaluated
        assert "closed" not in evaluated  # nothing was predicted
        # A row holds two scores, and says which is which.
        both = r"return \S+ and score \S+ in training, 1,024 steps, .*; judged: score \S+ \(sampled actions\)"
        assert re.search(both, page(project)) and re.search(both, project.does("runs"))
        closed = project.does("close", run.id, "--cause", "it is tiny")
        assert f"{run.id}: closed as failed: it is tiny, by a person on 20" in closed
        assert "finished, closed as failed" in page(project) and log_of(project, run.id) == [4]
        assert "failed: it is tiny, by a person" in project.does("evaluate", run.id)
        assert f"\n{run.id}  debugging  finished  cpu " in project.does("ledger")
        assert "over 4 episodes" in project.does("show", run.id[-4:])

    def test_a_run_with_a_hard_life(self, project):
        """Ctrl-C, kill, kill -9, a full disk; and the code is edited meanwhile. It ends as if nothing had happened."""
        steps = "training.total_steps=15360"  # long enough to be caught in the act on a busy machine
        undisturbed, run = project.queue(100, steps), project.queue(100, steps)
        project.does("resume", undisturbed.id)

        def rows_are(count: int) -> None:
            """Wait until the new process has taken the run over, and there are so many rows; then halt it."""
            wait_until(lambda: find_run(project.root, run.id).record["pid"] == process.pid, process)
            wait_until(lambda: line_count(run.path / "metrics.jsonl") >= count, process)
            process.send_signal(signal.SIGSTOP)

        process = project.start("resume", run.id)
        rows_are(1)
        assert log_of(project, run.id) == [3]
        assert re.fullmatch(rf"{run.id}: is being done by .* stop that one first", project.refused("resume", run.id))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        out, error = process.communicate()
        assert process.returncode == 130 and "Traceback" not in out + error
        assert error == f"\ninterrupted; go on with: repro resume {run.id}\n"
        assert find_run(project.root, run.id).record["status"] == "interrupted"
        assert find_run(project.root, run.id).record["exit_code"] == 130
        assert log_of(project, run.id) == [4] and "interrupted" in page(project)

        source = project.root / "src/repro/training/on_policy.py"
        source.write_text(source.read_text() + "\nraise RuntimeError('this code is of another day')\n")

        process = project.start("resume", run.id)
        rows_are(4)
        process.terminate()
        process.send_signal(signal.SIGCONT)
        out, error = process.communicate()
        assert process.returncode == 143 and "Traceback" not in out + error
        assert find_run(project.root, run.id).record["status"] == "interrupted"

        process = project.start("resume", run.id)
        rows_are(5)
        kill(process)
        assert effective_status(find_run(project.root, run.id).record) == "crashed"
        assert " crashed " in project.does("runs")

        full = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))}
        line = project.refused("resume", run.id, **full)
        assert "the disk is full" in line and "free some space" in line
        failed = find_run(project.root, run.id)
        assert failed.record["status"] == "failed" and "disk is full" in failed.record["result"]
        assert rows(failed) == rows(undisturbed)[: len(rows(failed))]
        with sqlite3.connect(run.path / "preferences.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)

        project.ok("resume", run.id)
        assert_equal_runs(undisturbed, run)
        record = find_run(project.root, run.id).record
        assert record["active_seconds"] > failed.record["active_seconds"] > 0
        assert (record["status"], record["exit_code"], len(record["resumed"])) == ("finished", 0, 4)
        assert log_of(project, run.id) == [4] and page(project).count(f"[{run.id}](") == 1

    def test_the_folder_is_deleted_meanwhile(self, project):
        run = project.queue(100, LONG)
        process = project.start("resume", run.id)
        wait_until(lambda: line_count(run.path / "metrics.jsonl") >= 1, process)
        shutil.rmtree(run.path.rename(project.root / "deleted"))  # at once, as the run makes files meanwhile
        out, error = process.communicate()
        assert process.returncode == 2 and "Traceback" not in out + error
        assert len([line for line in error.splitlines() if line.startswith("error: ")]) == 1
        assert "deleted" in error and not run.path.exists()
        assert log_of(project, run.id) == [4]

    @pytest.mark.parametrize("file", ["checkpoints/last.pt", "preferences.db", "run.json", "metrics.jsonl"])
    def test_damaged_files_are_named_on_resume(self, shared_run, file):
        project, run, copies = shared_run
        shutil.rmtree(run.path)
        shutil.copytree(copies, run.path)
        content = (run.path / file).read_bytes()
        (run.path / file).write_bytes(content[: len(content) // 3])
        line = project.refuses("resume", run.id)
        assert file in line and "Traceback" not in line
        if file != "run.json":
            assert find_run(project.root, run.id).record["status"] == "failed"

    def test_on_a_terminal(self, project):
        """A bar, and in output.log what it would be on paper."""
        run = project.queue(100, "training.total_steps=1536")
        ours, theirs = pty.openpty()
        with project.start("resume", run.id, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            shown = b""
            try:
                while part := os.read(ours, 65536):
                    shown += part
            except OSError:  # the other side is closed
                pass
        assert process.returncode == 0
        assert b"1,536/1,536" in shown and "━".encode() in shown and b"labels" in shown and b"Traceback" not in shown
        log = (run.path / "output.log").read_text()
        assert "\x1b" not in log and "\r" not in log and find_run(project.root, run.id).record["result"] in log


@pytest.fixture(scope="module")
def shared_run(shared_project, tmp_path_factory):
    """A run that was killed after its first checkpoint, and a copy of its folder."""
    run = shared_project.queue(100, LONG)
    process = shared_project.start("resume", run.id)
    wait_until(lambda: line_count(run.path / "metrics.jsonl") >= 4, process)
    kill(process)
    sqlite3.connect(run.path / "preferences.db").execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    return shared_project, run, shutil.copytree(run.path, tmp_path_factory.mktemp("copies") / "run")


class TestLaunch:
    def test_detached_from_a_snapshot_with_the_gate_skipped(self, project):
        """It returns at once; what is edited afterwards concerns the run no more."""
        code = code_hash(project.root)
        out = project.does(
            *("launch", "--seed", "101", "--set", "gate.after_minutes=0", "--skip", "it is a test"),
            *("--set", "training.total_steps=4096", "--question", "detached?"),
        )
        run = project.only_run()
        os.kill(run.record["pid"], signal.SIGSTOP)  # until the code is edited
        assert out.splitlines()[1:] == [f"{run.id} has started; follow it with: repro watch {run.id}"]
        for file in (project.root / "src/repro").rglob("*.py"):
            file.write_text("raise RuntimeError('edited')\n")
        assert effective_status(run.record) == "running"
        if (project.root / "worklog" / f"{date.today()}.md").exists():  # else it was stopped before it entered itself
            assert log_of(project, run.id) in ([], [3])
        os.kill(run.record["pid"], signal.SIGCONT)
        wait_until(lambda: find_run(project.root, run.id).record["status"] != "running")
        record = find_run(project.root, run.id).record
        assert (record["status"], record["exit_code"], record["code_hash"]) == ("finished", 0, code)
        assert record["skip_reason"] == "it is a test" and record["gate"]["passed"] == "skipped"
        assert record["pid"] != os.getpid() and record["result"]
        assert code_hash(project.root) != code

    def test_with_answers_and_wait(self, project, monkeypatch, capsys):
        """The exit code is the run's; here, the disk is full."""
        options = ["--set", "gate.after_minutes=0"]
        code, _, _ = here(project, monkeypatch, capsys, "prelaunch", "--write-answers", "answers.yaml", *options)
        assert code == 0
        answers = project.root / "answers.yaml"
        text = re.sub(r'(?m)^(  \w+): ""$', r'\1: "a test"', answers.read_text())
        text = text.replace('surprise: ""', "surprise: very").replace(
            "failure_probability:", "failure_probability: 0.1"
        )
        names = CHECKS  # whatever so small a run fails
        answers.write_text(
            text.replace("accept: {}", f"accept: {{{', '.join(f'{name}: tiny run' for name in names)}}}")
        )
        full = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))}
        done = project.repro("launch", "--seed", "100", "--answers", "answers.yaml", "--wait", *options, **full)
        assert done.returncode == 2, done.stdout + done.stderr
        record = project.only_run().record
        assert (record["status"], record["exit_code"]) == ("failed", 2) and "disk is full" in record["result"]
        assert record["question"] == "a test" and record["prediction"]["failure_probability"] == 0.1
        assert record["gate"]["passed"] == "answered"
        assert "error: " in (project.only_run().path / "output.log").read_text()

    def test_what_the_work_log_refuses_stands_in_the_output(self, project):
        """A launched run has no terminal to warn on."""
        damaged = project.root / "worklog" / f"{date.today()}.md"
        damaged.parent.mkdir()
        damaged.write_text("mine\n")
        project.does("launch", "--seed", "100", "--set", "training.total_steps=1024", "--wait")
        lines = (project.only_run().path / "output.log").read_text().splitlines()
        warnings = [number for number, line in enumerate(lines) if line.startswith("warning: not entered in the work")]
        assert warnings == [0, len(lines) - 1] and damaged.name in lines[0]
        assert damaged.read_text() == "mine\n"

    def test_other_code_than_the_launched_is_refused(self, project):
        run = project.queue(100)
        line = project.refused("_run", str(run.path))
        assert f"{run.id}: src/repro/__init__.py is not the code this run was launched with" in line
        assert find_run(project.root, run.id).record["status"] == "queued"

    def test_one_that_does_not_get_under_way(self, project, monkeypatch, capsys):
        from repro.runs.processes import start_run

        run = project.queue(100)
        shutil.rmtree(project.root / "runs/.snapshots" / run.record["code_hash"] / "src/repro/runs")
        with pytest.raises(UserError, match=f"did not get under way; see why with: repro resume {run.id}"):
            start_run(project.root, run)
