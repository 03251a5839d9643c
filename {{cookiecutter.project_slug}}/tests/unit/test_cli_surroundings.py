"""Runs and what surrounds them: folders on another disk, the kernel's way to end a process, W&B."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from project import wait_until
from wandb_examples import entries, rows_of

from repro.tracking.metrics import read_metrics


def test_runs_may_lie_on_another_disk(project, tmp_path):
    elsewhere = tmp_path / "large disk"
    elsewhere.mkdir()
    (project.root / "runs").symlink_to(elsewhere)
    project.does("train", "--seed", "100", "--set", "training.total_steps=1024")
    run = project.only_run()
    assert run.record["status"] == "finished" and (project.root / "runs").is_symlink()
    assert {entry.name for entry in elsewhere.iterdir()} == {".snapshots", run.id}
    assert run.record["result"] in project.does("show", "latest")
    again = project.queue(101, "training.total_steps=1024")
    project.does("resume", again.id)
    assert (elsewhere / again.id / "checkpoints/agent.pt").is_file()


def test_a_folder_that_was_deleted_is_one_line(project, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f'rmdir "{gone}"; exec "{sys.executable}" -P -m repro.cli runs'
    done = subprocess.run(["sh", "-c", command], cwd=gone, env=project.env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the current folder was deleted; change to another (cd)\n"


def test_launch_says_by_its_exit_code_that_the_run_was_killed(project):
    process = project.start("launch", "--seed", "100", "--wait", "--set", "training.total_steps=200000")

    def run_is_under_way() -> bool:
        runs = project.runs()
        return bool(runs) and runs[0].record["status"] == "running" and runs[0].record["pid"] != process.pid

    wait_until(lambda: run_is_under_way() and (project.only_run().path / "metrics.jsonl").exists(), process)
    os.kill(project.only_run().record["pid"], signal.SIGKILL)
    out, error = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGKILL == 137, out + error
    assert "Traceback" not in out + error


def test_a_run_is_mirrored_row_for_row(project):
    project.env["WANDB_MODE"] = "offline"
    run = project.queue(100)
    out = project.does("resume", run.id)
    assert "warning" not in out
    (run,) = project.runs()
    assert run.record["wandb"] == {"mode": "offline", "id": run.id, "url": None}
    written = read_metrics(run.path / "metrics.jsonl")
    assert rows_of(entries(run.path)) == written and len(written) == 10
