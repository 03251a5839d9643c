"""The files of the pre-launch gate: the checklist, which is the user's, and answers written beforehand."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.files import write_atomic
from repro.preflight.checks import CHECKS
from repro.reading import UserError, expect_entries, nearest, read_yaml
from repro.tracking.difference import differing
from repro.tracking.parameters import effective_params

SURPRISE = ("not", "somewhat", "very", "as surprised as I can get")  # if the run failed
SURPRISED_ENOUGH = SURPRISE[2:]
RESPONSES = ("fixed", "accepted")  # to something that may go wrong
SHOWN = 3  # of the parameters that a stale file differs in
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """A question asked before launch; `why` says what it guards against."""

    id: str
    ask: str
    why: str


@dataclass(frozen=True)
class CheckRule:
    """Which runs an automatic check guards ("all", "learned"), and what its failure does ("blocks", "warns")."""

    runs: str
    failure: str


@dataclass(frozen=True)
class Checklist:
    """The content of `checklists/prelaunch.yaml`."""

    questions: tuple[Question, ...]
    checks: dict[str, CheckRule]


def read_checklist(root: Path) -> Checklist:
    """Read `checklists/prelaunch.yaml` strictly. Raises UserError that names the entry and the fix."""
    path = Path(root) / "checklists" / "prelaunch.yaml"
    values = _read(path, f"{path}: no such file; bring it back with git, e.g. git checkout -- checklists/{path.name}")
    expect_entries(values, ("questions", "checks"), str(path))
    if not isinstance(values["questions"], list):
        raise UserError(f"{path}: questions: expected a list of entries with id, ask and why")
    questions = tuple(_question(entry, f"{path}: questions[{i}]") for i, entry in enumerate(values["questions"]))
    ids = [question.id for question in questions]
    for name in ids:
        if ids.count(name) > 1:
            raise UserError(f"{path}: questions: {name!r} is the id of more than one; give each its own")
    if "question" not in ids:
        raise UserError(f"{path}: questions: none has the id 'question' (which question does this run answer?); add it")
    checks = values["checks"]
    if not isinstance(checks, dict):
        raise UserError(f"{path}: checks: expected entries such as device: {{runs: all, failure: blocks}}")
    return Checklist(questions, {name: _rule(name, checks[name], f"{path}: checks.{name}") for name in checks})


def read_answers(
    path: Path, checklist: Checklist, code_hash: str, params: Params, question: str | None = None
) -> tuple[dict[str, str], dict[str, Any], dict[str, str]]:
    """The answers by question, the prediction, and the reasons to accept failed checks, from an answers file.

    `params` are those of the run, in which nothing is `auto`; `question` is the answer to the question of that id where
    the file leaves it empty.

    Raises UserError if the file was written for other code or parameters, or names everything that is missing.
    """
    path = Path(path)
    values = _read(path, f"{path}: no such file; repro prelaunch --write-answers {path} makes one to fill in")
    if values is None:
        raise UserError(f"{path}: is empty; repro prelaunch --write-answers FILE makes one to fill in")
    keys = ("code_hash", "parameters", "answers", "surprise", "causes", "failure_probability", "accept")
    expect_entries(values, keys, str(path))
    _refuse_stale(path, values, code_hash, params)
    answers = _texts(values["answers"], f"{path}: answers")
    expect_entries(answers, [question.id for question in checklist.questions], f"{path}: answers")
    answers["question"] = answers["question"] or (question or "").strip()
    accepted = _texts(values["accept"] or {}, f"{path}: accept")
    for name in accepted:
        if name not in checklist.checks:
            raise UserError(f"{path}: accept.{name}: no such check{nearest(name, checklist.checks)}")
        if accepted[name] and not is_reason(accepted[name]):
            raise UserError(f"{path}: accept.{name}: {accepted[name]!r} is no reason; write two words at least")
    causes = values["causes"] or []
    if not isinstance(causes, list):
        raise UserError(f"{path}: causes: expected a list of entries with cause, response and reason")
    causes = [_texts(cause, f"{path}: causes[{number}]") for number, cause in enumerate(causes)]
    for number, cause in enumerate(causes):
        expect_entries(cause, ("cause", "response", "reason"), f"{path}: causes[{number}]")
        _expect_choice(cause["response"], RESPONSES, f"{path}: causes[{number}].response")

    texts = {f"answers.{name}": text for name, text in answers.items()}
    texts |= {f"accept.{name}": text for name, text in accepted.items()}
    texts |= {f"causes[{number}].{name}": text for number, cause in enumerate(causes) for name, text in cause.items()}
    texts |= {name: values[name] for name in ("surprise", "failure_probability")}
    missing = [name for name, text in texts.items() if text in ("", None)]
    if missing:
        raise UserError(f"{path}: not answered: {', '.join(missing)}")
    surprise, probability = values["surprise"], values["failure_probability"]
    _expect_choice(surprise, SURPRISE, f"{path}: surprise")
    if surprise not in SURPRISED_ENOUGH:
        raise UserError(
            f"{path}: surprise: {surprise!r} is too little; add to causes what may go wrong, fix or accept it, "
            f"until it is {SURPRISED_ENOUGH[0]!r} or {SURPRISED_ENOUGH[1]!r}"
        )
    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise UserError(f"{path}: failure_probability: {probability!r} will not do; write a number from 0 to 1")
    prediction = {"failure_probability": float(probability), "surprise": surprise, "causes": causes}
    return answers, prediction, accepted


def write_answers_template(path: Path, checklist: Checklist, code_hash: str, params: Params) -> None:
    """Write an answers file to be filled in, for this code and these parameters. Raises UserError if it exists.

    In `params` nothing is `auto`.
    """
    lines = ["# Answers to the pre-launch questions.", "answers:"]
    for question in checklist.questions:
        lines += _comment(f"{question.ask} {question.why}", indent="  ")
        lines += [f'  {question.id}: ""', ""]
    lines += _comment(f"How surprised would you be if this run failed? One of: {', '.join(SURPRISE)}.")
    lines += _comment("If less than very: what might have gone wrong? Add it to causes, fix or accept it, repeat.")
    lines += ['surprise: ""', "causes: []", "# causes:", '#   - cause: ""', "#     response: fixed  # or accepted"]
    lines += ['#     reason: ""  # how it was fixed, or why it is accepted', ""]
    lines += ["# How probable is it that this run fails, from 0 to 1?", "failure_probability:", ""]
    lines += _comment("Failed automatic checks that the run may start with, and why: accept: {disk_space: reason}.")
    lines += [
        "accept: {}",
        "",
        "# What this was written for, not to be edited: runs of other code or parameters refuse it.",
    ]
    lines += [f'code_hash: "{code_hash}"', "parameters:"]
    lines += [f"  {section}: {json.dumps(values)}" for section, values in effective_params(params).items()]
    if path.exists():
        raise UserError(f"{path}: exists already; give another name, or delete it first")
    write_atomic(path, ("\n".join(lines) + "\n").encode())


def is_reason(text: str) -> bool:
    """Whether a text may be the reason to start in spite of a failed check: not a `no` or `q`, typed to get out."""
    return len(text.split()) > 1


def _refuse_stale(path: Path, values: dict[str, Any], code_hash: str, params: Params) -> None:
    """Raise UserError if the file was written for other code or parameters, and say which."""
    _expect_mapping(values["parameters"], f"{path}: parameters")
    differences = [
        f"{name} {json.dumps(then, default=str)}, now {json.dumps(now)}"
        for name, (then, now) in differing([values["parameters"], effective_params(params)]).items()
    ]
    others = ["code"] if values["code_hash"] != code_hash else []
    if differences:
        more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        others.append(f"parameters ({'; '.join(differences[:SHOWN])}{more})")
    if others:
        raise UserError(
            f"{path}: stale: written for other {' and '.join(others)}; "
            "make a new one with repro prelaunch --write-answers FILE"
        )


def _question(entry: Any, where: str) -> Question:
    expect_entries(entry, ("id", "ask", "why"), where)
    texts = _texts(entry, where)
    for name, text in texts.items():
        if not text:
            raise UserError(f"{where}.{name}: is empty; write it")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", texts["id"]):
        raise UserError(f"{where}.id: {texts['id']!r} will not do; use lower-case letters, digits and _")
    return Question(**texts)


def _rule(name: Any, entry: Any, where: str) -> CheckRule:
    if name not in CHECKS:
        raise UserError(f"{where}: no such check{nearest(name, CHECKS)}")
    expect_entries(entry, ("runs", "failure"), where)
    _expect_choice(entry["runs"], ("all", "learned"), f"{where}.runs")
    _expect_choice(entry["failure"], ("blocks", "warns"), f"{where}.failure")
    return CheckRule(**entry)


def _read(path: Path, if_missing: str) -> Any:
    if not path.exists():
        raise UserError(if_missing)
    return read_yaml(path)


def _expect_choice(value: Any, options: Collection[str], where: str) -> None:
    if value not in options:
        raise UserError(f"{where}: {value!r} will not do; write one of: {', '.join(options)}")


def _expect_mapping(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected entries of the form name: value")


def _texts(value: Any, where: str) -> dict[str, str]:
    """A mapping of texts, stripped; nothing at all counts as an empty text."""
    _expect_mapping(value, where)
    for name, text in value.items():
        if not isinstance(text, str | None):
            raise UserError(f"{where}.{name}: {text!r} is not a text; put it in quotes")
    return {str(name): (text or "").strip() for name, text in value.items()}


def _comment(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
