"""`repro watch`: progress of running runs, and word when something happens to one."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import sys
import time
from dataclasses import asdict
from datetime import datetime

import pytest
from archive_examples import CONFIG, new_run
from labeller_examples import fill
from project import here, kill, line_count, wait_until

from repro.health.check import Finding
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.tracking.archive import effective_status, finish_run
from repro.tracking.findings import add_finding
from repro.tracking.lookup import find_run
from repro.views import follow
from repro.views.follow import Event, FollowedRun
from repro.views.watch import run_command, split_command

# It learns so slowly, and its thresholds are so far off, that no check finds anything.
LONG = (
    *("training.total_steps=200000", "agent.learning_rate=1e-6"),
    *("health.warm_up=1.0", "health.max_loss_ratio=1e9", "health.min_speed=0.0"),
)
FINDING = asdict(Finding("kl_spike", 512, "policy/approx_kl is 0.3", "Too far.", "a smaller learning rate"))


def add_rows(run, *steps, seconds=1.0, torn=b""):
    """Rows of metrics, one in so many seconds of training."""
    with open(run.path / "metrics.jsonl", "ab") as file:
        for step in steps:
            row = {"env_step": step, "time/wall": step / 256 * seconds, "return/mean": float(step)}
            file.write(json.dumps(row).encode() + b"\n")
        file.write(torn)


def ago(seconds):
    """The ISO time so many seconds ago."""
    return datetime.fromtimestamp(time.time() - seconds).astimezone().isoformat()


@pytest.fixture
def run(repository):
    """A run that this process does."""
    return new_run(repository, config=CONFIG | {"training": {"total_steps": 2560}})


class TestFollowedRun:
    def test_rows_are_read_as_they_come(self, run):
        followed = FollowedRun(run.path)
        assert (followed.step, followed.steps_per_second, followed.seconds_left) == (0, None, None)
        add_rows(run, 256, 512, torn=b'{"env_step":768,"time/wa')
        assert followed.look() == [] and followed.step == 512
        add_rows(run, torn=b'll":3.0}\n')
        assert followed.look() == []
        assert (followed.step, followed.latest["return/mean"]) == (768, 512.0)
        assert (followed.steps_per_second, followed.seconds_left) == (256.0, 7.0)

    def test_rows_taken_back_by_a_resumed_run(self, run):
        add_rows(run, 256, 512, 768)
        followed = FollowedRun(run.path)
        os.truncate(run.path / "metrics.jsonl", 0)
        add_rows(run, 256)
        followed.look()
        assert followed.step == 256 and followed.steps_per_second is None

    def test_of_a_long_file_the_end_is_read(self, run, monkeypatch):
        add_rows(run, *range(256, 256 * 60, 256), seconds=2.0)
        monkeypatch.setattr(follow, "TAIL", 1000)
        followed = FollowedRun(run.path)
        assert followed.step == 256 * 59 and followed.steps_per_second == 128.0 and len(followed._points) < 20

    def test_a_damaged_line_is_passed_over(self, run):
        add_rows(run, 256, torn=b"\x00\xff\n[1]\n")
        add_rows(run, 512)
        assert FollowedRun(run.path).look() == [] and FollowedRun(run.path).step == 512

    def test_each_finding_once(self, run):
        followed = FollowedRun(run.path)
        add_finding(run.path, FINDING)
        text = "step 512: kl_spike: policy/approx_kl is 0.3. Try: a smaller learning rate."
        assert followed.look() == [Event(run.id, "unhealthy", text)]
        assert followed.look() == []
        add_finding(run.path, FINDING | {"check": "non_finite"})
        assert [event.text.split(": ")[1] for event in followed.look()] == ["non_finite"]
        assert followed.findings == ["kl_spike", "non_finite"]

    @pytest.mark.parametrize(("seconds", "silence", "stalled"), [(1, 20, False), (1, 40, True), (10, 40, False)])
    def test_stalled(self, run, seconds, silence, stalled):
        """Ten times the usual interval, and half a minute at least."""
        add_rows(run, 256, 512, 768, seconds=seconds)
        run.update(started="2026-11-20T10:00:00+00:00")
        os.utime(run.path / "metrics.jsonl", (0, time.time() - silence))
        followed = FollowedRun(run.path)
        assert [event.name for event in followed.look()] == ["stalled"] * stalled
        assert followed.look() == [] and followed.stalled is stalled
        add_rows(run, 1024, seconds=seconds)
        assert followed.look() == [] and followed.stalled is False

    @pytest.mark.parametrize("when_unlabelled", ["wait", "continue"])
    def test_one_that_waits_for_its_first_labels_says_so_once(self, repository, when_unlabelled):
        preferences = {"annotator": "person", "when_unlabelled": when_unlabelled}
        run = new_run(repository, config=CONFIG | {"training": {"total_steps": 2560}, "preferences": preferences})
        followed = FollowedRun(run.path)
        assert followed.look() == [] and followed.labels_awaited == 0  # nothing is asked yet
        fill(run.path / "preferences.db", 3, run.id)
        assert followed.look() == [Event(run.id, "waiting", f"for 3 labels; give them with: repro label {run.id}")]
        assert followed.look() == [] and followed.labels_awaited == 3
        with PreferenceStore(run.path / "preferences.db") as store:
            for number in range(2):
                store.add_label(run.id, number, "tie", "anna", 1.0, 100)
        assert followed.look() == [] and followed.labels_awaited == 1
        with PreferenceStore(run.path / "preferences.db") as store:
            store.add_label(run.id, 2, "tie", "anna", 1.0, 100)
        assert followed.look() == [] and followed.labels_awaited == 0 and not followed.stalled

    @pytest.mark.parametrize(("when_unlabelled", "awaited"), [("wait", 3), ("continue", 0)])
    def test_later_labels_are_waited_for_where_the_run_does(self, repository, when_unlabelled, awaited):
        preferences = {"annotator": "person", "when_unlabelled": when_unlabelled}
        run = new_run(repository, config=CONFIG | {"training": {"total_steps": 2560}, "preferences": preferences})
        add_rows(run, 256)
        followed = FollowedRun(run.path)
        fill(run.path / "preferences.db", 3, run.id)
        assert [event.name for event in followed.look()] == ["waiting"] * bool(awaited)
        assert followed.labels_awaited == awaited

    def test_one_that_begins_again_waits_for_its_first_labels_again(self, repository):
        preferences = {"annotator": "person", "when_unlabelled": "continue"}
        run = new_run(repository, config=CONFIG | {"training": {"total_steps": 2560}, "preferences": preferences})
        fill(run.path / "preferences.db", 3, run.id)
        add_rows(run, 256, 512, 768)
        followed = FollowedRun(run.path)
        assert followed.look() == []
        os.truncate(run.path / "metrics.jsonl", 0)
        assert [event.name for event in followed.look()] == ["waiting"]

    def test_nobody_is_waited_for_where_an_oracle_answers(self, repository):
        preferences = {"annotator": "oracle", "when_unlabelled": "wait"}
        run = new_run(repository, config=CONFIG | {"training": {"total_steps": 2560}, "preferences": preferences})
        fill(run.path / "preferences.db", 3, run.id)
        assert FollowedRun(run.path).look() == []

    def test_one_that_waits_for_a_person_has_not_stalled(self, repository):
        preferences = {"annotator": "person", "when_unlabelled": "wait"}
        run = new_run(repository, config=CONFIG | {"training": {"total_steps": 2560}, "preferences": preferences})
        fill(run.path / "preferences.db", 3, run.id)
        add_rows(run, 256, 512, 768)
        run.update(started="2026-11-20T10:00:00+00:00")
        os.utime(run.path / "metrics.jsonl", (0, time.time() - 40))
        followed = FollowedRun(run.path)
        assert followed.look() == [Event(run.id, "waiting", f"for 3 labels; give them with: repro label {run.id}")]
        assert followed.look() == [] and followed.labels_awaited == 3
        with PreferenceStore(run.path / "preferences.db") as store:
            for number in range(3):
                store.add_label(run.id, number, "tie", "anna", 1.0, 100)
        assert followed.look() == [] and followed.labels_awaited == 0

    def test_the_time_a_resumed_run_lay_idle_is_no_silence(self, run):
        add_rows(run, 256, 512, 768)
        os.utime(run.path / "metrics.jsonl", (0, time.time() - 3600))
        run.update(started="2026-11-20T10:00:00+00:00", resumed=[ago(5)])
        followed = FollowedRun(run.path)
        assert followed.look() == [] and not followed.stalled
        run.update(resumed=[ago(40)])
        assert [event.name for event in followed.look()] == ["stalled"]

    @pytest.mark.parametrize(
        ("status", "result", "text"),
        [
            ("finished", "return 6", "return 6"),
            (
                "failed",
                "boom\x1b[0m\nat line 1",
                "failed at step 256 of 2,560: boom[0m at line 1; go on with: repro resume ",
            ),
            ("interrupted", None, "interrupted at step 256 of 2,560; go on with: repro resume "),
        ],
    )
    def test_the_end(self, run, status, result, text):
        followed = FollowedRun(run.path)
        assert followed.live
        add_rows(run, 256)
        finish_run(run, status, 0, result)
        end = run.id if "resume" in text else ""
        assert followed.look() == [Event(run.id, status, text + end)]
        assert followed.look() == [] and not followed.live

    def test_the_folder_is_deleted(self, run):
        followed = FollowedRun(run.path)
        (run.path / "run.json").unlink()
        (event,) = followed.look()
        assert event.name == "unreadable" and "run.json: missing or damaged" in event.text
        assert followed.look() == [] and not followed.live

    @pytest.mark.parametrize("params", [{}, {"training": {}}, {"training": {"total_steps": 0}}])
    def test_one_that_does_not_say_how_long_it_trains(self, run, params):
        followed = FollowedRun(run.path)
        run.update(params=params)
        with pytest.raises(UserError, match=r"total_steps is (None|0); this run cannot be followed"):
            FollowedRun(run.path)
        (event,) = followed.look()
        assert event.name == "unreadable" and followed.total_steps == 2560

    @pytest.mark.parametrize("line", [b"[1]", b'{"check": "kl_spike"}', b'{"check": 1}', b"\xff", b"[" * 100_000])
    def test_damaged_findings_are_named_once_and_the_run_is_followed_on(self, run, line):
        (run.path / "health.jsonl").write_bytes(json.dumps(FINDING).encode() + b"\n" + line + b"\n")
        followed = FollowedRun(run.path)
        (event,) = followed.look()
        assert event.name == "unhealthy" and "health.jsonl: cannot be read (" in event.text
        assert followed.live and followed.look() == [] and followed.findings == ["health.jsonl is damaged"]
        (run.path / "health.jsonl").write_text(json.dumps(FINDING) + "\n")
        assert [event.name for event in followed.look()] == ["unhealthy"]

    def test_queued_runs_count_while_somebody_starts_them(self, run):
        run.update(status="queued")
        assert FollowedRun(run.path).live
        run.update(process_start="long ago")
        assert not FollowedRun(run.path).live and FollowedRun(run.path).status == "crashed"


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
