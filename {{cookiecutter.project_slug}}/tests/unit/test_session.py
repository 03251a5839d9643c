"""A run in its folder: what it leaves there, and how it says what is wrong."""

from __future__ import annotations

import io
import math
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from project import DISABLED_WANDB, labels, line_count, write_tiny_params
from rich.console import Console

from repro.asking.learning import PreferenceLearning
from repro.checkpoint import save_checkpoint
from repro.config import load_config
from repro.health import history
from repro.health.check import Finding
from repro.health.history import History
from repro.health.subject import Subject
from repro.preferences.schedule import labels_due
from repro.preflight.estimate import estimate_minutes
from repro.reading import UserError
from repro.session import progress
from repro.session import run as session
from repro.session.progress import Progress
from repro.session.run import train_run
from repro.tracking.archive import RunFolder
from repro.tracking.findings import read_findings
from repro.tracking.metrics import read_metrics


def train(folder: Path, *overrides: str) -> dict:
    """A run in `folder`."""
    folder.mkdir(exist_ok=True)
    write_tiny_params(folder / "params.yaml")
    config = load_config(folder / "params.yaml", overrides)
    return train_run(RunFolder(folder, {"id": folder.name, "seed": 5}), config, DISABLED_WANDB, None)


def test_rows_count_every_step_and_label(tmp_path: Path) -> None:
    latest = train(tmp_path / "run")
    preferences = load_config(tmp_path / "run/params.yaml").preferences
    rows = read_metrics(tmp_path / "run/metrics.jsonl")
    assert [row["env_step"] for row in rows] == list(range(768, 3072 + 1, 256))  # 512 were for the initial labels
    assert all(row["frames"] == 4 * row["env_step"] for row in rows)
    counts = [row["preferences/labels"] for row in rows]
    online = range(256, 2560 + 1, 256)  # agent steps since the initial labels
    assert counts == [labels_due(preferences, step, 2560) for step in online] and 16 < counts[0] < counts[-1] == 40
    assert {"left", "right"} < {label[-2] for label in labels(tmp_path / "run")}
    walls = [row["time/wall"] for row in rows]
    assert walls == sorted(walls) and all("time/logging" in row for row in rows[1:])
    assert latest["env_step"] == 3072 and latest["policy/loss"] == rows[-1]["policy/loss"]
    ended = [row["return/mean"] for row in rows if "return/mean" in row]
    assert len(ended) < len(rows) and latest["return/mean"] == ended[-1]
    assert all(row["learning_rate"] > following["learning_rate"] > 0 for row, following in pairwise(rows))


def test_true_rewards_need_no_preferences(tmp_path: Path) -> None:
    latest = train(tmp_path / "run", "reward.source=environment", "training.total_steps=512")
    assert not labels(tmp_path / "run") and latest["reward/correlation"] == pytest.approx(1)
    assert not [name for name in latest if name.startswith(("preferences/", "reward_model/"))]
    files = {file.name for file in (tmp_path / "run/checkpoints").iterdir()}
    assert files == {"agent.pt", "last.pt"}


def test_no_steps_left_to_train_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before a person has labelled anything, or the reward model is fitted."""
    monkeypatch.setattr(PreferenceLearning, "start", None)
    with pytest.raises(UserError, match=r"training\.total_steps \(512\) leaves nothing .* took 512 steps; raise it"):
        train(tmp_path / "run", "training.total_steps=512", "preferences.annotator=person")
    assert line_count(tmp_path / "run/metrics.jsonl") == 0


def test_a_run_that_diverges_stops_before_it_is_saved(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"training has diverged: step 768: non_finite: policy/loss is nan.* Try: a sm"):
        train(tmp_path / "run", "agent.learning_rate=1.0e+30", "training.checkpoint_rollouts=1")
    (row,) = read_metrics(tmp_path / "run/metrics.jsonl")
    assert math.isnan(row["policy/loss"])
    assert not list((tmp_path / "run/checkpoints").iterdir())


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_an_agent_that_diverged_with_its_last_step_does_not_act(tmp_path: Path, actions: str) -> None:
    """Nothing of that step stands in the metrics yet; an estimate before launch may meet it too."""
    once = ("agent.epochs=1", "agent.minibatches=1", "agent.learning_rate=1.0e+30", f"env.actions={actions}")
    with pytest.raises(UserError, match=r"training has diverged: the outputs .* \(agent.learning_rate is 1e\+30\)"):
        train(tmp_path / "run", *once)
    (row,) = read_metrics(tmp_path / "run/metrics.jsonl")
    assert math.isfinite(row["policy/loss"])
    with pytest.raises(UserError, match="training has diverged"):
        estimate_minutes(load_config(tmp_path / "run/params.yaml", once), 5)


def test_live_checks_look_back_no_farther_than_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a long run would spend its time on looking back; what is returned is of all rows."""
    lengths = []
    monkeypatch.setattr(history, "RECENT_ROWS", 4)
    monkeypatch.setattr(session, "find_problems", lambda looked_at, _: lengths.append(len(looked_at.rows)) or [])
    latest = train(tmp_path / "run")
    assert lengths == [1, 2, 3] + 7 * [4]
    rows = read_metrics(tmp_path / "run/metrics.jsonl")
    assert latest.keys() == set().union(*rows)


