"""The W&B mirror, with the real wandb: rows arrive, and no failure of W&B reaches the trainer."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

import repro
from repro.config import UserError
from repro.tracking import wandb as mirror_module
from repro.tracking.wandb import WandbMirror, WandbSettings, read_wandb_settings

OFFLINE = WandbSettings(entity=None, project="test", mode="offline")
FAKE_KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    """Neither this user's login nor their settings."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "no-config"))


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "2026-11-21_dot_7f3a"
    folder.mkdir()
    return folder


def record(**fields):
    return {
        "id": "2026-11-21_dot_7f3a",
        "name": "dot",
        "kind": "train",
        "seed": 100,
        "commit": None,
        "dirty": True,
        "code_hash": "948ab30feb101334",
        "cell": None,
        "params": {"agent": {"learning_rate": 0.5}},
        "pid": os.getpid(),
        "question": "Does it é?",
    } | fields


def entries(run_dir):
    """All records of the offline run, as the official reader shows them."""
    (folder,) = (run_dir / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    environment = os.environ | {"WANDB_ERROR_REPORTING": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows_of(everything):
    items = [entry["history"]["item"] for entry in everything if entry["type"] == "history"]
    return [{name: value for name, value in item.items() if not name.startswith("_")} for item in items]


OTHERS = set()  # processes that tests of other files left running, such as multiprocessing's server


@pytest.fixture(autouse=True)
def processes_of_others():
    OTHERS.clear()
    OTHERS.update(children(os.getpid()))


def children(pid):
    """Processes below `pid`, parents first."""
    below = [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return [child for child in below if child not in OTHERS]


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


class Server(BaseHTTPRequestHandler):
    """As much of the W&B service as a run needs."""

    def log_message(self, *arguments):
        pass

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/graphql":
            self.server.streams.append(request)
            self.answer({})
            return
        project = {"name": "test", "entity": {"name": "lab"}}
        files = request["variables"].get("files", [])
        places = [{"name": name, "uploadUrl": f"http://127.0.0.1:{self.server.server_port}/{name}"} for name in files]
        bucket = {"id": "b", "name": request["variables"].get("name"), "config": "{}", "project": project}
        data = {
            "UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}},
            "RunResumeStatus": {"model": None},
            "CreateRunFiles": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": places}},
        }
        self.answer({"data": data.get(request.get("operationName"), {})})

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.streams = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
    yield server
    server.shutdown()
    server.server_close()


def wait_until(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def test_offline_rows_can_be_read_back(run_dir):
    mirror = WandbMirror.start(run_dir, record(), OFFLINE)
    rows = [{"env_step": step * 512, "return/mean": step / 3} for step in range(50)]
    durations = []
    for row in rows:
        start = time.perf_counter()
        mirror.log(row)
        durations.append(time.perf_counter() - start)
    mirror.log({"env_step": 99_999, "return/mean": float("nan")})
    mirror.finish(0)
    assert mirror.record() == {"mode": "offline", "id": "2026-11-21_dot_7f3a", "url": None}
    assert mirror.dropped == 0 and sorted(durations)[25] < 1e-4
    everything = entries(run_dir)
    assert rows_of(everything)[:50] == rows and len(rows_of(everything)) == 51
    started = json.dumps(next(entry for entry in everything if entry["type"] == "run"))
    assert all(text in started for text in ("learning_rate", "948ab30feb101334", '"dot"'))
    assert [entry["exit"]["exit_code"] for entry in everything if entry["type"] == "exit"] == [0]
    assert any(entry["type"] == "metric" and "env_step" in json.dumps(entry) for entry in everything)
    assert "wandb" not in sys.modules  # it ran elsewhere


def test_a_resumed_run_keeps_its_id_and_auto_is_offline_without_a_login(run_dir):
    for attempt, mode in enumerate(["offline", "auto"]):
        mirror = WandbMirror.start(run_dir, record(), WandbSettings(None, "test", mode))
        mirror.log({"env_step": attempt})
        mirror.finish(0)
        assert (mirror.mode, mirror.dropped) == ("offline", 0)
    files = list((run_dir / "wandb").glob("offline-run-*/*.wandb"))
    assert {file.name for file in files} == {"run-2026-11-21_dot_7f3a.wandb"}


def test_auto_is_online_with_a_login_and_rows_reach_the_server(run_dir, server):
    mirror = WandbMirror.start(run_dir, record(), WandbSettings("lab", "test", "auto"))
    for step in range(100):
        mirror.log({"env_step": step})
    mirror.finish(3)
    assert (mirror.mode, mirror.dropped) == ("online", 0)
    assert mirror.url == f"http://127.0.0.1:{server.server_port}/lab/test/runs/2026-11-21_dot_7f3a"
    files = [request["files"].get("wandb-history.jsonl") for request in server.streams if "files" in request]
    rows = [json.loads(line) for file in filter(None, files) for line in file["content"]]
    assert [row["env_step"] for row in rows] == list(range(100))
    assert server.streams[-1]["exitcode"] == 3


def test_disabled_starts_nothing(run_dir):
    mirror = WandbMirror.start(run_dir, record(), WandbSettings(None, "test", "disabled"))
    mirror.log({"env_step": 1})
    mirror.finish(0)
    assert mirror.record()["mode"] == "disabled" and list(run_dir.iterdir()) == [] and children(os.getpid()) == []


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


def settings(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text)
    return read_wandb_settings(tmp_path / "pyproject.toml")


def test_settings(tmp_path, monkeypatch):
    full = '[tool.repro.wandb]\nentity = "lab"\nproject = "dot"\nmode = "online"\n'
    assert settings(tmp_path, full) == WandbSettings("lab", "dot", "online")
    assert settings(tmp_path, '[tool.repro.wandb]\nentity = ""\n') == WandbSettings(None, tmp_path.name, "auto")
    assert settings(tmp_path, "") == WandbSettings(None, tmp_path.name, "auto")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert settings(tmp_path, full).mode == "disabled"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[tool.repro.wandb]\nmode = "onlin"', r"mode = 'onlin': must be one of auto, online, offline, disabled"),
        ('[tool.repro.wandb]\nenity = "me"', "enity: unknown; it has entity, project and mode"),
        ("[tool.repro.wandb]\nproject = 3", "project = 3: must be text in quotes"),
        ("[tool.repro.wandb\n", "cannot be read"),
    ],
)
def test_bad_settings_are_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        settings(tmp_path, text)
    assert "pyproject.toml" in str(caught.value) and "\n" not in str(caught.value)
