"""Every command that the documentation shows can be typed: it exists, with these options and arguments."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import ROOT, TEMPLATE, default_answers, load_hook
from cookiecutter.cli import main as cookiecutter
from cruft._cli import app as cruft
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser

sys.path.insert(0, str(TEMPLATE / "src"))
from repro.cli import USAGE_ERROR
from repro.cli.app import app
from repro.config import load_config
from repro.reading import UserError
from typer.main import get_command

PROGRAMS = ("repro", "make", "dvc", "cookiecutter", "cruft")
STARTERS = re.compile(r"^(uvx|pipx run) (cookiecutter|cruft)==[\d.]+ ")  # of a program that need not be installed
GUIDE = [path for path in (ROOT / "docs").rglob("*.md") if not {"results", "examples"} & set(path.parts)]
SHIPPED = [TEMPLATE / "README.md", TEMPLATE / "worklog/README.md", *TEMPLATE.glob("docs/*.md")]
PAGES = [*GUIDE, ROOT / "README.md", *SHIPPED]
EXAMPLES = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("docs/examples/*/changes.patch"))
MAKEFILES = [(folder / "Makefile").read_text(encoding="utf-8") for folder in (ROOT, TEMPLATE)]


def blocks(text: str) -> Iterator[str]:
    """The code blocks that hold commands: fenced ones of a shell, those with output after `$`, and indented ones."""
    yield from re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield "".join(re.findall(r"^\$ (.*\n)", block, re.MULTILINE))
    for block in re.findall(r"(?:^    \S.*\n)+", text, re.MULTILINE):
        yield "\n".join(line[4:] for line in block.splitlines())


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of ours in a shell's text, its output and other programs left out."""
    for line in text.replace("\\\n", " ").splitlines():
        line = STARTERS.sub(r"\2 ", re.sub(r"\{\{.*?\}\}", "ANSWER", line))
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:
            continue  # prose, with an apostrophe
        command: list[str] = []
        for word in [*words, ";"]:
            if set(word) <= set(";&|<>"):
                yield from _of_ours(command)
                command = []
            else:
                command.append(word)


def _of_ours(words: list[str]) -> Iterator[list[str]]:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # a variable that is set for the command
        words = words[1:]
    if words and words[0].removeprefix(".venv/bin/") in PROGRAMS:
        yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


def problem(words: list[str], whole: bool = True) -> str | None:
    """What is wrong with a command; one that is not `whole` may lack arguments."""
    program, *arguments = words
    if program == "make":
        return _problem_of_make(arguments)
    if program == "dvc":
        return _problem_of_dvc(arguments) if whole else None
    if program == "cookiecutter":
        return _problem_of_cookiecutter(arguments) if whole else None
    return _problem_of_commands(get_command(app if program == "repro" else cruft), arguments, whole)


def _problem_of_commands(command: Any, arguments: list[str], whole: bool) -> str | None:
    while hasattr(command, "commands") and arguments and arguments[0] not in ("--help", "…"):
        if arguments[0] not in command.commands:
            return None if command.name == "prefs" else f"no command {arguments[0]}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    if hasattr(command, "commands") or "--help" in arguments:
        return None
    if not whole:
        known = {spelled for parameter in command.params for spelled in parameter.opts}
        used = {word.partition("=")[0] for word in arguments if word.startswith("--")}
        return f"no option {', '.join(used - known)}" if used - known else None
    try:
        command.make_context(command.name, list(arguments))
    except USAGE_ERROR as error:
        return str(error)
    return None


def _problem_of_cookiecutter(arguments: list[str]) -> str | None:
    try:
        answers = cookiecutter.make_context("cookiecutter", list(arguments)).params["extra_context"] or {}
    except click.UsageError as error:
        return str(error)
    hook = load_hook("pre_gen_project")
    unknown = sorted(set(answers) - set(hook.QUESTIONS))
    return f"no question {unknown[0]}" if unknown else hook.find_problem(default_answers() | answers)


