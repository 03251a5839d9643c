"""Generates projects by the real command line, away from the user's own cookiecutter and git settings."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
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


def files(folder: Path) -> set[str]:
    """All files below a folder, as relative paths; git's own left out."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.parts[0] != ".git"}


class Generator:
    """Runs cookiecutter in an empty home folder: no git identity, no settings, nothing shared between tests."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "COOKIECUTTER_"))}
        self.env = kept | {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}

    def __call__(
        self, output: Path, *options: str, stdin: str | None = None, env: dict[str, str] | None = None, **answers: str
    ) -> subprocess.CompletedProcess[str]:
        output.mkdir(parents=True, exist_ok=True)
        interactive = () if stdin is not None or "--replay-file" in options else ("--no-input",)
        extra = [f"{name}={value}" for name, value in answers.items()]
        return subprocess.run(
            [sys.executable, "-m", "cookiecutter", *interactive, *options, "-o", str(output), str(ROOT), *extra],
            input=stdin or "",
            capture_output=True,
            text=True,
            env=self.env | (env or {}),
            timeout=60,
        )

    def project(self, output: Path, *options: str, **answers: str) -> Path:
        """Generate, which must succeed, into `output`; returns the project's folder."""
        done = self(output, *options, **answers)
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
