"""What checks a generated project: its workflows and its pre-commit hooks call commands that are there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from conftest import TEMPLATE, Generator
from ruamel.yaml import YAML

YAML_READER = YAML(typ="safe", pure=True)
WORKFLOWS = {path.stem: YAML_READER.load(path) for path in (TEMPLATE / ".github/workflows").glob("*.yml")}
PRE_COMMIT = YAML_READER.load(TEMPLATE / ".pre-commit-config.yaml")


def commands(workflow: str) -> list[str]:
    jobs = WORKFLOWS[workflow]["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def test_each_push_is_checked_whole_and_seeds_are_trained_at_night():
    assert commands("ci") == [*("make setup", "make lint", "make test", "make smoke"), ".venv/bin/repro claims --check"]
    assert "pull_request" in WORKFLOWS["ci"]["on"] and WORKFLOWS["nightly"]["on"]["schedule"]
    assert commands("nightly") == ["make setup", "make e2e-full"]


def test_their_commands_are_there():
    targets = re.findall(r"^([a-z0-9-]+):.*## ", (TEMPLATE / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    cli = "\n".join(path.read_text(encoding="utf-8") for path in (TEMPLATE / "src/repro/cli").glob("*.py"))
    for command in [*commands("ci"), *commands("nightly")]:
        program, *arguments = shlex.split(command)
        if program == "make":
            assert set(arguments) <= set(targets)
        else:
            assert program == ".venv/bin/repro" and f"\ndef {arguments[0]}(" in cli
            assert all(f'"{option}"' in cli for option in arguments[1:])


def test_workflows_have_what_runs_safely_and_ends():
    for workflow in WORKFLOWS.values():
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"] <= 180 and job["env"] == {"WANDB_MODE": "disabled"}


def test_pre_commit_refuses_a_stupid_error(generate: Generator, tmp_path: Path):
    """With the tools of the project's environment: here ruff is the real one, and mypy only says that it ran."""
    project = generate.project(tmp_path / "out")
    tools = project / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "ruff").symlink_to(Path(sys.executable).parent / "ruff")
    (tools / "mypy").write_text("#!/bin/sh\necho types were checked\n")
    (tools / "mypy").chmod(0o755)
    (project / "src/repro/mistake.py").write_text("import os\n\nprint(undefined)\n")
    generate.git(project, "add", "src")
    run = [sys.executable, "-m", "pre_commit", "run", "--verbose"]
    done = subprocess.run(run, cwd=project, env=generate.env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "F821" in done.stdout and "F401" in done.stdout and "types were checked" in done.stdout, done.stdout
    assert {hook["entry"].split()[0] for repo in PRE_COMMIT["repos"] for hook in repo["hooks"]} == {
        ".venv/bin/ruff",
        ".venv/bin/mypy",
    }
