"""Generates projects by the real command line, away from the user's own cookiecutter and git settings."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
SETTINGS = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
sys.path.insert(0, str(ROOT))  # for local_extensions, as cookiecutter does it


def load_hook(name: str) -> ModuleType:
    """A hook as it stands, unrendered."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "hooks" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def default_answers() -> dict[str, str]:
    """What cookiecutter offers to someone who only presses Enter."""
    answers = prompt_for_config(generate_context(str(ROOT / "cookiecutter.json")), no_input=True)
    return {name: value for name, value in answers.items() if not name.startswith("_")}


def choices() -> dict[str, tuple[str, ...]]:
    """The questions with a menu in cookiecutter.json, and the names in it: a new one cannot be forgotten."""
    menus = {name: re.findall(r"^ +\d+ - ([\w.-]+)", text, re.M) for name, text in SETTINGS["__prompts__"].items()}
    return {name: tuple(names) for name, names in menus.items() if names}


def in_turn(options: Mapping[str, Sequence[str]], rows: int) -> list[dict[str, str]]:
    """So many combinations: the options of each question take turns, those of no two questions in step."""
    return [
        {
            name: names[(row + turn * (row // len(names))) % len(names)]
            for turn, (name, names) in enumerate(options.items())
        }
        for row in range(rows)
    ]


def files(folder: Path) -> set[str]:
    """All files below a folder, as relative paths; git's own left out."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.parts[0] != ".git"}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


class Generator:
    """Runs cookiecutter in an empty home folder: no git identity, no settings, nothing shared between tests."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "COOKIECUTTER_"))}
        self.env = kept | {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}

    def __call__(
        self,
        output: Path,
        *options: str,
        stdin: str | None = None,
        env: dict[str, str] | None = None,
        template: Path | str = ROOT,
        within: tuple[str, ...] = (),
        **answers: str,
    ) -> subprocess.CompletedProcess[str]:
        output.mkdir(parents=True, exist_ok=True)
        interactive = () if stdin is not None or {"--replay-file", "--replay"} & {*options} else ("--no-input",)
        extra = [f"{name}={value}" for name, value in answers.items()]
        command = (sys.executable, "-m", "cookiecutter")
        return subprocess.run(
            [*within, *command, *interactive, *options, "-o", str(output), str(template), *extra],
            input=stdin or "",
            capture_output=True,
            text=True,
            env=self.env | (env or {}),
            timeout=60,
        )

    def project(self, output: Path, *options: str, **others: Any) -> Path:
        """Generate, which must succeed, into `output`; returns the project's folder."""
        done = self(output, *options, **others)
        assert done.returncode == 0, done.stdout + done.stderr
        (project,) = [path for path in output.iterdir() if path.is_dir() and (path / "pyproject.toml").exists()]
        return project

    def git(self, project: Path, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=project, env=self.env, capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout.strip()


@pytest.fixture
def generate(tmp_path: Path) -> Generator:
    home = tmp_path / "home"
    home.mkdir()
    return Generator(home)


@pytest.fixture(scope="session")
def default_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project made with all defaults; tests that share it do not change it."""
    home = tmp_path_factory.mktemp("home")
    return Generator(home).project(tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="session")
def template_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository of the template as the working tree has it, in a folder with spaces; tests do not change it."""
    repository = tmp_path_factory.mktemp("repository") / "the template, année 1"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in names:
        if name and not name.startswith(("docs/", "tests/")) and (ROOT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, repository / name, follow_symlinks=False)
    generator = Generator(tmp_path_factory.mktemp("home"))
    generator.git(repository, "init", "-q", "-b", "main")
    release(generator, repository, f"v{SETTINGS['_version']}")
    return repository


def release(generator: Generator, repository: Path, tag: str) -> None:
    """Commit everything in a repository of the template, and tag it."""
    generator.git(repository, "add", "--all")
    generator.git(repository, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-q", "-m", tag)
    generator.git(repository, "tag", tag)
