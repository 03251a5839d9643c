"""The W&B mirror, with the real wandb: its settings are read, and rows arrive, offline and at a server."""

import json
import math
import os
import shutil
import sys

import pytest
from project import wait_until
from wandb_examples import alerts_of, children, entries, log, rows_of, start

from repro.reading import UserError
from repro.tracking.findings import add_finding
from repro.tracking.wandb import WandbMirror, WandbSettings, read_mirror, read_wandb_settings

pytestmark = pytest.mark.usefixtures("no_account", "processes_of_others")


def test_offline_rows_can_be_read_back(run_dir):
    mirror = start(run_dir)
    rows = [{"env_step": step * 512, "return/mean": step / 3} for step in range(50)]
    log(run_dir, *rows)
    log(run_dir, {"env_step": 99_999, "return/mean": float("nan")})
    mirror.finish(0)
    assert mirror.record() == {"mode": "offline", "id": "2026-11-21_dot_7f3a", "url": None}
    everything = entries(run_dir)
    assert rows_of(everything)[:50] == rows and len(rows_of(everything)) == 51
    last = rows_of(everything)[50]
    assert last["env_step"] == 99_999 and math.isnan(float(last["return/mean"]))
    started = json.dumps(next(entry for entry in everything if entry["type"] == "run"))
    assert all(text in started for text in ("learning_rate", "948ab30feb101334", '"dot"', "Does it", "0.25"))
    assert '"tags": ["CartPole-v1", "ppo", "final"]' in started and '"job_type": "train"' in started
    assert '"run_group": "dot"' in started
    assert [entry["exit"]["exit_code"] for entry in everything if entry["type"] == "exit"] == [0]
    assert any(entry["type"] == "metric" and "env_step" in json.dumps(entry) for entry in everything)
    assert alerts_of(everything) == []  # nobody asked for them
    assert "wandb" not in sys.modules  # it ran elsewhere


def test_an_ablation_is_a_group_of_its_own_and_a_tag(run_dir):
    start(run_dir, ablation="no-ensemble").finish(0)
    started = next(entry["run"] for entry in entries(run_dir) if entry["type"] == "run")
    assert started["run_group"] == "dot/no-ensemble"
    assert started["tags"] == ["CartPole-v1", "ppo", "no-ensemble", "final"]


def test_what_the_mirror_says_can_be_read_while_the_run_goes_on(run_dir):
    assert read_mirror(run_dir) is None
    mirror = start(run_dir)
    wait_until(lambda: read_mirror(run_dir))
    assert read_mirror(run_dir) == {"mode": "offline", "id": "2026-11-21_dot_7f3a", "url": None, "warning": None}
    assert mirror.news() is None
    mirror.finish(0)
    (run_dir / "wandb/mirror.json").write_text("[")
    assert read_mirror(run_dir) is None


def test_rows_follow_while_the_run_goes_on_and_half_a_line_waits_for_the_rest(run_dir, server):
    mirror = start(run_dir, WandbSettings("lab", "test", "online"))
    log(run_dir, {"env_step": 1})
    with open(run_dir / "metrics.jsonl", "ab", buffering=0) as file:
        file.write(b'{"env_step":')
        wait_until(lambda: server.rows() == [1])
        file.write(b'2}\n{"env_step":3')
        wait_until(lambda: server.rows() == [1, 2])
    mirror.finish(0)
    assert server.rows() == [1, 2]  # the trainer was killed while it wrote the third
    assert mirror.record()["mode"] == "online"


def test_a_resumed_run_keeps_its_id_and_sends_only_what_is_new(run_dir):
    for attempt, mode in enumerate(["offline", "auto"]):  # auto is offline without a login
        mirror = start(run_dir, WandbSettings(None, "test", mode))
        log(run_dir, {"env_step": attempt})
        mirror.finish(0)
        assert mirror.record()["mode"] == "offline"
        assert rows_of(entries(run_dir)) == [{"env_step": attempt}]
        (folder,) = (run_dir / "wandb").glob("offline-run-*")
        assert [file.name for file in folder.glob("*.wandb")] == ["run-2026-11-21_dot_7f3a.wandb"]
        shutil.rmtree(folder)


