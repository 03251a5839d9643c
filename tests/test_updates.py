"""Projects that follow the template: made or linked by cruft, then brought to a later release with their edits kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SETTINGS, Generator, contents, release

VERSION = SETTINGS["_version"]
ANSWERS = {"project_name": '{{ 7 * 7 }} "Zoë\'s" dot', "project_slug": "dot", "preset": "moving-dot-small"}


def cruft(generate: Generator, folder: Path, *arguments: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "cruft", *arguments], cwd=folder, env=generate.env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def commit(generate: Generator, project: Path) -> None:
    generate.git(project, "add", "--all")
    generate.git(project, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-q", "-m", "work")


def create(generate: Generator, repository: Path, output: Path) -> Path:
    """A project that cruft makes, with the first commit that its user makes."""
    cruft(generate, output, "create", str(repository), "-y", "--extra-context", json.dumps(ANSWERS))
    generate.git(output / "dot", "init", "-q", "-b", "main")
    commit(generate, output / "dot")
    return output / "dot"


def test_cruft_makes_what_cookiecutter_makes(generate: Generator, template_repository: Path, tmp_path: Path):
    plain = contents(generate.project(tmp_path / "plain", template=template_repository, **ANSWERS))
    made = contents(create(generate, template_repository, tmp_path / "cruft"))
    del made[".cruft.json"]
    assert made == plain


@pytest.fixture
def later(generate: Generator, template_repository: Path, tmp_path: Path) -> Path:
    """A copy of the template's repository, in which another version can be released."""
    return Path(shutil.copytree(template_repository, tmp_path / "template"))


def release_next(generate: Generator, repository: Path) -> None:
    """A release that changes all that releases change: code, a preset, a text with answers, a filter, a prompt."""

    def change(name: str, old: str, new: str) -> None:
        text = (repository / name).read_text(encoding="utf-8")
        assert old in text, name
        (repository / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    template = "{{cookiecutter.project_slug}}"
    change(f"{template}/src/repro/__init__.py", '"""', '"""NEW CODE. ')
    change(f"{template}/presets/moving-dot-small.yaml", "\n", "\n# NEW PARAMETER\n")
    texts = "{{ cookiecutter.project_slug | shouted }} {{ cookiecutter.extra }}"
    change(f"{template}/README.md", "## Licence\n", f"## Licence\n\n{texts}\n")
    change("local_extensions.py", "            in_quotes,\n", "            in_quotes,\n            shouted,\n")
    change("local_extensions.py", "\ndef in_quotes", "\ndef shouted(text):\n    return text.upper()\n\n\ndef in_quotes")
    change("cookiecutter.json", '  "wandb_entity": "",', '  "extra": "NEW PROMPT",\n  "wandb_entity": "",')
    change("cookiecutter.json", f'"_version": "{VERSION}"', '"_version": "9.9.9"')
    (repository / template / "docs/new.md").write_text("NEW FILE\n")
    release(generate, repository, "v9.9.9")


def test_an_update_brings_what_is_new_and_keeps_every_edit(generate: Generator, later: Path, tmp_path: Path):
    project = create(generate, later, tmp_path / "out")
    edits = {"worklog/2026-11-21.md": "my thoughts\n", "src/repro/envs/mine.py": "MINE = 1\n"}
    for name, text in edits.items():
        (project / name).write_text(text)
    changes = {
        "params.yaml": lambda text: text + "# my parameter\n",
        "README.md": lambda text: text.replace("No results yet", "My results"),
        "src/repro/cli/__init__.py": lambda text: text + "\n# my code\n",
    }
    for name, change in changes.items():
        (project / name).write_text(change((project / name).read_text(encoding="utf-8")), encoding="utf-8")
    (project / "docs/cluster.md").unlink()
    commit(generate, project)
    mine = contents(project)

    release_next(generate, later)
    cruft(generate, project, "update", "-y")

    after = contents(project)
    new = {name: text for name, text in after.items() if mine.get(name) != text}
    assert set(new) == {
        *("src/repro/__init__.py", "presets/moving-dot-small.yaml", "params.yaml", "README.md", "docs/new.md"),
        ".cruft.json",
    }
    assert set(mine) <= set(after)
    assert b"NEW CODE" in new["src/repro/__init__.py"]
    assert b"# NEW PARAMETER\n" in new["params.yaml"] and new["params.yaml"].endswith(b"# my parameter\n")
    readme = new["README.md"].decode()
    assert "My results" in readme and "\nDOT NEW PROMPT\n" in readme and "9.9.9" in readme and VERSION not in readme
    assert readme.startswith("# \\{\\{ 7 \\* 7 \\}\\} ")
    state = json.loads(new[".cruft.json"])
    assert state["context"]["cookiecutter"]["extra"] == "NEW PROMPT"
    assert state["commit"] == generate.git(later, "rev-parse", "HEAD")


def test_a_project_that_cookiecutter_made_can_be_linked(generate: Generator, later: Path, tmp_path: Path):
    project = generate.project(tmp_path / "out", template=later, **ANSWERS)
    answers = json.dumps(ANSWERS)
    cruft(generate, project, "link", str(later), "-y", "--checkout", f"v{VERSION}", "--extra-context", answers)
    commit(generate, project)
    release_next(generate, later)
    cruft(generate, project, "update", "-y")
    assert "NEW CODE" in (project / "src/repro/__init__.py").read_text()


def test_the_version_is_the_newest_of_the_changelog_and_stands_in_the_readme(default_project: Path):
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = next(line for line in changelog.splitlines() if line.startswith("## ") and line != "## Unreleased")
    assert newest.startswith(f"## {VERSION}")
    readme = (default_project / "README.md").read_text(encoding="utf-8")
    assert f"version {VERSION} of" in readme and f"--checkout v{VERSION}" in readme


def is_changed_since_its_release(repository: Path) -> bool:
    """Whether a project made now differs from the release that the changelog begins with; False before it is tagged."""
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    top = next(line for line in changelog.splitlines() if line.startswith("## "))
    if top == "## Unreleased":
        return False
    made_of = ("cookiecutter.json", "hooks", "local_extensions.py", "{{cookiecutter.project_slug}}")
    command = ["git", "diff", "--quiet", f"v{top.split()[1]}", "--", *made_of]
    return subprocess.run(command, cwd=repository, capture_output=True).returncode == 1  # 128: no such tag


def test_what_is_changed_after_a_release_is_under_unreleased(generate: Generator, later: Path):
    assert not is_changed_since_its_release(ROOT), "begin CHANGELOG.md with a section ## Unreleased"
    released = f"## {VERSION} (2026-11-22)\n"
    (later / "CHANGELOG.md").write_text(released)
    assert not is_changed_since_its_release(later)
    release_next(generate, later)
    assert is_changed_since_its_release(later)
    (later / "CHANGELOG.md").write_text(f"## Unreleased\n\n{released}")
    assert not is_changed_since_its_release(later)


def test_where_both_changed_a_line_git_marks_a_conflict(generate: Generator, later: Path, tmp_path: Path):
    project = create(generate, later, tmp_path / "out")
    changed = project / "src/repro/__init__.py"
    changed.write_text(changed.read_text().replace('"""', '"""MY CODE. ', 1))
    commit(generate, project)
    release_next(generate, later)
    cruft(generate, project, "update", "-y")
    text = changed.read_text()
    assert "<<<<<<< " in text and "MY CODE" in text and "NEW CODE" in text
    assert generate.git(project, "diff", "--name-only", "--diff-filter=U") == "src/repro/__init__.py"
    assert (project / "docs/new.md").exists()
