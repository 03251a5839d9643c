"""Finishes a new project: the chosen preset becomes params.yaml, git gets its first commit, next steps are shown.

Standard library only; works without a network, without git, and a second time over the same project.
The tests import this file as it stands.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ANSWERS = "{{ cookiecutter | hook_literal }}"  # JSON; the only line that cookiecutter renders

# Left in the template's folder by working there; a fresh clone has none.
LITTER = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", "MUJOCO_LOG.TXT")


def remove_litter(project: Path) -> None:
    for name in LITTER:
        for path in [path for path in project.rglob(name) if ".venv" not in path.relative_to(project).parts]:
            path.unlink() if path.is_file() else shutil.rmtree(path)


def use_preset(project: Path, preset: str) -> str:
    """Copy the preset to params.yaml, byte for byte; returns one line that says what was done.

    A params.yaml that equals no preset was edited by a person, so generating again keeps it.
    """
    params = project / "params.yaml"
    presets = [path.read_bytes() for path in (project / "presets").glob("*.yaml")]
    if params.exists() and params.read_bytes() not in presets:
        return f"params.yaml was edited, so it is kept; preset {preset} is in presets/"
    shutil.copyfile(project / "presets" / f"{preset}.yaml", params)
    return f"preset {preset} is in params.yaml"


def commit(project: Path, author: str, email: str) -> str:
    """Make a git repository with a first commit; returns one line that says what was done.

    An existing history is left alone. The author's answers stand in where git knows no identity.
    """
    if shutil.which("git") is None:
        return "git was not found: the project has no history yet; install git, then: git init -b main && git add -A"
    try:
        if (project / ".git").exists() and _git(project, "rev-parse", "--verify", "HEAD").returncode == 0:
            return "git: the history that was there is kept; see what changed with: git status"
        _checked(project, "init", "-b", "main")
        _checked(project, "add", "--all")
        _checked(project, *_identity(project, author, email), "commit", "--no-verify", "-m", "Start from the template")
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"git: no first commit was made ({reason}); put that right, then: git add -A && git commit"
    return "git: first commit on branch main"


def _identity(project: Path, author: str, email: str) -> list[str]:
    """Options that name a committer, for whichever of name and e-mail git does not know."""
    options = []
    if not author.strip(" .,:;<>\"\\'"):
        author = email  # git drops such characters, and refuses a name of nothing else
    for key, value in (("user.name", author), ("user.email", email)):
        if _git(project, "config", key).returncode != 0:
            options += ["-c", f"{key}={value}"]
    return [*options, "-c", "commit.gpgSign=false"]


def _git(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Where cookiecutter was started from a git hook, these would point to that other repository.
    elsewhere = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
    return subprocess.run(
        ["git", *arguments],
        cwd=project,
        env={name: value for name, value in os.environ.items() if name not in elsewhere},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )


def _checked(project: Path, *arguments: str) -> None:
    _git(project, *arguments).check_returncode()


def next_steps(project: Path, project_name: str, preset_line: str, git_line: str) -> str:
    return f"""
{project_name}: made in {project}
  {preset_line}
  {git_line}

Next:
  cd {shlex.quote(str(project))}
  make setup     # a virtual environment with everything (a few minutes)
  make smoke     # the whole chain on a tiny setting
  make           # all other targets; README.md explains the rest
"""


def main() -> None:
    answers = json.loads(ANSWERS)
    project = Path.cwd()
    remove_litter(project)
    preset_line = use_preset(project, answers["preset"])
    if "_commit" in answers:  # cruft's: it writes .cruft.json after this, and compares whole folders when it updates
        git_line = "git: cruft made this project; commit it: git init -b main && git add -A && git commit -m Start"
    else:
        git_line = commit(project, answers["author"], answers["email"])
    sys.stdout.reconfigure(errors="replace")  # a name must not fail on a terminal without its letters
    print(next_steps(project, answers["project_name"], preset_line, git_line))


if __name__ == "__main__":
    main()
