"""A small project to run commands in, as a user would, and what of two runs must be equal."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from user_files import write_budget, write_checklist

import repro
from repro.cli import main
from repro.config import Config, load_config
from repro.runs import doing
from repro.tracking.archive import RunFolder
from repro.tracking.creation import create_run, keep_code
from repro.tracking.locks import hold_run
from repro.tracking.lookup import find_run
from repro.tracking.metrics import read_metrics
from repro.tracking.wandb import WandbSettings

SOURCE = Path(__file__).resolve().parent.parent  # the project that these tests belong to
VARYING = ("time/", "throughput/", "memory/")  # metrics that tell of the machine
DISABLED_WANDB = WandbSettings(None, "dot", "disabled")
PATIENCE = 240.0  # seconds for anything that is waited for: tests beside it may start twenty processes at once

# What makes the smallest preset smaller still; the rest is as it is there.
TINY = (
    "name=tiny",
    "env.frame_stack=2",
    "env.max_frames=200",
    "agent.rollout_steps=32",
    "agent.epochs=2",
    "agent.minibatches=2",
    "preferences.segment_steps=10",
    "preferences.total_labels=40",
    "preferences.initial_labels=16",
    "preferences.label_decay_steps=2000",
    "reward_model.members=2",
    "reward_model.hidden=16",
    "reward_model.batch_size=8",
    "reward_model.pretraining_steps=20",
    "reward_model.steps_per_rollout=2",
    "training.total_steps=3072",
    "training.threads=1",
    "training.precision=float32",
    "training.checkpoint_rollouts=3",
    "evaluation.episodes=4",
    "evaluation.video_rollouts=0",
    "seeds.pipeline=[100,101]",
)


def write_tiny_params(path: Path) -> None:
    """Parameters of a run of about a second."""
    config = load_config(SOURCE / "presets/moving-dot-small.yaml", TINY)
    path.write_text(json.dumps(config.model_dump(mode="json"), indent=1))  # JSON is YAML


class Project:
    """A folder with this project's code and tiny parameters. Commands run in it as they would in a terminal."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        skipped = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
        shutil.copytree(SOURCE / "src", root / "src", ignore=skipped)
        for name in ("pyproject.toml", "requirements.lock"):
            shutil.copy(SOURCE / name, root / name)
        write_budget(root)
        write_checklist(root)
        self.params = root / "params.yaml"
        write_tiny_params(self.params)
        foreign = ("GIT_", "WANDB_", "DVC_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
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

    def does(self, *arguments: str, cwd: Path | None = None) -> str:
        """As `ok`, but in this process, which has loaded PyTorch: for where the process is not the point."""
        code, out, error = in_this_process(self, *arguments, cwd=cwd)
        assert code == 0, out + error
        return out

    def refuses(self, *arguments: str, code: int = 2, cwd: Path | None = None) -> str:
        """As `refused`, but in this process."""
        found, out, error = in_this_process(self, *arguments, cwd=cwd)
        assert found == code, out + error
        assert error.startswith("error: ") and error.count("\n") == 1, error
        return error.removeprefix("error: ").rstrip("\n")

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
            keep_code(self.root),
            config=config.model_dump(mode="json"),
            name=config.name,
            seed=seed,
            command=["repro", "train"],
        )
        run.update(**{"status": "queued"} | fields)
        return run

    def runs(self) -> list[RunFolder]:
        """All runs, those that are being made included."""
        folders = sorted((self.root / "runs").glob("[!.]*")) if (self.root / "runs").exists() else []
        return [find_run(self.root, folder.name) for folder in folders]

    def only_run(self) -> RunFolder:
        (run,) = self.runs()
        return run


def in_this_process(project: Project, *arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
    """`repro ...` without a process of its own: exit code, stdout, stderr. What would become a run does it here."""
    out, error, locks = io.StringIO(), io.StringIO(), []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def become(_: str, command: list[str], environment: dict[str, str]) -> None:
        """In place of os.execve: this package stands for its copy in the snapshot."""
        assert command[:4] == [sys.executable, "-P", "-m", "repro.cli"]
        source = Path(environment["PYTHONPATH"].partition(os.pathsep)[0])
        patch.setattr(repro, "__file__", str(source / "repro/__init__.py"))
        patch.setattr(sys, "argv", ["repro", *command[4:]])
        main()

    with (
        pytest.MonkeyPatch.context() as patch,
        mock.patch.dict(os.environ, project.env, clear=True),
        open(os.devnull) as nothing,
        redirect_stdout(out),
        redirect_stderr(error),
        pytest.raises(SystemExit) as stop,
    ):
        patch.chdir(cwd or project.root)
        patch.setattr(sys, "argv", ["repro", *arguments])
        patch.setattr(sys, "stdin", nothing)
        patch.setattr(os, "execve", become)
        patch.setattr(doing, "hold_run", lambda path: locks.append(hold_run(path)))
        try:
            main()
        finally:
            for lock in locks:
                os.close(lock)
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return stop.value.code or 0, out.getvalue(), error.getvalue()


def here(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """`repro ...` without a process of its own, for what ends before a run is started: exit code, stdout, stderr."""
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(sys, "argv", ["repro", *arguments])
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stop:
        main()
    return (stop.value.code or 0, *capsys.readouterr())


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
    found: dict[str, torch.Tensor] = {}

    def collect(name: str, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, dict):
            for key, item in value.items():
                collect(f"{name}:{key}", item)

    for file in sorted((path / "checkpoints").glob("[!l]*.pt")):  # all but last.pt
        collect(file.name, torch.load(file, weights_only=True))
    return found


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
