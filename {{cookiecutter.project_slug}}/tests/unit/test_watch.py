"""`repro watch`: progress of running runs on a terminal, and the user's command when something happens to one."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import sys

import pytest
from archive_examples import FINDING
from project import here, kill, line_count, wait_until

from repro.reading import UserError
from repro.tracking.archive import effective_status, finish_run
from repro.tracking.findings import add_finding
from repro.tracking.lookup import find_run
from repro.views.follow import Event
from repro.views.watch import run_command, split_command

# It learns so slowly, and its thresholds are so far off, that no check finds anything.
LONG = (
    *("training.total_steps=200000", "agent.learning_rate=1e-6"),
    *("health.warm_up=1.0", "health.max_loss_ratio=1e9", "health.min_speed=0.0"),
)


class TestCommand:
    EVENT = Event("2026-11-21_tiny_7f3a", "crashed", 'it\'s "over" $(date) 🦊')

    def test_finds_the_event_in_its_environment(self, tmp_path):
        script = (
            "import os, sys; open(sys.argv[1], 'w').write('|'.join(os.environ[f'REPRO_{n}'] for n in sys.argv[2:]))"
        )
        words = split_command(f"{sys.executable} -c {shlex.quote(script)} '{tmp_path}/a b' RUN EVENT TEXT")
        assert run_command(words, self.EVENT) is None
        assert (tmp_path / "a b").read_text() == f"{self.EVENT.run}|crashed|{self.EVENT.text}"

    def test_no_shell_is_involved(self, tmp_path):
        assert run_command(split_command(f"echo x > {tmp_path}/file; touch {tmp_path}/other"), self.EVENT) is None
        assert list(tmp_path.iterdir()) == []

    def test_failures_in_words(self, monkeypatch):
        assert run_command(split_command("sh -c 'echo one >&2; echo two >&2; exit 3'"), self.EVENT) == (
            "failed with exit code 3: two"
        )
        monkeypatch.setattr("repro.views.watch.COMMAND_SECONDS", 0.1)
        assert run_command(split_command("sleep 9"), self.EVENT) == "took longer than 0 s and was stopped"

    @pytest.mark.parametrize(
        ("command", "line"),
        [
            ("", "--command: is empty"),
            ("'x", "No closing quotation"),
            ("no-such-program x", "no program 'no-such-program'"),
        ],
    )
    def test_what_cannot_be_one(self, command, line):
        with pytest.raises(UserError, match=line):
            split_command(command)


class TestWatching:
    def test_one_comes_later_turns_unhealthy_and_is_stopped_the_other_crashes(self, shared_project):
        """Without a terminal; the user's command writes a file, and fails."""
        doomed = shared_project.queue(100, *LONG)
        told = shared_project.root / "events"
        crash = shared_project.start("resume", doomed.id)
        wait_until(lambda: line_count(doomed.path / "metrics.jsonl") >= 2, crash)
        script = "echo $REPRO_EVENT $REPRO_RUN >> events; exit 1"
        watch = shared_project.start("watch", "--command", f"sh -c {shlex.quote(script)}")
        assert watch.stdout.readline().startswith(f"{doomed.id}: seed 100 · ")
        later = shared_project.queue(101, *LONG)
        stop = shared_project.start("resume", later.id)
        wait_until(lambda: line_count(later.path / "metrics.jsonl") >= 1, stop)
        add_finding(later.path, FINDING)
        wait_until(lambda: line_count(told) == 1, watch)
        stop.terminate()
        stop.communicate()
        wait_until(lambda: line_count(told) == 2, watch)
        kill(crash)
        out, error = watch.communicate()
        assert watch.returncode == 1 and error == ""
        assert told.read_text().splitlines() == [
            f"unhealthy {later.id}",
            f"interrupted {later.id}",
            f"crashed {doomed.id}",
        ]
        assert re.search(
            rf"(?m)^\d\d:\d\d:\d\d crashed: {doomed.id}: crashed at step [\d,]+ of 200,000; go on with", out
        )
        assert out.splitlines().count("warning: --command: failed with exit code 1: it said nothing") == 3
        assert re.match(rf"{doomed.id}: seed 100 · .* · crashed · ok$", out.splitlines()[-2])
        assert re.match(rf"{later.id}: seed 101 · .* · interrupted · kl_spike$", out.splitlines()[-1])

    def test_what_has_ended_already(self, project, monkeypatch, capsys):
        assert here(project, monkeypatch, capsys, "watch")[:2] == (
            0,
            "no run is running; start one with: repro launch --seed 100\n",
        )
        run = project.queue(100)
        run.update(process_start="long ago")
        assert here(project, monkeypatch, capsys, "watch")[0] == 0
        code, out, _ = here(project, monkeypatch, capsys, "watch", run.id)
        assert code == 1 and out == f"{run.id}: seed 100 · 0 of 3,072 steps (0%) · crashed · ok\n"
        assert here(project, monkeypatch, capsys, "watch", run.id, "--once")[:2] == (0, out)
        finish_run(run, "finished", 0, "return 6")
        assert here(project, monkeypatch, capsys, "watch", run.id)[0] == 0
        code, _, error = here(project, monkeypatch, capsys, "watch", "--command", "no-such-program")
        assert code == 2 and error.startswith("error: --command no-such-program: no program")

    def test_on_a_terminal_of_80_columns(self, shared_project):
        """A table that fits, the bell when it ends; Ctrl-C ends the watching only."""
        run = shared_project.queue(104, *LONG)
        process = shared_project.start("resume", run.id)
        wait_until(lambda: line_count(run.path / "metrics.jsonl") >= 3, process)
        env = shared_project.env | {"COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
        screens = []
        for end in (signal.SIGINT, signal.SIGKILL):
            ours, theirs = pty.openpty()
            with shared_project.start("watch", run.id, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as watch:
                os.close(theirs)
                shown = os.read(ours, 65536)
                while b"200k" not in shown:
                    shown += os.read(ours, 65536)
                (watch if end == signal.SIGINT else process).send_signal(end)
                try:
                    while part := os.read(ours, 65536):
                        shown += part
                except OSError:  # the other side is closed
                    pass
            screens.append((watch.returncode, shown.decode()))
            if end == signal.SIGINT:
                assert effective_status(find_run(shared_project.root, run.id).record) == "running"
        process.communicate()
        (interrupted, first), (code, second) = screens
        assert interrupted == 130 and "no longer watching; the runs go on" in first and "\a" not in first
        assert code == 1 and "\a" in second and f"crashed: {run.id}: crashed at step " in second
        table = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", second))
        rows = [line for line in table if line.startswith(run.id[-4:])]
        assert rows and all(len(line) <= 80 for line in rows)
        assert re.match(r"\w{4} +104 +[\d.]+k/200k +\d+% +[\d,]+ +[\d.]+ (s|min) +-?[\d.]+ +ok", rows[0].rstrip())