def test_auto_is_online_with_a_login_and_rows_reach_the_server(run_dir, server, capsys):
    mirror = start(run_dir, WandbSettings("lab", "test", "auto"))
    log(run_dir, *({"env_step": step} for step in range(100)))
    url = f"http://127.0.0.1:{server.server_port}/lab/test/runs/2026-11-21_dot_7f3a"
    wait_until(lambda: read_mirror(run_dir))
    assert (mirror.news(), mirror.news()) == (f"W&B: {url}", None)  # it is told once
    mirror.finish(3)
    assert mirror.record() == {"mode": "online", "id": "2026-11-21_dot_7f3a", "url": url}
    assert server.rows() == list(range(100))
    assert server.streams[-1]["exitcode"] == 3
    assert capsys.readouterr().err == ""


FINDING = {
    "check": "flat_reward",
    "env_step": 2048,
    "seen": "std is 0 | 😴",
    "meaning": "No.",
    "remedy": "labels",
}


@pytest.mark.parametrize(
    ("exit_code", "end"),
    [(0, "finished"), (2, "ended with exit code 2"), (None, "was killed")],
)
def test_alerts_tell_of_findings_and_of_the_end(run_dir, exit_code, end):
    add_finding(run_dir, FINDING | {"check": "non_finite"})  # before a resume: it was told of then
    mirror = start(run_dir, WandbSettings(None, "test", "offline", alerts=True))
    log(run_dir, {"env_step": 2048})
    add_finding(run_dir, FINDING)
    if exit_code is None:
        mirror._process.stdin.close()
        mirror._process.wait(15)
    else:
        mirror.finish(exit_code)
    name = run_dir.name
    assert alerts_of(entries(run_dir)) == [
        (f"flat_reward: {name}", "step 2,048: std is 0 | 😴. No."),
        (f"{end}: {name}", f"{name} {end}."),
    ]


def test_disabled_starts_nothing(run_dir):
    mirror = WandbMirror.start(run_dir, WandbSettings(None, "test", "disabled"))
    mirror.finish(0)
    assert mirror.record()["mode"] == "disabled" and mirror.news() is None
    assert list(run_dir.iterdir()) == [] and children(os.getpid()) == []


def settings(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text)
    return read_wandb_settings(tmp_path / "pyproject.toml")


def test_settings(tmp_path, monkeypatch):
    full = '[tool.repro.wandb]\nentity = "lab"\nproject = "dot"\nmode = "online"\nalerts = true\n'
    assert settings(tmp_path, full) == WandbSettings("lab", "dot", "online", alerts=True)
    assert settings(tmp_path, '[tool.repro.wandb]\nentity = ""\n') == WandbSettings(None, tmp_path.name, "auto")
    assert settings(tmp_path, "") == WandbSettings(None, tmp_path.name, "auto")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert settings(tmp_path, full).mode == "disabled"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[tool.repro.wandb]\nmode = "onlin"', r"mode = 'onlin': must be one of auto, online, offline, disabled"),
        ('[tool.repro.wandb]\nenity = "me"', "enity: unknown; it has entity, project, mode, alerts"),
        ("[tool.repro.wandb]\nproject = 3", "project = 3: must be text in quotes"),
        ('[tool.repro.wandb]\nalerts = "yes"', r"alerts = 'yes': must be true or false, without quotes"),
        ("[tool.repro.wandb\n", "not valid TOML"),
    ],
)
def test_bad_settings_are_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        settings(tmp_path, text)
    assert "pyproject.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_videos_of_training_follow_with_their_step(run_dir):
    (run_dir / "videos").mkdir()
    (run_dir / "videos/step-000000100.mp4").write_bytes(b"of before a resume")
    mirror = start(run_dir)
    wait_until(lambda: read_mirror(run_dir))
    (run_dir / "videos/evaluation-greedy-seed-7.mp4").write_bytes(b"asked for")
    (run_dir / "videos/step-000000200.mp4").write_bytes(b"new")
    (run_dir / "videos/segments-000000300.mp4").write_bytes(b"of segments")
    mirror.finish(0)
    steps = {name.partition(".")[0]: row["env_step"] for row in rows_of(entries(run_dir)) for name in row}
    assert steps["video"] == 200 and steps["segments"] == 300, rows_of(entries(run_dir))
    files = run_dir.glob("wandb/offline-run-*/files/media/videos/*.mp4")
    assert {file.name.partition("_")[0]: file.read_bytes() for file in files} == {
        "video": b"new",
        "segments": b"of segments",
    }
