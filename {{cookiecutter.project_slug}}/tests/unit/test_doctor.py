"""`repro doctor`: what it says of healthy, sick, running, crashed and failed runs, to people and to programs."""

from __future__ import annotations

import json
import re

import pytest
from archive_examples import new_run
from project import SOURCE, Project, here

from repro.config import load_config
from repro.config.health import HealthConfig
from repro.health.checks import CHECKS
from repro.reading import UserError
from repro.tracking.archive import finish_run
from repro.views.doctor import examine
from repro.views.doctor_text import format_examination

PAGE = (SOURCE / "docs/health.md").read_text()
PRESET = SOURCE / "presets/cartpole-preferences.yaml"


@pytest.fixture
def run(project: Project):
    """One that is running, of 65,536 steps, without metrics yet."""
    made = new_run(project.root, config=load_config(PRESET).model_dump(mode="json"))
    made.update(status="running")
    return made


def add_rows(run, count=20, **last):
    """Rows of a policy that learns, and then the same again with other values in all from the tenth."""
    with open(run.path / "metrics.jsonl", "a") as file:
        for i in range(count):
            row = {"env_step": 1024 * (i + 1), "policy/entropy_share": 0.9 - 0.02 * i, "reward_model/raw_std": 0.1}
            file.write(json.dumps(row | (last if i >= 10 else {})) + "\n")
        file.write('{"env_step": 99')  # torn


def text(run, width=80):
    return format_examination(examine(run), width)


def doctor(project, monkeypatch, capsys, *arguments):
    return here(project, monkeypatch, capsys, "doctor", *arguments)


def test_a_healthy_run(run, project, monkeypatch, capsys):
    add_rows(run)
    code, out, err = doctor(project, monkeypatch, capsys, run.id)
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [
        f"run     {run.id}: running, 20,480 of 65,536 steps, 20 rows of metrics",
        "health  nothing unhealthy was seen",
    ]


def test_an_error_is_shown_and_told_by_the_exit_code(run, project, monkeypatch, capsys):
    add_rows(run, **{"reward_model/raw_std": 0.0004, "policy/entropy_share": 0.01})
    code, out, _ = doctor(project, monkeypatch, capsys, run.id)
    assert code == 1 and "health  1 error, 1 warning" in out
    error, warning = out.split("\n\n")[1:]
    assert error.startswith("ERROR flat_reward: The reward model predicts the same for everything.\n")
    assert "0.0004 to 0.1 reward_model/raw_std\n" in error and "█" in error
    assert "seen  reward_model/raw_std is 0.0004 (at least 0.001); from step 11,264 to the end" in error
    assert re.search(r"^  why   Normalising .*\n  try   check", error, re.MULTILINE)
    assert warning.startswith("WARNING entropy_collapse")


def test_warnings_alone_leave_the_exit_code(run, project, monkeypatch, capsys):
    add_rows(run, **{"policy/entropy_share": 0.01})
    code, out, _ = doctor(project, monkeypatch, capsys, run.id)
    assert code == 0 and "0 errors, 1 warning" in out


def test_what_was_seen_once_says_when(run):
    with open(run.path / "metrics.jsonl", "w") as file:
        for i in range(20):
            file.write(json.dumps({"env_step": i + 1, "policy/entropy_share": 0.01 if i == 4 else 0.5}) + "\n")
    assert "at step 5\n" in text(run)


@pytest.mark.parametrize(
    ("status", "result", "shown"),
    [
        (
            "failed",
            "training has diverged\x1b[0m: lower it",
            "ERROR failed\n  seen  training has diverged[0m: lower it",
        ),
        ("crashed", None, "ERROR crashed\n  seen  its process is gone, and did not say why"),
    ],
)
def test_a_run_that_broke_off_is_an_error(run, project, monkeypatch, capsys, status, result, shown):
    add_rows(run)
    if status == "failed":
        finish_run(run, status, 2, result)
    else:
        run.update(pid=2**22 - 1)  # no such process
    code, out, _ = doctor(project, monkeypatch, capsys, run.id)
    assert code == 1 and shown in out and f"repro resume {run.id}" in out


