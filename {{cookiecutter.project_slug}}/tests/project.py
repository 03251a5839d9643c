"""A small project to run commands in, as a user would, and what of two runs must be equal."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from repro.config import Config, load_config
from repro.tracking.archive import RunFolder, create_run, load_run
from repro.tracking.metrics import read_metrics

SOURCE = Path(__file__).resolve().parent.parent  # the project that these tests belong to
VARYING = ("time/", "throughput/", "memory/")  # metrics that tell of the machine
PATIENCE = 60.0  # seconds for anything that is waited for

TINY = """\
name: tiny
env: {id: moving-dot, actions: discrete, num_envs: 8, image_size: 42, frame_stack: 2, frame_skip: 4, max_frames: 200}
agent:
  algorithm: ppo
  learning_rate: 5.0e-4
  anneal_learning_rate: true
  rollout_steps: 32
  epochs: 2
  minibatches: 2
  discount: 0.9
  gae_lambda: 0.95
  clip_range: 0.2
  value_coefficient: 0.5
  entropy_coefficient: 0.02
  max_gradient_norm: 0.5
reward: {source: learned}
preferences:
  annotator: oracle
  segment_steps: 10
  total_labels: 40
  initial_labels: 16
  initial_action_repeat: 0.8
  label_decay_steps: 2000
  queries: uniform
reward_model:
  members: 2
  keypoints: 4
  hidden: 16
  learning_rate: 2.0e-3
  weight_decay: 0.01
  batch_size: 8
  pretraining_steps: 20
  steps_per_rollout: 2
  validation_fraction: 0.2
  answer_noise: 0.1
  reward_std: 1.0
training: {total_steps: 3072, device: cpu, threads: 1, precision: float32, checkpoint_rollouts: 3}
evaluation: {episodes: 4, seed: 1000, actions: sampled, success_score: 0.85}
seeds: {tuning: [100, 101, 102], final: [0, 1], pipeline: [100, 101]}
gate: {after_minutes: 30}
"""


class Project:
    """A folder with this project's code and tiny parameters. Commands run in it as they would in a terminal."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        skipped = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
        shutil.copytree(SOURCE / "src", root / "src", ignore=skipped)
        shutil.copytree(SOURCE / "checklists", root / "checklists")
        for name in ("pyproject.toml", "requirements.lock"):
            shutil.copy(SOURCE / name, root / name)
        self.params = root / "params.yaml"
        self.params.write_text(TINY)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "REPRO_", "WANDB_"))}
        self.env = kept | {
            "PYTHONPATH": str(root / "src"),
            "WANDB_MODE": "disabled",
            "OMP_NUM_THREADS": "1",
            "GIT_CEILING_DIRECTORIES": str(root.parent),
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }

    def config(self, *overrides: str) -> Config:
        return load_config(self.params, overrides)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start `repro ...`; its output is captured unless `options` say otherwise."""
        defaults = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        defaults |= {"cwd": self.root, "env": self.env}
        return subprocess.Popen([sys.executable, "-P", "-m", "repro.cli", *arguments], **(defaults | options))

    def repro(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `repro ...` to its end."""
        with self.start(*arguments, **options) as process:
            try:
                out, err = process.communicate(timeout=2 * PATIENCE)
            finally:
                process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def ok(self, *arguments: str, **options: Any) -> str:
        """Run `repro ...`, which must succeed; returns what it printed."""
        done = self.repro(*arguments, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: str, code: int = 2, **options: Any) -> str:
        """Run `repro ...`, which must fail with one line on stderr; returns that line."""
        done = self.repro(*arguments, **options)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr.removeprefix("error: ").rstrip("\n")

    def queue(self, seed: int = 100, *overrides: str, **fields: Any) -> RunFolder:
        """A run that is ready to be started with `repro resume`, without the seconds that estimating it takes."""
        config = self.config(*overrides)
        run = create_run(
            self.root,
            kind="train",
            config=config.model_dump(mode="json"),
            name=config.name,
            seed=seed,
            command=["repro", "train"],
        )
        run.update(status="queued", **fields)
        return run

    def runs(self) -> list[RunFolder]:
        """All runs, those that are being made included."""
        folders = sorted((self.root / "runs").glob("[!.]*")) if (self.root / "runs").exists() else []
        return [load_run(self.root, folder.name) for folder in folders]

    def only_run(self) -> RunFolder:
        (run,) = self.runs()
        return run


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for something to become true; fails if the process ends before."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.01)


def rows(run: RunFolder | Path) -> list[dict[str, Any]]:
    """The metrics of a run, as far as they say nothing of the machine. NaN is made equal to itself."""
    path = run.path if isinstance(run, RunFolder) else run
    return [
        {name: repr(value) for name, value in row.items() if not name.startswith(VARYING)}
        for row in read_metrics(path / "metrics.jsonl")
    ]


def line_count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def labels(run: RunFolder | Path) -> list[tuple]:
    """All labels of a run in the order they were given, with their queries."""
    path = run.path if isinstance(run, RunFolder) else run
    with sqlite3.connect(path / "preferences.db") as connection:
        return connection.execute(
            "SELECT id, number, left_hash, right_hash, strategy, queries.env_step, labels.env_step, answer, annotator "
            "FROM labels JOIN queries USING (run, number) ORDER BY id"
        ).fetchall()


def tensors(run: RunFolder | Path) -> dict[str, torch.Tensor]:
    """All final tensors of a run."""
    path = run.path if isinstance(run, RunFolder) else run
    files = sorted((path / "checkpoints").glob("[!l]*.pt"))  # all but last.pt
    return {
        f"{file.name}:{name}": tensor
        for file in files
        for name, tensor in torch.load(file, weights_only=True).items()
        if isinstance(tensor, torch.Tensor)
    }


def assert_equal_runs(one: RunFolder | Path, other: RunFolder | Path) -> None:
    """The two went the same way, bit for bit."""
    assert rows(one) == rows(other)
    assert labels(one) == labels(other)
    first, second = tensors(one), tensors(other)
    assert first.keys() == second.keys() and any(name.startswith("agent.pt:") for name in first)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def kill(process: subprocess.Popen[str]) -> None:
    """End it without a warning, as a crash or the kernel would."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
