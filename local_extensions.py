"""Jinja filters of this template: answers are checked before anything is made, then written as safe strings."""

from __future__ import annotations

import importlib.util
import json
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import yaml
from cookiecutter.cli import main as cookiecutter_command
from cookiecutter.config import DEFAULT_CONFIG, get_user_config
from jinja2 import Environment
from jinja2.ext import Extension
from rich.markup import escape
from rich.prompt import Prompt

ROOT = Path(__file__).parent
PROJECT = "{{cookiecutter.project_slug}}"
PRESETS = ROOT / PROJECT / "presets"
# The files that answers are written into; all others are the same in every project.
RENDERED = ("README.md", "LICENSE", "pyproject.toml", ".dvc/config", "paper/*")
MUJOCO_PRESETS = ("inverted-pendulum", "half-cheetah", "half-cheetah-preferences", "hopper")
# What the presets' names begin with -> the task as a sentence names it, and what is observed there. The longest counts.
TASKS = {
    "moving-dot": ("the moving dot", "dot"),
    "cartpole": ("CartPole", "numbers"),
    "acrobot": ("Acrobot", "numbers"),
    "frozenlake": ("FrozenLake", "numbers"),
    "pendulum": ("Pendulum", "numbers"),
    "inverted-pendulum": ("MuJoCo's InvertedPendulum", "numbers"),
    "half-cheetah": ("MuJoCo's HalfCheetah", "numbers"),
    "hopper": ("MuJoCo's Hopper", "numbers"),
    "pong": ("Atari's Pong", "game"),
    "breakout": ("Atari's Breakout", "game"),
}


class AnswerFilters(Extension):
    """Adds the filters below to cookiecutter's environment, and decides what is rendered (`_extensions`)."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        # cruft renders two versions of this template in one process: the next environment reads this file anew.
        sys.modules.pop(__name__, None)
        settings = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
        environment.globals["template_version"] = settings["_version"]
        environment.globals["texts"] = self.texts = []
        self.sources = {PROJECT, *(path.read_text(encoding="utf-8") for path in (ROOT / "hooks").glob("*.py"))}
        self.sources |= {value for value in settings.values() if isinstance(value, str)}
        environment.globals["refuse_stray_answers"] = refuse_stray_answers
        for function in (
            in_quotes,
            hook_literal,
            markdown,
            paper_link,
            dvc_url,
            dvc_extra,
            gymnasium_extras,
            task,
            parameters,
            settle,
            refuse_bad_answers,
        ):
            environment.filters[function.__name__] = function

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """What Jinja sees of a source: the template's own as it is, everything else as text.

        Cookiecutter also renders answers, those from its command line, its configuration and cruft, and Jinja can run
        any code; here `{{ 7 * 7 }}` is text in all of them. Only files have a name. Those without answers are text too,
        instead of being listed in `_copy_without_render`, which ignores `-s` and empties folders first.
        """
        own = source in self.sources if name is None else any(fnmatch(name, pattern) for pattern in RENDERED)
        if own:
            return source
        self.texts.append(source)
        return f"{{{{ texts[{len(self.texts) - 1}] }}}}"


def in_quotes(value: str) -> str:
    """Text escaped to stand between double quotes; it then means the same in TOML, YAML and JSON.

    The quotes stand in the template, so that the unrendered file can be read too. Not `tojson`: it writes an
    emoji as two surrogates, which TOML refuses.
    """
    return json.dumps(value, ensure_ascii=False)[1:-1]


def hook_literal(answers: Mapping[str, Any]) -> str:
    """All answers as JSON, escaped to stand between the double quotes of a Python string."""
    return json.dumps(json.dumps(answers))[1:-1]


def markdown(value: str) -> str:
    """Text that Markdown shows as it was typed."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", value)


def paper_link(value: str) -> str:
    """The address of a paper given by URL or arXiv id."""
    return value if "://" in value else "https://arxiv.org/abs/" + re.sub(r"^arxiv:", "", value, flags=re.IGNORECASE)


def dvc_url(value: str) -> str:
    """A remote as `dvc remote add` writes it: a relative path is seen from the folder .dvc, not from the project."""
    if "://" in value or posixpath.isabs(value):
        return value
    return posixpath.normpath(posixpath.join("..", value))


def dvc_extra(value: str) -> str:
    """The extra of the package dvc that a remote needs, in brackets; most remotes but a local folder need one."""
    scheme = value.partition("://")[0] if "://" in value else ""
    extra = "webdav" if scheme == "webdavs" else scheme
    return f"[{extra}]" if extra in ("s3", "gs", "azure", "ssh", "webdav") else ""


