"""Projects of every kind, each set up, linted, tested, smoked and run to its report: make e2e-full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TEMPLATE, Generator, choices, in_turn
from ruamel.yaml import YAML

from local_extensions import gymnasium_extras, task

sys.path.insert(0, str(TEMPLATE / "src"))
from repro.config import load_config

REMOTES = ("../dvc remote", "s3://bucket/path", "../shared/data")
SEEDS = [100, 101]
STEPS = 8192


def rows() -> list[dict[str, str]]:
    """The first preset of each kind (what is observed, which reward, which extra), with all other choices in turn."""
    kinds = {}
    for preset in choices()["preset"]:
        kind = task(preset)["observed"], task(preset)["learned"], gymnasium_extras(preset)
        kinds.setdefault(kind, preset)
    others = {name: options for name, options in choices().items() if name != "preset"} | {"dvc_remote": REMOTES}
    combinations = in_turn(others, len(kinds))
    return [{"preset": preset} | others for preset, others in zip(kinds.values(), combinations, strict=True)]


def shorten(params: Path) -> None:
    """Make the preset short: all of it still runs, a few rollouts of it, and nothing is learned."""
    round_trip = YAML(typ="rt")  # keeps comments and builds plain values only: no tag of a file makes an object
    values = round_trip.load(params)
    values["training"]["total_steps"] = STEPS
    values["evaluation"].update(episodes=2, video_rollouts=0)
    values["preferences"].update(total_labels=40, initial_labels=20)
    values["reward_model"].update(pretraining_steps=20, steps_per_rollout=5)
    values["seeds"]["pipeline"] = SEEDS
    round_trip.dump(values, params)


@pytest.mark.parametrize("preset", [row["preset"] for row in rows()])
def test_a_preset_that_is_shortened_is_itself_and_has_a_few_rollouts(tmp_path: Path, preset: str):
    params = tmp_path / "params.yaml"
    params.write_bytes((TEMPLATE / f"presets/{preset}.yaml").read_bytes())
    whole = load_config(params)
    shorten(params)
    short = load_config(params)
    assert (short.name, short.env, short.agent, short.reward) == (whole.name, whole.env, whole.agent, whole.reward)
    segments = 2 * short.preferences.initial_labels * short.preferences.segment_steps
    assert STEPS - segments > 2 * short.env.num_envs * short.agent.rollout_steps


def test_the_rows_have_every_option_and_no_two_choices_in_step():
    made = rows()
    for name, options in choices().items():
        assert name == "preset" or {row[name] for row in made} == set(options)
    assert len({(row["license"], row["wandb_mode"]) for row in made}) == len(made)


@pytest.mark.long
@pytest.mark.parametrize("choices", rows(), ids=lambda choices: choices["preset"])
def test_it_installs_passes_its_tests_and_reproduces(generate: Generator, tmp_path: Path, choices: dict[str, str]):
    project = generate.project(tmp_path / "out", **choices)
    # HOME is the user's, whose caches of packages make this bearable. W&B finds no login there: `auto` is offline then,
    # and what the project says counts, but for `online`, which needs one.
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    env |= {"PATH": f"{project / '.venv/bin'}:{os.environ['PATH']}", "NETRC": str(tmp_path / "no-netrc")}
    env |= {"DVC_NO_ANALYTICS": "1"} | ({"WANDB_MODE": "offline"} if choices["wandb_mode"] == "online" else {})

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout

    for target in ("setup", "lint", "test", "smoke"):
        run("make", target)
    shorten(project / "params.yaml")
    run("git", "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-qam", "the preset, shortened")
    run("dvc", "repro")
    assert "up to date" in run("dvc", "repro")
    cells = {path.relative_to(project / "results/cells") for path in (project / "results/cells").rglob("*.json")}
    assert cells == {Path(choices["preset"], f"seed-{seed}.json") for seed in SEEDS}
    mirrors = {json.loads(path.read_bytes())["mode"] for path in project.glob("runs/*/wandb/mirror.json")}
    assert mirrors == (set() if choices["wandb_mode"] == "disabled" else {"offline"})
    assert (project / "reports" / "report.html").stat().st_size > 0
    assert "No results yet" not in (project / "README.md").read_text(encoding="utf-8")
    run("repro", "claims")
