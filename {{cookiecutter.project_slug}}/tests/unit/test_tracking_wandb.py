"""The W&B mirror, with the real wandb: its settings are read, and rows arrive, offline and at a server."""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from wandb_examples import FAKE_KEY, OFFLINE, children, entries, record, rows_of

from repro.config import UserError
from repro.tracking.wandb import WandbMirror, WandbSettings, read_wandb_settings

pytestmark = pytest.mark.usefixtures("no_account", "processes_of_others")


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
