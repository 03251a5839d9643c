"""Every metric that is written is in docs/metrics.md, and what is there is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from project import DISABLED_WANDB, SOURCE, write_tiny_params

from repro.config import load_config
from repro.session.run import train_run
from repro.tracking.archive import RunFolder
from repro.tracking.metrics import read_metrics

TABLE = (SOURCE / "docs/metrics.md").read_text()
DOCUMENTED = {name for row in re.findall(r"^\| (`.*?) \|", TABLE, re.MULTILINE) for name in re.findall(r"`(.*?)`", row)}
ROOMS = ("agents", "experience", "asking", "training", "session", "preferences")
STATISTICS = ("mean", "std", "min", "max")
THEIRS = "train/"  # Stable-Baselines3's names, which are translated


def names_in_code() -> set[str]:
    files = [file for room in ROOMS for file in (SOURCE / "src/repro" / room).glob("*.py")]
    found = {name for file in files for name in re.findall(r'"([a-z_]+/[a-z_]+[a-z])"', file.read_text())}
    return {name for name in found if not name.startswith(THEIRS)}


def test_names_in_the_code_are_documented():
    assert len(names_in_code()) > 25 and names_in_code() <= DOCUMENTED


@pytest.mark.parametrize("source", ["learned", "environment"])
def test_what_a_run_writes_is_documented(tmp_path: Path, source: str):
    write_tiny_params(tmp_path / "params.yaml")
    overrides = (f"reward.source={source}", "training.total_steps=1792", "evaluation.video_rollouts=2")
    train_run(
        RunFolder(tmp_path, {"id": "run", "seed": 5}),
        load_config(tmp_path / "params.yaml", overrides),
        DISABLED_WANDB,
        None,
    )
    rows = read_metrics(tmp_path / "metrics.jsonl")
    written = {name for row in rows for name in row}
    assert written <= DOCUMENTED
    assert {"return/max", "episode/length_min", "value/std", "learning_rate", "memory/rss_mb"} <= written
    parts = ("env", "policy", "reward_model", "update", "logging")
    assert {f"time/{part}" for part in parts} <= written
    assert sum(rows[1][f"time/{part}"] for part in parts) <= 1.05 * (rows[1]["time/wall"] - rows[0]["time/wall"])


def test_parts_that_are_timed_are_documented_and_nothing_else_is():
    code = "".join(file.read_text() for room in ROOMS for file in (SOURCE / "src/repro" / room).glob("*.py"))
    timed = {f"time/{part}" for part in re.findall(r'(?:_timed\(|timings\[)"(\w+)"', code)} | {
        "time/policy",
        "time/env",
    }
    described = {f"{prefix}{what}" for prefix in re.findall(r'describe\("(.*?)"', code) for what in STATISTICS}
    assert names_in_code() | described | timed | {"env_step", "frames", "learning_rate"} == DOCUMENTED
