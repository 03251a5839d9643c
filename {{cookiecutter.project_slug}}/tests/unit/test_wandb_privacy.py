"""What W&B is not to do: send anything offline, or anything but the run online, or leave the login's key anywhere."""

import os
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
from project import wait_until
from wandb_examples import FAKE_KEY, LOGIN, MIRROR, SERVICE, files_with_key, log, process_below, start

from repro.tracking.wandb import WandbSettings, is_logged_in
from repro.tracking.wandb_sync import is_uploaded

pytestmark = pytest.mark.usefixtures("no_account", "processes_of_others")


@pytest.fixture
def only_server(server, monkeypatch):
    """The server, which hears of whatever is sent to others, too."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, server.url)
        monkeypatch.setenv(name.lower(), server.url)
    return server


def test_offline_nobody_is_connected_to(run_dir, only_server):
    assert is_logged_in()
    mirror = start(run_dir)
    wait_until(lambda: process_below(os.getpid(), SERVICE))
    for name in (MIRROR, SERVICE):
        environment = psutil.Process(process_below(os.getpid(), name)).environ()
        assert environment.get("WANDB_ERROR_REPORTING") == "false"
    log(run_dir, *({"env_step": step} for step in range(10)))
    mirror.finish(0)
    assert mirror.record()["mode"] == "offline"
    assert only_server.connections == 0
    with pytest.raises(HTTPError):
        urlopen("http://elsewhere.invalid", timeout=10)
    assert only_server.connections == 1  # it would have heard


def test_online_the_run_is_sent_and_no_telemetry(run_dir, only_server):
    mirror = start(run_dir, WandbSettings("lab", "test", "online"))
    log(run_dir, {"env_step": 1})
    mirror.finish(0)
    assert only_server.rows() == [1]
    of_the_run = {f"/files/lab/test/{run_dir.name}/file_stream", "/graphql"}
    files = {"/config.yaml", "/wandb-metadata.json", "/wandb-summary.json"}
    assert {path for path, _ in only_server.requests} <= of_the_run | files


def test_the_key_is_in_no_file_and_in_no_output(project, server, tmp_path):
    """Of a run that sends its networks and preferences, and of `repro sync`: whatever they wrote is below tmp_path."""
    run, home, passing = project.queue(100), tmp_path / "home", tmp_path / "passing"
    home.mkdir()
    passing.mkdir()
    wandb = {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}
    kept = {name: value for name, value in project.env.items() if not name.startswith("XDG_")}
    environment = kept | wandb | {"WANDB_MODE": "online", "HOME": str(home), "TMPDIR": str(passing)}
    for command in ("resume", "sync"):
        done = project.repro(command, run.id, env=environment)
        assert done.returncode == 0 and is_uploaded(run.path), done.stderr
        assert FAKE_KEY not in done.stdout + done.stderr
    assert server.artifacts == {"model": {"agent.pt", "reward_model.pt"}, "preferences": {"preferences.db"}}
    assert {login for _, login in server.requests} >= {f"Basic {LOGIN}"}
    assert files_with_key(tmp_path) == []
    (passing / "planted").write_text(f"key: {FAKE_KEY}")
    assert files_with_key(tmp_path) == [passing / "planted"]
