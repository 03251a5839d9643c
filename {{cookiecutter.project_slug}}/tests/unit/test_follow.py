"""A run that is followed from its folder: its rows, its findings, whether it stands still or waits for a person."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime

import pytest
from archive_examples import CONFIG, FINDING, new_run
from labeller_examples import fill

from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.tracking.archive import finish_run
from repro.tracking.findings import add_finding
from repro.views import follow
from repro.views.follow import Event, FollowedRun


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


def annotated(repository, when_unlabelled, annotator="person"):
    """A run that this process does, with rewards that are learned from an annotator's answers."""
    preferences = {"annotator": annotator, "when_unlabelled": when_unlabelled}
    return new_run(repository, config=CONFIG | {"training": {"total_steps": 2560}, "preferences": preferences})


def answer(run, *numbers):
    """Answers to the comparisons of these numbers."""
    with PreferenceStore(run.path / "preferences.db") as store:
        for number in numbers:
            store.add_label(run.id, number, "tie", "anna", 1.0, 100)


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
        run = annotated(repository, when_unlabelled)
        followed = FollowedRun(run.path)
        assert followed.look() == [] and followed.labels_awaited == 0  # nothing is asked yet
        fill(run.path / "preferences.db", 3, run.id)
        assert followed.look() == [Event(run.id, "waiting", f"for 3 labels; give them with: repro label {run.id}")]
        assert followed.look() == [] and followed.labels_awaited == 3
        answer(run, 0, 1)
        assert followed.look() == [] and followed.labels_awaited == 1
        answer(run, 2)
        assert followed.look() == [] and followed.labels_awaited == 0 and not followed.stalled

    @pytest.mark.parametrize(("when_unlabelled", "awaited"), [("wait", 3), ("continue", 0)])
    def test_later_labels_are_waited_for_where_the_run_does(self, repository, when_unlabelled, awaited):
        run = annotated(repository, when_unlabelled)
        add_rows(run, 256)
        followed = FollowedRun(run.path)
        fill(run.path / "preferences.db", 3, run.id)
        assert [event.name for event in followed.look()] == ["waiting"] * bool(awaited)
        assert followed.labels_awaited == awaited

    def test_one_that_begins_again_waits_for_its_first_labels_again(self, repository):
        run = annotated(repository, "continue")
        fill(run.path / "preferences.db", 3, run.id)
        add_rows(run, 256, 512, 768)
        followed = FollowedRun(run.path)
        assert followed.look() == []
        os.truncate(run.path / "metrics.jsonl", 0)
        assert [event.name for event in followed.look()] == ["waiting"]

    def test_nobody_is_waited_for_where_an_oracle_answers(self, repository):
        run = annotated(repository, "wait", annotator="oracle")
        fill(run.path / "preferences.db", 3, run.id)
        assert FollowedRun(run.path).look() == []

    def test_one_that_waits_for_a_person_has_not_stalled(self, repository):
        run = annotated(repository, "wait")
        fill(run.path / "preferences.db", 3, run.id)
        add_rows(run, 256, 512, 768)
        run.update(started="2026-11-20T10:00:00+00:00")
        os.utime(run.path / "metrics.jsonl", (0, time.time() - 40))
        followed = FollowedRun(run.path)
        assert followed.look() == [Event(run.id, "waiting", f"for 3 labels; give them with: repro label {run.id}")]
        assert followed.look() == [] and followed.labels_awaited == 3
        answer(run, 0, 1, 2)
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
