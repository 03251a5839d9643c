"""No failure of W&B reaches the trainer: servers down, processes killed or hanging, folders that are gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from project import wait_until
from wandb_examples import (
    FAKE_KEY,
    MIRROR,
    OFFLINE,
    SERVICE,
    children,
    entries,
    files_with_key,
    log,
    process_below,
    rows_of,
    start,
)

import repro
from repro.tracking import wandb as mirror_module
from repro.tracking.wandb import WandbMirror, WandbSettings

pytestmark = pytest.mark.usefixtures("no_account", "processes_of_others")


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_server_that_is_down_falls_back_to_offline(run_dir, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
    monkeypatch.setattr(mirror_module, "INIT_SECONDS", 0.5)
    begin = time.monotonic()
    mirror = start(run_dir, WandbSettings("someone", "test", "online"))
    log(run_dir, *({"env_step": step} for step in range(100)))
    assert time.monotonic() - begin < 0.5
    mirror.finish(0)
    assert time.monotonic() - begin < mirror_module.FINISH_SECONDS
    assert mirror.record()["mode"] == "offline"
    assert rows_of(entries(run_dir)) == [{"env_step": step} for step in range(100)]
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and "recorded offline" in shown and f"later: repro sync {run_dir.name}" in shown
    assert files_with_key(run_dir) == []


def test_a_short_run_does_not_wait_for_the_server(run_dir, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
    monkeypatch.setattr(mirror_module, "INIT_SECONDS", 0.5)
    monkeypatch.setattr(mirror_module, "FINISH_SECONDS", 0.3)
    mirror = start(run_dir, WandbSettings("someone", "test", "online"))
    log(run_dir, {"env_step": 7})
    begin = time.monotonic()
    mirror.finish(0)
    assert time.monotonic() - begin < 0.6
    wait_until(lambda: list(map(is_gone, children(os.getpid()))).count(False) == 0)  # it goes on by itself, and ends
    assert rows_of(entries(run_dir)) == [{"env_step": 7}]


@pytest.mark.parametrize("victim", [MIRROR, SERVICE])
def test_training_goes_on_when_w_and_b_is_killed(run_dir, capsys, victim):
    mirror = start(run_dir)
    wait_until(lambda: list((run_dir / "wandb").glob("offline-run-*/*.wandb")))
    os.kill(process_below(os.getpid(), victim), signal.SIGKILL)
    for step in range(300):
        log(run_dir, {"env_step": step})
    wait_until(lambda: mirror.record()["mode"] == "failed")
    assert "the run goes on" in mirror.news() and mirror.news() is None  # one warning, not one a row
    begin = time.monotonic()
    mirror.finish(0)
    assert time.monotonic() - begin < 1
    assert mirror.record()["mode"] == "failed" and capsys.readouterr().err == ""


def test_a_mirror_that_hangs_costs_no_time(run_dir, monkeypatch):
    monkeypatch.setattr(mirror_module, "FINISH_SECONDS", 0.3)
    mirror = start(run_dir)
    wait_until(lambda: process_below(os.getpid(), MIRROR))
    process = process_below(os.getpid(), MIRROR)
    os.kill(process, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        for _ in range(1000):
            assert mirror.news() is None
        assert time.monotonic() - begin < 0.5
        mirror.finish(0)
        assert time.monotonic() - begin < 1.5
        assert mirror.record()["mode"] == "offline"
    finally:
        os.kill(process, signal.SIGKILL)


def test_a_killed_trainer_leaves_its_rows_and_no_process(run_dir):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from wandb_examples import log, start\n"
        "mirror = start(Path(sys.argv[1]))\n"
        "log(Path(sys.argv[1]), *({'env_step': step} for step in range(100)))\n"
        "print('logged', flush=True); time.sleep(60)\n"
    )
    paths = [Path(repro.__file__).parents[1], Path(__file__).parent]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    process = subprocess.Popen([sys.executable, "-c", code, run_dir], env=environment, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"logged\n"
    below = children(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: all(map(is_gone, below)))
    everything = entries(run_dir)
    assert rows_of(everything) == [{"env_step": step} for step in range(100)]
    assert [entry["exit"]["exit_code"] for entry in everything if entry["type"] == "exit"] == [255]


def test_a_run_folder_that_cannot_be_written_is_one_warning(tmp_path, capsys):
    mirror = WandbMirror.start(tmp_path / "gone", OFFLINE)
    mirror.finish(0)
    assert mirror.record()["mode"] == "failed"
    shown = capsys.readouterr().err
    assert "no W&B mirror" in shown and shown.count("\n") == 1
