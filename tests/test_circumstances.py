"""How generation behaves where things are not as they should be: git, the network, an existing project."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from conftest import SETTINGS, TEMPLATE, Generator, contents

# Where the template comes from, and where the project goes


def test_it_is_the_same_from_a_tag_in_git_from_a_zip_and_from_a_folder_with_spaces(
    generate: Generator, template_repository: Path, tmp_path: Path
):
    generate.git(tmp_path, "clone", "-q", "--bare", str(template_repository), "bare.git")
    archive = tmp_path / "template.zip"
    generate.git(template_repository, "archive", "--format=zip", "--prefix=template/", "-o", str(archive), "main")
    tagged = ("--checkout", f"v{SETTINGS['_version']}")
    sources = ((tmp_path / "bare.git").as_uri(), *tagged), (archive,), (template_repository,)
    made = []
    for number, (template, *options) in enumerate(sources):
        project = generate.project(tmp_path / f"année {number}", *options, template=template)
        assert generate.git(project, "status", "--porcelain") == ""
        made.append(contents(project))
    assert made[0] == made[1] == made[2]


def test_a_replay_makes_the_same_again(generate: Generator, template_repository: Path, tmp_path: Path):
    answers = {"project_name": "{{ 7 * 7 }} Zoë", "project_slug": "dot", "preset": "frozenlake"}
    first = generate.project(tmp_path / "first", template=template_repository, **answers)
    again = generate.project(tmp_path / "again", "--replay", template=template_repository)
    assert contents(again) == contents(first)


def test_what_working_in_the_template_leaves_there_is_in_no_project(
    generate: Generator, template_repository: Path, default_project: Path, tmp_path: Path
):
    template = Path(shutil.copytree(template_repository, tmp_path / "template"))
    inside = template / TEMPLATE.name
    for name in ("src/repro/__pycache__/a.pyc", "src/.ruff_cache/x", ".mypy_cache/3.11/{{x", "MUJOCO_LOG.TXT"):
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).write_text("left behind")
    assert contents(generate.project(tmp_path / "out", template=template)) == contents(default_project)


def test_no_network_is_needed(generate: Generator, default_project: Path, tmp_path: Path):
    names = ("http_proxy", "https_proxy", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY")
    closed = dict.fromkeys(names, "http://127.0.0.1:9")
    project = generate.project(tmp_path / "out", env=closed, within=without_network())
    assert contents(project) == contents(default_project)


def without_network() -> tuple[str, ...]:
    """What to put before a command so that it has no network; nothing where the system does not let us."""
    cut_off = ("unshare", "--map-root-user", "--net")
    works = shutil.which("unshare") and subprocess.run([*cut_off, "true"], capture_output=True).returncode == 0
    return cut_off if works else ()


# Git


def test_the_first_commit_needs_no_identity(generate: Generator, tmp_path: Path):
    project = generate.project(tmp_path / "out", author="Ada Lovelace", email="ada@example.com")
    assert (
        generate.git(project, "log", "--format=%an <%ae> %s")
        == "Ada Lovelace <ada@example.com> Start from the template"
    )
    assert generate.git(project, "branch", "--show-current") == "main"
    assert generate.git(project, "status", "--porcelain") == ""
    assert generate.git(project, "config", "--local", "--list").count("user.") == 0


def test_an_author_of_characters_that_git_drops_still_commits(generate: Generator, tmp_path: Path):
    project = generate.project(tmp_path / "out", author='"..."', email="ada@example.com")
    assert generate.git(project, "log", "--format=%an") == "ada@example.com"


def test_an_identity_that_git_knows_is_used(generate: Generator, tmp_path: Path):
    (generate.home / ".gitconfig").write_text(
        "[user]\n name = Me\n email = me@example.com\n[commit]\n gpgSign = true\n"
    )
    project = generate.project(tmp_path / "out", author="Somebody")
    assert generate.git(project, "log", "--format=%an <%ae>") == "Me <me@example.com>"


def test_another_repository_named_in_the_environment_is_left_alone(generate: Generator, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    generate.git(other, "init", "-q")
    done = generate(tmp_path / "out", env={"GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other)})
    assert done.returncode == 0, done.stderr
    assert generate.git(other, "rev-list", "--all", "--count") == "0"
    assert generate.git(tmp_path / "out" / "moving-dot-from-preferences", "rev-list", "--count", "HEAD") == "1"


def test_without_git_the_project_is_made_and_one_line_says_so(generate: Generator, tmp_path: Path):
    empty = tmp_path / "no-programs"
    empty.mkdir()
    done = generate(tmp_path / "out", env={"PATH": str(empty)})
    assert done.returncode == 0, done.stderr
    project = tmp_path / "out" / "moving-dot-from-preferences"
    assert (project / "params.yaml").exists() and not (project / ".git").exists()
    assert [line.strip() for line in done.stdout.splitlines() if "git was not found" in line] == [
        "git was not found: the project has no history yet; install git, then: git init -b main && git add -A"
    ]


def test_a_terminal_without_the_names_letters_is_no_obstacle(generate: Generator, tmp_path: Path):
    done = generate(tmp_path / "out", env={"PYTHONIOENCODING": "ascii"}, project_name="Dot", author="Zoë")
    assert done.returncode == 0, done.stderr
    done = generate(tmp_path / "out2", env={"PYTHONIOENCODING": "ascii:strict"}, project_name="Zoë 🤖")
    assert done.returncode == 0, done.stderr


# Again over the same project


def test_a_second_time_keeps_history_work_and_edited_parameters(generate: Generator, tmp_path: Path):
    project = generate.project(tmp_path / "out")
    page = project / "worklog" / "2026-11-21.md"
    page.write_text("my thoughts\n")
    refused = generate(tmp_path / "out")
    assert refused.returncode == 1 and "already exists" in refused.stdout + refused.stderr
    generate.project(tmp_path / "out", "-f", preset="moving-dot-small")
    assert (project / "params.yaml").read_bytes() == (TEMPLATE / "presets" / "moving-dot-small.yaml").read_bytes()
    edited = (project / "params.yaml").read_text() + "# mine\n"
    (project / "params.yaml").write_text(edited)
    done = generate(tmp_path / "out", "-f")
    assert done.returncode == 0 and "params.yaml was edited, so it is kept" in done.stdout
    assert (project / "params.yaml").read_text() == edited
    assert page.read_text() == "my thoughts\n"
    assert generate.git(project, "rev-list", "--count", "HEAD") == "1"


def test_over_a_project_only_files_of_the_template_are_replaced_and_with_skip_none(
    generate: Generator, default_project: Path, tmp_path: Path
):
    project = generate.project(tmp_path / "out")
    mine = project / "src/repro/envs/mine.py"
    edited = [project / name for name in ("src/repro/__init__.py", "README.md", "Makefile", "paper/scope.md")]
    missing = [project / name for name in ("src/repro/files.py", "LICENSE")]
    for path in [mine, *edited]:
        path.write_text("mine\n")
    for path in missing:
        path.unlink()
    generate.project(tmp_path / "out", "-f", "-s")
    assert {path.read_text() for path in [mine, *edited]} == {"mine\n"} and all(path.exists() for path in missing)
    generate.project(tmp_path / "out", "-f")
    assert contents(project) == contents(default_project) | {"src/repro/envs/mine.py": b"mine\n"}
