"""What a generated project holds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT, TEMPLATE, Generator, default_answers
from packaging.requirements import Requirement


def pyproject(project: Path) -> dict:
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))


# What is made


def test_the_convenience_link_leads_to_the_template():
    assert (ROOT / "template").is_symlink() and (ROOT / "template").resolve() == TEMPLATE


def test_the_unrendered_pyproject_can_be_read_by_tools_that_work_in_the_template():
    assert (
        tomllib.loads((TEMPLATE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["line-length"] == 120
    )


@pytest.mark.parametrize(
    ("licence", "expression", "phrases"),
    [
        ("MIT", "MIT", ["MIT License", "Permission is hereby granted, free of charge"]),
        ("BSD-3-Clause", "BSD-3-Clause", ["BSD 3-Clause License", "Neither the name of the copyright holder"]),
        ("Apache-2.0", "Apache-2.0", ["Apache License", "Version 2.0, January 2004", "END OF TERMS AND CONDITIONS"]),
        ("Proprietary", "LicenseRef-Proprietary", ["All rights reserved"]),
    ],
)
def test_the_licence_is_the_chosen_one(
    generate: Generator, tmp_path: Path, licence: str, expression: str, phrases: list[str]
):
    project = generate.project(tmp_path / "out", license=licence, author="Zoë 🦊")
    text = (project / "LICENSE").read_text(encoding="utf-8")
    assert all(phrase in text for phrase in phrases)
    assert re.search(r"Copyright (\(c\) )?\d{4},? Zoë 🦊", text)
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert pyproject(project)["project"]["license"] == expression
    assert (
        subprocess.run([sys.executable, "-m", "hatchling", "metadata"], cwd=project, capture_output=True).returncode
        == 0
    )


@pytest.mark.parametrize("remote", ["../dvc-remote", "../../with space/x", "/data/dvc", "s3://bucket/path"])
def test_the_dvc_files_equal_those_of_a_real_dvc_init(generate: Generator, tmp_path: Path, remote: str):
    project = generate.project(tmp_path / "out", dvc_remote=remote)
    real = tmp_path / "out" / "real"
    real.mkdir()
    env = generate.env | {"DVC_NO_ANALYTICS": "1"}
    for command in (
        ["git", "init", "-q"],
        [sys.executable, "-m", "dvc", "init", "-q"],
        [sys.executable, "-m", "dvc", "remote", "add", "-q", "-d", "storage", remote],
    ):
        subprocess.run(command, cwd=real, env=env, check=True, capture_output=True, timeout=60)
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore"):
        assert (project / name).read_bytes() == (real / name).read_bytes(), name


def test_data_can_be_pushed_to_the_default_remote_and_git_stays_clean(generate: Generator, tmp_path: Path):
    project = generate.project(tmp_path / "out")
    (project / "data" / "segments.bin").write_bytes(b"clips")
    dvc = [sys.executable, "-m", "dvc"]
    env = generate.env | {"DVC_NO_ANALYTICS": "1"}
    stage = ["stage", "add", "-q", "-n", "once", "-o", "models/dot/seed-100", "mkdir -p models/dot/seed-100"]
    (project / "dvc.yaml").unlink(missing_ok=True)
    for command in ([*dvc, *stage], [*dvc, "repro", "-q"], [*dvc, "push", "-q"]):
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    assert any((tmp_path / "out" / "moving-dot-from-preferences-dvc-remote").rglob("*"))
    changed = {line.split()[-1] for line in generate.git(project, "status", "--porcelain").splitlines()}
    assert changed <= {"dvc.yaml", "dvc.lock"}


def test_make_lists_its_targets(default_project: Path):
    for folder in (default_project, ROOT):
        shown = subprocess.run(["make", "-s"], cwd=folder, capture_output=True, text=True, check=True).stdout
        phony = re.search(r"^\.PHONY: (.+)$", (folder / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert phony
        hidden = {"lint"} if folder == ROOT else set()
        assert {line.split()[1] for line in shown.splitlines()} == set(phony[1].split()) - hidden


def test_the_demo_is_told_where_its_project_is(default_project: Path):
    assert f"DEMO := build/{default_project.name}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


# What is installed


MODULES = {"pillow": "PIL", "ruamel.yaml": "ruamel"}  # where a package's module has another name
PARTS = {"mujoco": "gymnasium", "pydantic_core": "pydantic"}  # modules that come with a package, or an extra of it


def imported(source: Path) -> set[str]:
    """The packages that the code below a folder imports, its own and Python's left out."""
    found = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {name.partition(".")[0] for name in names}
    return found - sys.stdlib_module_names - {"repro"}


def modules(requirements: list[str]) -> set[str]:
    names = [Requirement(requirement).name for requirement in requirements]
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def test_what_setup_installs_is_what_the_code_uses(default_project: Path):
    project = pyproject(default_project)["project"]
    needed, extras = modules(project["dependencies"]), project["optional-dependencies"]
    used = {PARTS.get(name, name) for name in imported(default_project / "src")}
    assert (default_project / "dvc.yaml").exists()
    assert needed - used == {"dvc"}  # a program: it reads dvc.yaml
    assert used - needed == modules(extras["baseline"]) | modules(extras["slurm"])


# Names


def test_the_slug_follows_the_name(generate: Generator, tmp_path: Path):
    assert generate.project(tmp_path / "a", project_name="Zoë's Dot: Más!").name == "zoe-s-dot-mas"
    assert generate.project(tmp_path / "b", project_name="🤖").name == "rl-reproduction"


def test_a_name_typed_with_template_braces_is_text_not_template(generate: Generator, tmp_path: Path):
    answers = default_answers() | {"project_name": "{{ 7 * 7 }} {% if %}", "project_slug": "dot"}
    done = generate(tmp_path / "out", stdin="\n".join(answers.values()) + "\n")
    assert done.returncode == 0, done.stdout + done.stderr
    title = (tmp_path / "out" / "dot" / "README.md").read_text(encoding="utf-8").splitlines()[0]
    assert title == r"# \{\{ 7 \* 7 \}\} \{% if %\}"
