"""No failure of W&B reaches the trainer: servers down, processes killed or hanging, folders that are gone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from wandb_examples import FAKE_KEY, OFFLINE, children, entries, record, rows_of

import repro
from repro.tracking import wandb as mirror_module
from repro.tracking.wandb import WandbMirror, WandbSettings

pytestmark = pytest.mark.usefixtures("no_account", "processes_of_others")


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait_until(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def test_a_server_that_is_down_falls_back_to_offline(run_dir, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
    monkeypatch.setattr(mirror_module, "INIT_SECONDS", 0.5)
    start = time.monotonic()
    mirror = WandbMirror.start(run_dir, record(), WandbSettings("someone", "test", "online"))
    for step in range(100):
        mirror.log({"env_step": step})
    assert time.monotonic() - start < 0.5
    mirror.finish(0)
    assert time.monotonic() - start < mirror_module.FINISH_SECONDS
    assert mirror.mode == "offline"
    assert rows_of(entries(run_dir)) == [{"env_step": step} for step in range(100)]
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and "recorded offline" in shown and "wandb sync" in shown
    kept = [path for path in run_dir.rglob("*") if path.is_file() and FAKE_KEY.encode() in path.read_bytes()]
    assert kept == []


def test_a_short_run_does_not_wait_for_the_server(run_dir, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
    monkeypatch.setattr(mirror_module, "INIT_SECONDS", 0.5)
    monkeypatch.setattr(mirror_module, "FINISH_SECONDS", 0.3)
    mirror = WandbMirror.start(run_dir, record(), WandbSettings("someone", "test", "online"))
    mirror.log({"env_step": 7})
    start = time.monotonic()
    mirror.finish(0)
    assert time.monotonic() - start < 0.6
    wait_until(lambda: children(os.getpid()) == [])  # it goes on by itself, and ends
    assert rows_of(entries(run_dir)) == [{"env_step": 7}]


@pytest.mark.parametrize("victim", ["the mirror", "the service of W&B"])
def test_training_goes_on_when_w_and_b_is_killed(run_dir, capsys, victim):
    mirror = WandbMirror.start(run_dir, record(), OFFLINE)
    mirror.log({"env_step": 0})
    wait_until(lambda: len(children(os.getpid())) >= 2 and list((run_dir / "wandb").glob("offline-run-*/*.wandb")))
    os.kill(children(os.getpid())[0 if victim == "the mirror" else 1], signal.SIGKILL)
    for step in range(1, 300):
        mirror.log({"env_step": step})
    wait_until(lambda: mirror.mode == "failed")
    start = time.monotonic()
    mirror.log({"env_step": 300})
    mirror.finish(0)
    assert time.monotonic() - start < 1
    assert mirror.dropped > 0
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 2 and "the run goes on" in warnings[0] and "W&B lacks" in warnings[1]


def test_a_mirror_that_hangs_costs_rows_not_time(run_dir, monkeypatch, capsys):
    monkeypatch.setattr(mirror_module, "QUEUE_ROWS", 50)
    monkeypatch.setattr(mirror_module, "FINISH_SECONDS", 0.3)
    mirror = WandbMirror.start(run_dir, record(), OFFLINE)
    (process,) = children(os.getpid())[:1]
    os.kill(process, signal.SIGSTOP)
    row = {"env_step": 1} | {f"metric_{index}": 0.5 for index in range(200)}
    try:
        start = time.monotonic()
        for _ in range(500):
            mirror.log(row)
        assert time.monotonic() - start < 1
        mirror.finish(0)
        assert time.monotonic() - start < 2
        assert mirror.dropped > 300 and "W&B lacks" in capsys.readouterr().err
    finally:
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: mirror.mode == "failed")


def test_a_killed_trainer_leaves_its_rows_and_no_process(run_dir):
    code = (
        "import sys, json, time; from pathlib import Path\n"
        "from repro.tracking.wandb import WandbMirror, WandbSettings\n"
        "settings = WandbSettings(None, 'test', 'offline')\n"
        "mirror = WandbMirror.start(Path(sys.argv[1]), json.loads(sys.argv[2]), settings)\n"
        "for step in range(100): mirror.log({'env_step': step})\n"
        "while mirror._rows.qsize(): time.sleep(0.01)\n"
        "time.sleep(0.05); print('logged', flush=True); time.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(repro.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", code, run_dir, json.dumps(record())], env=environment, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"logged\n"
    below = children(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: all(map(is_gone, below)))
    everything = entries(run_dir)
    assert rows_of(everything) == [{"env_step": step} for step in range(100)]
    assert [entry["exit"]["exit_code"] for entry in everything if entry["type"] == "exit"] == [255]


def test_a_run_folder_that_cannot_be_written_is_one_warning(tmp_path, capsys):
    mirror = WandbMirror.start(tmp_path / "gone", record(), OFFLINE)
    mirror.log({"env_step": 1})
    mirror.finish(0)
    assert mirror.mode == "failed" and "no W&B mirror" in capsys.readouterr().err


def test_rows_that_are_no_json_do_not_fail(run_dir):
    mirror = WandbMirror("id", "offline")
    mirror.log({"env_step": object()})
    assert mirror.dropped == 1