def test_a_video_that_cannot_be_made_does_not_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise UserError("env.id: cannot be drawn here")

    monkeypatch.setattr(session, "film_episode", broken)
    latest = train(
        tmp_path / "run", "reward.source=environment", "training.total_steps=1024", "evaluation.video_rollouts=1"
    )
    assert latest["env_step"] == 1024
    assert capsys.readouterr().out.count("note: no more videos of episodes: env.id: cannot be drawn here") == 1


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_checkpoint_of_something_else(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "run/checkpoints/last.pt"
    path.parent.mkdir(parents=True)
    if content is None:
        save_checkpoint(path, {"weights": torch.zeros(2)})
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"checkpoints/last\.pt: not a .*start the run again"):
        train(tmp_path / "run")


def test_a_finding_is_written_down_and_told_once_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(looked_at: History, subject: Subject) -> list[Finding]:
        step = looked_at.env_step
        if step == stop:
            raise KeyboardInterrupt
        return [Finding("flat | é", step, f"seen at {step}", "Bad.", "nothing")] if step >= 1280 else []

    monkeypatch.setattr(session, "find_problems", find)
    stop = 1536
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run")
    stop = None
    train(tmp_path / "run")  # goes on
    assert read_findings(tmp_path / "run") == [
        {
            "check": "flat | é",
            "env_step": 1280,
            "seen": "seen at 1280",
            "meaning": "Bad.",
            "remedy": "nothing",
            "severity": "warning",
        }
    ]
    assert capsys.readouterr().out.count("warning: step 1,280: flat | é: seen at 1280. Bad. Try: nothing.") == 1


def test_a_finding_of_rows_that_are_taken_back_goes_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would stand beside rows that do not show it, and silence its check for the rest of the run."""

    def find(looked_at: History, subject: Subject) -> list[Finding]:
        step = looked_at.env_step
        if step == 1792:
            raise KeyboardInterrupt
        return [Finding(f"at {step}", step, "", "", "")] if step >= 1280 else []

    monkeypatch.setattr(session, "find_problems", find)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run")
    assert [finding["env_step"] for finding in read_findings(tmp_path / "run")] == [1280, 1536]
    monkeypatch.setattr(session, "find_problems", lambda looked_at, _: [])
    train(tmp_path / "run")  # from the checkpoint at 1280 on
    assert [finding["env_step"] for finding in read_findings(tmp_path / "run")] == [1280]


def test_damaged_findings_are_named(tmp_path: Path) -> None:
    assert read_findings(tmp_path) == []
    (tmp_path / "health.jsonl").write_text("{")
    with pytest.raises(UserError, match=r"health\.jsonl: cannot be read .*delete it") as caught:
        read_findings(tmp_path)
    assert "\n" not in str(caught.value)


def test_progress_without_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line now and then, and one at the end; what is not in a row stays as it was."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0)
    with Progress(total=4000, done=1000) as bar:
        bar.update({"env_step": 2000, "return/mean": 12.345})
        bar.update({"env_step": 3000, "policy/entropy": 1.5})
        bar.note("warning: of something")
        bar.update({"env_step": 4096})
    first, second, third, note, last = capsys.readouterr().out.splitlines()
    assert first == "training: 1,000 of 4,000 steps"
    assert second.startswith("2,000 of 4,000 steps · ") and second.endswith(" s left · return 12.3")
    assert third.endswith(" s left · return 12.3 · entropy 1.50") and note == "warning: of something"
    assert last.startswith("4,096 of 4,000 steps, the last rollout being whole · ")
    assert last.endswith(" · 0 s left · return 12.3 · entropy 1.50")


def test_progress_of_a_short_run_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(total=400, done=0) as bar:
        for step in range(4, 401, 4):
            bar.update({"env_step": step})
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_bar_cuts_no_entry_in_two_and_says_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = ["score 0.67", "return 340.5", "entropy 0.07"]
    for width, shown in ((100, " · ".join(entries)), (37, "score 0.67 · return 340.5"), (9, "")):
        console = Console(width=width, file=io.StringIO())
        console.print(progress._WholeEntries(entries))
        assert console.file.getvalue().rstrip("\n") == shown

    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with Progress(total=100_000, done=0) as bar:
        bar.update({"env_step": 50_048, "return/score": 0.67, "return/mean": 340.5, "policy/entropy": 0.07})
        with bar.doing("filming an episode"):
            pass
    assert "filming an episode" in terminal.getvalue()
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue()).splitlines()[-1].rpartition("\r")[2]
    assert "50,048/100,000" in last and re.search(r"score 0.67 · return 340.5\s*$", last) and len(last) <= 80