def test_a_run_without_metrics(run):
    assert "health  there are no metrics yet" in text(run)


@pytest.mark.parametrize("width", [80, 200, None])
def test_lines_fit(run, width):
    add_rows(run, **{"reward_model/raw_std": 0.0, "policy/entropy_share": 0.0})
    assert all(len(line) <= (width or 100) for line in text(run, width).splitlines())


def test_all_of_it_for_programs(run, project, monkeypatch, capsys):
    add_rows(run, **{"reward_model/raw_std": 0.0004})
    code, out, _ = doctor(project, monkeypatch, capsys, run.id, "--json")
    said = json.loads(out)
    assert code == 1
    assert {name: said[name] for name in ("run", "status", "env_step", "rows", "errors", "warnings")} == {
        "run": run.id,
        "status": "running",
        "env_step": 20480,
        "rows": 20,
        "errors": 1,
        "warnings": 0,
    }
    checks = {check["name"]: check for check in said["checks"]}
    assert checks.keys() == {check.name for check in CHECKS}
    flat = checks["flat_reward"]
    assert (flat["state"], flat["severity"], flat["times"]) == ("found", "error", 10)
    assert (flat["first_step"], flat["last_step"]) == (11264, 20480) and flat["remedy"]
    assert checks["entropy_collapse"]["state"] == "silent" and "seen" not in checks["entropy_collapse"]
    missing = {name for name in checks if checks[name]["state"] == "metrics missing"}
    assert {"growing_memory", "flat_entropy"} <= missing  # of the latter the score
    assert checks["non_finite"]["state"] == "silent"  # it looks at what there is


def test_damaged_files_are_named(run, project, monkeypatch, capsys):
    (run.path / "metrics.jsonl").write_text("{\n")
    code, _, err = doctor(project, monkeypatch, capsys, run.id)
    assert code == 2 and "metrics.jsonl, line 1: not a row of metrics" in err
    run.record["params"] = {"env": {}}
    with pytest.raises(UserError, match=r"run\.json: its parameters cannot be read: KeyError\('agent'\)"):
        examine(run)


def test_the_page_lists_all_checks_and_thresholds():
    rows = re.findall(r"^\| `(\w+)` \| (error|warning) \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    assert [(name, severity) for name, severity, _, _ in rows] == [(check.name, check.severity) for check in CHECKS]
    for (name, _, about, _), check in zip(rows, CHECKS, strict=True):
        assert about == check.about.removesuffix("."), name
    given = dict(re.findall(r"`(\w+): ([\d.e-]+)`", PAGE))
    assert {name: float(value) for name, value in given.items()} == HealthConfig().model_dump()


def test_thresholds_may_be_left_out_or_given_in_part(tmp_path):
    preset = PRESET.read_text()
    assert load_config(PRESET).health == HealthConfig()
    assert load_config(PRESET, ["health.max_kl=0.2"]).health == HealthConfig(max_kl=0.2)
    params = tmp_path / "params.yaml"
    params.write_text(preset + "\nhealth:\n  max_ties: 0.5\n")
    assert load_config(params).health == HealthConfig(max_ties=0.5)
    assert load_config(params, ["health.min_speed=0.5"]).health == HealthConfig(max_ties=0.5, min_speed=0.5)


@pytest.mark.parametrize(
    ("section", "overrides", "error"),
    [
        ("health:\n  max_tie: 0.5\n", [], r"health\.max_tie: unknown entry; did you mean 'max_ties'"),
        ("health: 3\n", [], r"health: 3 will not do"),
        ("health: 3\n", ["health.max_kl=1"], r"no parameter 'health\.max_kl'"),
        ("", ["health.max_k=1"], r"no parameter 'health\.max_k'; did you mean 'health\.max_kl'"),
        ("", ["health.max_kl=-1"], r"health\.max_kl: -1 will not do"),
    ],
)
def test_wrong_thresholds_are_named(tmp_path, section, overrides, error):
    (tmp_path / "params.yaml").write_text(PRESET.read_text() + "\n" + section)
    with pytest.raises(UserError, match=error):
        load_config(tmp_path / "params.yaml", overrides)