def _problem_of_make(arguments: list[str]) -> str | None:
    for word in arguments:
        variable, is_set, _ = word.partition("=")
        pattern = rf"^{re.escape(variable)} [?:]?=" if is_set else rf"^{re.escape(word)}:"
        if not any(re.search(pattern, makefile, re.MULTILINE) for makefile in MAKEFILES):
            return f"no {'variable' if is_set else 'target'} {variable}"
    return None


def _problem_of_dvc(arguments: list[str]) -> str | None:
    try:
        get_main_parser().parse_args(arguments)
    except (DvcParserError, SystemExit) as error:
        return f"dvc does not know it: {error}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_can_be_typed(page: Path):
    text = page.read_text(encoding="utf-8")
    shown = [words for block in blocks(text) for words in commands(block)]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    named = [words for inline in re.findall(r"`([^`\n]+)`", prose) for words in commands(inline)]
    wrong = [(shlex.join(words), problem(words)) for words in shown if problem(words)]
    wrong += [(shlex.join(words), problem(words, whole=False)) for words in named if problem(words, whole=False)]
    assert wrong == []


def wrong_overrides(text: str) -> list[str]:
    """`--set KEY=VALUE` that no preset takes, wherever it stands, and no example of the guide adds to the code."""
    shown = re.findall(r"--set[ =]([a-z][\w.]*)=([\w.+-]*\w)", text)
    return [f"{key}={value}" for key, value in shown if key != "section.name" and not _is_taken(key, value)]


def _is_taken(key: str, value: str) -> bool:
    for preset in (TEMPLATE / "presets").glob("*.yaml"):
        try:
            load_config(preset, [f"{key}={value}"])
        except UserError:
            continue
        return True
    added = rf'^\+    {key.rpartition(".")[2]}: |^\+.*"{re.escape(value)}"'
    return any(re.search(added, part, re.MULTILINE) for part in EXAMPLES.split("diff --git a/") if part[:4] == "src/")


def missing_files(text: str) -> list[str]:
    """`--params PATH` that is neither in a project nor added by an example of the guide."""
    paths = re.findall(r"--params[ =]([\w./-]*\w)", text)
    return [
        path
        for path in paths
        if path.rpartition("/")[2] not in ("PATH", "NAME.yaml")
        and not (TEMPLATE / path).is_file()
        and f"\n+++ b/{path}\n" not in EXAMPLES
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_parameters_and_their_files_exist(page: Path):
    text = page.read_text(encoding="utf-8")
    assert wrong_overrides(text) == [] and missing_files(text) == []


def test_a_parameter_or_a_file_that_is_none_is_seen():
    overrides = "`--set agent.learning_rat=1e-3` --set evaluation.episodes=many --set evaluation.episodes=4"
    assert wrong_overrides(overrides) == ["agent.learning_rat=1e-3", "evaluation.episodes=many"]
    files = "repro train --params presets/cartpol.yaml --params presets/cartpole.yaml"
    assert missing_files(files) == ["presets/cartpol.yaml"]


def test_there_is_something_to_check():
    found = [words for page in PAGES for block in blocks(page.read_text(encoding="utf-8")) for words in commands(block)]
    assert {words[0] for words in found} == set(PROGRAMS) and len(found) > 80


@pytest.mark.parametrize(
    "line",
    [
        "repro trian --seed 100",
        "repro train --sed 100",
        "repro train --seed many",
        "repro train",
        "repro log serach word",
        "make smok",
        "make demo PYTHN=python3",
        "dvc rpro",
        "dvc repro --sed 1",
        "WANDB_MODE=offline .venv/bin/repro launch --on mars --seed 1",
        "cd project && repro show",
        "uvx cookiecutter==2.7.1 TEMPLATE --no-inpt",
        "cookiecutter TEMPLATE --no-input preset=mving-dot",
        "cookiecutter TEMPLATE --no-input wandb_mod=offline",
        "uvx cruft==2.16.0 updat",
        "cruft update --no",
    ],
)
def test_a_mistake_is_seen(line: str):
    (words,) = commands(line)
    assert problem(words)
