"""Answers taken and rendered in this process, as cookiecutter does it, and all that they were written into checked."""

from __future__ import annotations

import ast
import json
import posixpath
import re
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatch
from itertools import chain, pairwise
from typing import Any
from urllib.parse import unquote

import configobj
import yaml
from conftest import ROOT, SETTINGS, TEMPLATE, choices
from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config
from cookiecutter.utils import create_env_with_context
from hatchling.metadata.core import ProjectMetadata
from jinja2 import FileSystemLoader
from markdown_it import MarkdownIt
from packaging.requirements import Requirement
from ruamel.yaml import YAML

from local_extensions import RENDERED, dvc_url, paper_link

FILES = set((ROOT / "tests/files.txt").read_text(encoding="utf-8").splitlines())  # of every project
WITH_ANSWERS = sorted(name for name in FILES if any(fnmatch(name, pattern) for pattern in RENDERED))
CHOICES = choices()
LATER = ("reports/", "runs/")  # links may lead to what runs and reports write

ENVIRONMENT = create_env_with_context({"cookiecutter": SETTINGS})
ENVIRONMENT.loader = FileSystemLoader(TEMPLATE)
HOOKS = [path.read_text(encoding="utf-8") for path in (ROOT / "hooks").glob("*.py")]
RENDERED_HOOKS = [(source, ENVIRONMENT.from_string(source)) for source in HOOKS]


class Refused(Exception):
    """The line that refuses an answer."""


def all_answers(given: Mapping[str, str]) -> dict[str, Any]:
    """What cookiecutter passes on when these answers are given on its command line; raises Refused."""
    context = generate_context(str(ROOT / "cookiecutter.json"), extra_context=dict(given))
    try:
        return prompt_for_config(context, no_input=True)
    except SystemExit as refusal:
        raise Refused(refusal.code) from None


def render(answers: Mapping[str, Any]) -> dict[str, str]:
    """The text of each file that holds answers."""
    return {name: ENVIRONMENT.get_template(name).render(cookiecutter=answers) for name in WITH_ANSWERS}


def check(given: Mapping[str, str]) -> str | None:
    """That these answers give a sound project (returns None), or one clear line (returns the field it is about)."""
    try:
        answers = all_answers(given)
    except Refused as refusal:
        line = str(refusal)
        field = line.partition(":")[0]
        assert field in SETTINGS and " will not do: " in line, line
        assert line.isprintable() and len(line.splitlines()) == 1 and len(line) < 500, line
        return field
    for name, value in given.items():
        menu = {str(number): choice for number, choice in enumerate(CHOICES.get(name, ()), 1)}
        assert answers[name] == menu.get(value, value)
    check_hooks(answers)
    rendered = render(answers)
    check_pyproject(rendered["pyproject.toml"], answers)
    check_yaml(rendered, answers)
    check_markdown(rendered, answers)
    copyright_line = r"^ *Copyright (?:\(c\) )?\d{4},? (.+?)(?:\. All rights reserved\.)?$"
    assert re.findall(copyright_line, rendered["LICENSE"], re.MULTILINE) == [answers["author"]]
    remote = configobj.ConfigObj(rendered[".dvc/config"].splitlines())['remote "storage"']
    assert remote == {"url": dvc_url(answers["dvc_remote"])}
    return None


def check_hooks(answers: Mapping[str, Any]) -> None:
    """The answers are data in one line of each hook, and nothing else of it is changed."""
    for source, template in RENDERED_HOOKS:
        lines, rendered = source.split("\n"), template.render(cookiecutter=answers).split("\n")
        (number,) = [number for number, line in enumerate(lines) if line.startswith("ANSWERS = ")]
        (assignment,) = ast.parse(rendered[number]).body
        assert isinstance(assignment, ast.Assign)
        assert json.loads(ast.literal_eval(assignment.value)) == answers
        del lines[number], rendered[number]
        assert rendered == lines


def check_pyproject(text: str, answers: Mapping[str, Any]) -> None:
    settings = tomllib.loads(text)
    project = settings["project"]
    assert project["description"] == f"Reproduction of: {answers['paper_title']}"
    assert project["authors"] == [{"name": answers["author"], "email": answers["email"]}]
    wandb = {name: answers[f"wandb_{name}"] for name in ("entity", "project", "mode")}
    assert settings["tool"]["repro"]["wandb"] == {**wandb, "alerts": False}
    metadata = ProjectMetadata(str(TEMPLATE), None, settings).core  # what pip and uv read
    assert metadata.authors_data["email"] and metadata.license_expression
    requirements = chain(project["dependencies"], *project["optional-dependencies"].values())
    assert metadata.name not in {Requirement(requirement).name for requirement in requirements}


def check_yaml(rendered: Mapping[str, str], answers: Mapping[str, Any]) -> None:
    for name in ("paper/claims.yaml", "paper/preregistration.yaml"):
        read = YAML(typ="safe", pure=True).load(rendered[name])
        assert yaml.safe_load(rendered[name]) == read
        if name == "paper/claims.yaml":
            assert read["paper"] == {"title": answers["paper_title"], "url": paper_link(answers["paper_url"])}
            experiments = {claim["cells"]["experiment"] for claim in read["claims"]}
            assert experiments and experiments <= set(CHOICES["preset"])


def check_markdown(rendered: Mapping[str, str], answers: Mapping[str, Any]) -> None:
    """Texts and links mean what was typed, and nothing of Jinja is left."""
    title, author = answers["paper_title"], answers["author"]
    for name, text in rendered.items():
        for value in sorted((value for value in answers.values() if isinstance(value, str) and value), key=len)[::-1]:
            for written in (value, ENVIRONMENT.filters["in_quotes"](value), ENVIRONMENT.filters["markdown"](value)):
                text = text.replace(written, "")
        assert not re.search(r"\{\{|\{%|\{#|cookiecutter\.", text), name
        if name.endswith(".md"):
            headings, paragraphs, links = read_markdown(rendered[name])
            check_links(name, links)
            tables = [line for line in text.splitlines() if line.startswith("|") and name == "paper/deviations.md"]
            assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} <= {5}
            papers = [text for target, text in links if unquote(target) == unquote(paper_link(answers["paper_url"]))]
            if name == "README.md":
                assert headings[0] == answers["project_name"]
                assert paragraphs[0].startswith(f"A reproduction of {title},\nby {author}. It starts from the preset")
            if name != "paper/deviations.md" or "1706.03741" not in answers["paper_url"]:
                assert title in papers, name


def read_markdown(text: str) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Headings and paragraphs as a reader sees them, and links: target and text."""
    headings, paragraphs, links = [], [], []
    for before, token in pairwise(MarkdownIt("commonmark").parse(text)):
        if token.type != "inline":
            continue
        {"heading_open": headings, "paragraph_open": paragraphs}[before.type].append(shown(token.children))
        for number, child in enumerate(token.children):
            if child.type == "link_open":
                inside = token.children[number + 1 :]
                end = next(place for place, other in enumerate(inside) if other.type == "link_close")
                links.append((str(child.attrs["href"]), shown(inside[:end])))
    return headings, paragraphs, links


def shown(tokens: list[Any]) -> str:
    return "".join("\n" if token.type == "softbreak" else token.content for token in tokens)


def check_links(name: str, links: list[tuple[str, str]]) -> None:
    """Relative links of the file `name` lead to a file or a folder of the project."""
    folders = {posixpath.dirname(file) for file in FILES}
    for target, _ in links:
        if not re.match(r"https?://|#", target):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target.partition("#")[0]))
            assert path in FILES | folders or path.startswith(LATER), f"{name}: {target}"
