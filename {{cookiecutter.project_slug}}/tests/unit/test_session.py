"""A run in its folder: what it leaves there, and how it says what is wrong."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from project import labels, line_count, write_tiny_params

from repro.config import UserError, load_config
from repro.tracking.archive import RunFolder
from repro.tracking.metrics import read_metrics
from repro.tracking.wandb import WandbSettings
from repro.training import progress
from repro.training.checkpoint import save_checkpoint
from repro.training.progress import Progress
from repro.training.session import train_run

DISABLED = WandbSettings(None, "dot", "disabled")


def train(folder: Path, *overrides: str) -> dict:
    """A run in `folder`."""
    folder.mkdir(exist_ok=True)
    write_tiny_params(folder / "params.yaml")
    config = load_config(folder / "params.yaml", overrides)
    return train_run(RunFolder(folder, {"id": folder.name, "seed": 5}), config, DISABLED, None)


def test_rows_count_every_step_and_label(tmp_path: Path) -> None:
    latest = train(tmp_path / "run")
    rows = read_metrics(tmp_path / "run/metrics.jsonl")
    assert [row["env_step"] for row in rows] == list(range(768, 3072 + 1, 256))  # 512 were for the initial labels
    assert all(row["frames"] == 4 * row["env_step"] for row in rows)
    counts = [row["preferences/labels"] for row in rows]
    assert counts == sorted(counts) and 16 < counts[0] < counts[-1] == 40
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


def test_no_steps_left_to_train_with(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"training\.total_steps \(512\) leaves nothing .* took 512 steps; raise it"):
        train(tmp_path / "run", "training.total_steps=512")
    assert line_count(tmp_path / "run/metrics.jsonl") == 0


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
    assert second.lstrip().startswith("2,000 of 4,000 steps · ") and second.endswith(" s left · return 12.3")
    assert third.endswith(" s left · return 12.3 · entropy 1.50") and note == "warning: of something"
    assert last.lstrip().startswith("4,000 of 4,000 steps · ")
    assert last.endswith(" · 0 s left · return 12.3 · entropy 1.50")


def test_progress_of_a_short_run_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(total=400, done=0) as bar:
        for step in range(4, 401, 4):
            bar.update({"env_step": step})
    assert len(capsys.readouterr().out.splitlines()) == 2
