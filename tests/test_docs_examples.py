"""The worked examples of the guide, put into a new project: what their pages say works there, and keeps its rules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Generator

EXAMPLES = ROOT / "docs/examples"
NAMES = ("environment", "algorithm", "reward-source", "health-check")


class Extended:
    """A project with some of the examples, where commands run in the environment of PROJECT_PYTHON."""

    def __init__(self, generate: Generator, output: Path, *names: str) -> None:
        self.root = generate.project(output, preset="cartpole")
        for name in names:
            for path in (EXAMPLES / name).iterdir():
                if path.is_dir():
                    shutil.copytree(path, self.root / path.name, dirs_exist_ok=True)
            generate.git(self.root, "apply", str(EXAMPLES / name / "changes.patch"))
        self.python = os.environ["PROJECT_PYTHON"]
        quiet = {"WANDB_MODE": "disabled", "NO_COLOR": "1", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        self.env = generate.env | quiet | {"PYTHONPATH": str(self.root / "src")}

    def run(self, *arguments: str) -> str:
        """`python -m ...`, which must succeed; returns what it printed."""
        return self._done(self.python, "-m", *arguments)

    def lint_imports(self) -> str:
        return self._done(str(Path(self.python).with_name("lint-imports")))

    def _done(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.root, env=self.env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(self, *arguments: str) -> str:
        return self.run("repro.cli", *arguments)

    def train(self, *options: str, seed: int = 100) -> dict:
        """Train; returns the record of the run, its evaluation included."""
        before = set(self._runs())
        self.repro("train", "--seed", str(seed), *options)
        self.repro("evaluate", "latest")
        (folder,) = set(self._runs()) - before
        return json.loads((folder / "run.json").read_text()) | {"folder": folder}

    def _runs(self) -> Iterator[Path]:
        return (self.root / "runs").glob("[!.]*_*")


@pytest.fixture
def extended(generate: Generator, tmp_path: Path):
    return lambda *names: Extended(generate, tmp_path / "out", *names)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_fits_the_code_as_it_is(generate: Generator, tmp_path: Path, name: str):
    project = generate.project(tmp_path / "out")
    patch = EXAMPLES / name / "changes.patch"
    generate.git(project, "apply", "--check", str(patch))
    new = [path.relative_to(EXAMPLES / name) for path in (EXAMPLES / name).rglob("*.py")]
    assert new and not any((project / path).exists() for path in new)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_table_says_of_lines_in_files_that_exist(name: str):
    """Nothing grows beyond what "Another paper" promises: so few lines of `src/` are touched."""
    patch = (EXAMPLES / name / "changes.patch").read_text(encoding="utf-8")
    parts = [part for part in patch.split("diff --git ")[1:] if " b/src/" in part.partition("\n")[0]]
    added = [line for part in parts for line in part.splitlines() if line.startswith("+") and line[:3] != "+++"]
    most = {"environment": 2, "algorithm": 25, "reward-source": 8, "health-check": 4}
    assert len([line for line in added if line.strip("+ ")]) <= most[name]


@pytest.mark.project
def test_style_types_and_rooms_hold_with_all_examples(extended):
    project = extended(*NAMES)
    project.run("ruff", "check", ".")
    project.run("ruff", "format", "--check", ".")
    known = Path(project.python).parents[2] / ".mypy_cache"  # PyTorch's types, of the project that was checked before
    project.run("mypy", "--cache-dir", str(known))
    project.lint_imports()
    project.run("pytest", "tests/unit/test_metrics_documented.py", "tests/unit/test_config.py")


@pytest.mark.project
def test_the_environment_is_learned(extended):
    project = extended("environment")
    project.run("pytest", "tests/unit/test_windy_gridworld.py")
    run = project.train("--params", "presets/windy-gridworld.yaml")
    assert run["evaluation"]["greedy"]["return_mean"] > -20  # at random -198; 15 steps are the least


@pytest.mark.project
def test_the_algorithm_passes_the_tests_of_all_algorithms_and_learns(extended):
    project = extended("algorithm")
    project.run("pytest", "tests/probes", "tests/unit/test_on_policy_agents.py", "-k", "penalty-ppo")
    runs = [project.train("--params", "presets/cartpole-penalty-ppo.yaml", seed=seed) for seed in (100, 101, 102)]
    returns = [run["evaluation"]["sampled"]["return_mean"] for run in runs]
    assert sum(one > 400 for one in returns) >= 2, returns  # of seeds 100 to 108, eight of nine ended at 500
    for run in runs:
        metrics = [json.loads(line) for line in (run["folder"] / "metrics.jsonl").read_text().splitlines()]
        assert len({row["policy/kl_penalty"] for row in metrics}) > 2  # it adapts


@pytest.mark.project
def test_the_reward_source_is_paid_and_saved(extended):
    project = extended("reward-source")
    project.run("pytest", "tests/unit/test_novelty.py")
    options = ("--params", "presets/frozenlake.yaml", "--set", "reward.source=novelty")
    run = project.train(*options, "--set", "training.total_steps=20480")
    metrics = [json.loads(line) for line in (run["folder"] / "metrics.jsonl").read_text().splitlines()]
    assert metrics[-1]["reward/observations_met"] == 16
    assert metrics[-1]["reward/novelty"] < metrics[0]["reward/novelty"]
    assert metrics[0]["predicted_return/mean"] > metrics[0]["return/mean"]


@pytest.mark.project
def test_the_health_check_names_its_bug(extended):
    project = extended("health-check")
    shown = project.run(
        "pytest", "tests/unit/test_health_bugs.py", "tests/unit/test_doctor.py", "tests/unit/test_health.py", "-vv",
        "-k", "values or healthy or each_check or page or listed or threshold",
    )  # fmt: skip
    assert "test_the_bug_is_named[values are 0 everywhere] PASSED" in shown
    assert shown.count("test_a_healthy_run_is_silent[") == 4