def gymnasium_extras(preset: str) -> str:
    """The extras of the package gymnasium that a preset needs; the first draws pictures of classic environments."""
    return "classic-control,mujoco" if preset in MUJOCO_PRESETS else "classic-control"


def task(preset: str) -> dict[str, Any]:
    """What the texts of paper/ say of a preset's task.

    name: in a sentence. observed: "dot" (images of it), "numbers" or "game" (its screen). learned: whether the preset
    trains on preferences. experiment: the preset. baseline: the nearest that learns from true rewards.
    """
    prefix = max((prefix for prefix in TASKS if preset.startswith(prefix)), key=len)
    name, observed = TASKS[prefix]
    learned = preset.endswith("-preferences") or (observed == "dot" and not preset.endswith("-true-reward"))
    baseline = "moving-dot-true-reward" if observed == "dot" else preset.removesuffix("-preferences")
    return {"name": name, "observed": observed, "learned": learned, "experiment": preset, "baseline": baseline}


def parameters(preset: str) -> dict[str, Any]:
    """What the preset's file holds."""
    values: dict[str, Any] = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text(encoding="utf-8"))
    return values


def refuse_stray_answers() -> str:
    """Nothing if cookiecutter was given answers to its questions only, and texts; otherwise one line, and exit code 1.

    It passes over a name that it does not know without a word, and stops in the middle at some values that are no text.
    """
    given = _options()
    problem = next(_strays(given), None) if given else None
    if problem:
        sys.exit(problem)
    return ""


def _strays(given: Mapping[str, Any]) -> Iterator[str]:
    """A line for each. The user's own settings serve all templates: only there, other names are welcome."""
    hook = _hook()
    config = get_user_config(given["config_file"], given["default_config"])
    from_file, typed = config["default_context"] or {}, given["extra_context"] or {}
    if given["config_file"]:
        for name in [name for name in config if name not in DEFAULT_CONFIG]:
            yield hook.refusal(str(name), config[name], "write answers below default_context:, indented")
        typed = {**from_file, **typed}
    for name in [name for name in typed if name not in hook.QUESTIONS]:
        fix = f"no question has this name; write one of {', '.join(hook.QUESTIONS)}"
        yield hook.refusal(str(name), typed[name], fix)
    for name in [name for name in hook.QUESTIONS if not isinstance(from_file.get(name, ""), str)]:
        yield hook.refusal(name, from_file[name], hook.NO_TEXT)


def settle(answers: dict[str, Any], field: str) -> str:
    """Puts the name in place of the number that a menu shows for it; a person whose answer will not do is asked again.

    Choices are no lists in cookiecutter.json: then cookiecutter itself checks what is given beforehand, and ends with a
    traceback, or takes the default. As texts they are checked as all answers are.
    """
    hook = _hook()
    menu = {str(number): name for number, name in enumerate(hook.CHOICES.get(field, ()), 1)}
    while True:
        answers[field] = menu.get(str(answers[field]), answers[field])
        problem = hook.problem_of(field, answers)
        if problem is None or not _options() or _options()["no_input"]:
            return ""
        why = "That is not in the menu. Number or name" if menu else f"{escape(problem)}\n    Once more"
        try:
            answers[field] = Prompt.ask(f"    {why}")
        except EOFError:
            sys.exit(problem)


def refuse_bad_answers(answers: Mapping[str, Any]) -> str:
    """Nothing if the pre_gen hook will accept the answers; otherwise its line on stderr, and exit code 1.

    Cookiecutter makes the project's folder before it runs that hook, and takes away only the last part of its
    path: a slug such as a/b would leave a behind. So the same checks also run as soon as all answers are known.
    """
    problem = _hook().find_problem(answers)
    if problem:
        sys.exit(problem)
    return ""


def _options() -> dict[str, Any]:
    """What stands on cookiecutter's command line; nothing where cruft or a Python program makes the project."""
    running = click.get_current_context(silent=True)
    return running.params if running and running.command is cookiecutter_command else {}


def _hook() -> ModuleType:
    """The pre_gen hook as it stands, unrendered: it has the checks."""
    spec = importlib.util.spec_from_file_location("pre_gen_project", ROOT / "hooks" / "pre_gen_project.py")
    assert spec and spec.loader
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    return hook
