"""The files of the pre-launch gate: the checklist, which is the user's, and answers written beforehand."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from repro.files import write_atomic
from repro.preflight.checks import CHECKS
from repro.reading import UserError, nearest
from repro.results.strict_files import Strict, Text, read_strict
from repro.tracking.difference import differing
from repro.tracking.parameters import effective_params

Surprise = Literal["not", "somewhat", "very", "as surprised as I can get"]  # if the run failed
Response = Literal["fixed", "accepted"]  # to something that may go wrong
SURPRISE: tuple[str, ...] = get_args(Surprise)
SURPRISED_ENOUGH = SURPRISE[2:]
RESPONSES: tuple[str, ...] = get_args(Response)
SHOWN = 3  # of the parameters that a stale file differs in
ANSWERS_TEMPLATE = """\
# Answers to the pre-launch questions.
answers:
{questions}
# How surprised would you be if this run failed? One of: {surprise}.
# If less than very: what might have gone wrong? Add it to causes, fix or accept it, repeat.
surprise: ""
causes: []
# causes:
#   - cause: ""
#     response: fixed  # or accepted
#     reason: ""  # how it was fixed, or why it is accepted

# How probable is it that this run fails, from 0 to 1?
failure_probability:

# Failed automatic checks that the run may start with, and why: accept: {{disk_space: reason}}.
accept: {{}}

# What this was written for, not to be edited: runs of other code or parameters refuse it.
code_hash: "{code_hash}"
parameters:
{parameters}
"""
Params = Mapping[str, Any]


class Question(Strict):
    """A question asked before launch; `why` says what it guards against."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    ask: Text
    why: Text


class CheckRule(Strict):
    """Which runs an automatic check guards, and what its failure does."""

    runs: Literal["all", "learned"]
    failure: Literal["blocks", "warns"]


class Checklist(Strict):
    """The content of `checklists/prelaunch.yaml`."""

    questions: list[Question]
    checks: dict[str, CheckRule]

    @model_validator(mode="after")
    def names_are_known(self) -> Checklist:
        ids = [question.id for question in self.questions]
        if twice := [name for name in ids if ids.count(name) > 1]:
            raise ValueError(f"questions: {twice[0]!r} is the id of more than one; give each its own")
        if "question" not in ids:
            raise ValueError("questions: none has the id 'question' (which question does this run answer?); add it")
        if unknown := [name for name in self.checks if name not in CHECKS]:
            raise ValueError(f"checks.{unknown[0]}: no such check{nearest(unknown[0], CHECKS)}")
        return self


class Cause(Strict):
    """Something that may go wrong, and what was done about it."""

    cause: str
    response: Response
    reason: str


class AnswersFile(Strict):
    """As `write_answers_template` writes it; what is not answered yet is empty."""

    code_hash: str
    parameters: dict[str, Any]
    answers: dict[str, str | None]
    surprise: Surprise | Literal[""] | None
    causes: list[Cause]
    failure_probability: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None
    accept: dict[str, str | None]


def read_checklist(root: Path) -> Checklist:
    """Read `checklists/prelaunch.yaml` strictly. Raises UserError that names the entry and the fix."""
    name = "checklists/prelaunch.yaml"
    if_missing = f"bring it back with git, e.g. git checkout -- {name}"
    return read_strict(root / name, Checklist, if_missing)


def read_answers(
    path: Path, checklist: Checklist, code_hash: str, params: Params, question: str | None = None
) -> tuple[dict[str, str], dict[str, Any], dict[str, str]]:
    """The answers by question, the prediction, and the reasons to accept failed checks, from an answers file.

    `params` are those of the run, in which nothing is `auto`; `question` is the answer to the question of that id where
    the file leaves it empty.

    Raises UserError if the file was written for other code or parameters, or names everything that is missing.
    """
    if_missing = "repro prelaunch --write-answers FILE makes one to fill in"
    file = read_strict(path, AnswersFile, if_missing)
    _refuse_stale(path, file, code_hash, params)
    asked = [question.id for question in checklist.questions]
    for name in file.answers:
        if name not in asked:
            raise UserError(f"{path}: answers.{name}: no such question{nearest(name, asked)}")
    for name, reason in file.accept.items():
        if name not in checklist.checks:
            raise UserError(f"{path}: accept.{name}: no such check{nearest(name, checklist.checks)}")
        if reason and not is_reason(reason):
            raise UserError(f"{path}: accept.{name}: {reason!r} is no reason; write two words at least")
    answers = {name: file.answers.get(name) or "" for name in asked}
    answers["question"] = answers["question"] or (question or "").strip()
    causes = [cause.model_dump() for cause in file.causes]

    texts: dict[str, Any] = {f"answers.{name}": text for name, text in answers.items()}
    texts |= {f"accept.{name}": text for name, text in file.accept.items()}
    texts |= {f"causes[{number}].{name}": text for number, cause in enumerate(causes) for name, text in cause.items()}
    texts |= {"surprise": file.surprise, "failure_probability": file.failure_probability}
    missing = [name for name, text in texts.items() if text in ("", None)]
    if missing:
        raise UserError(f"{path}: not answered: {', '.join(missing)}")
    if file.surprise not in SURPRISED_ENOUGH:
        raise UserError(
            f"{path}: surprise: {file.surprise!r} is too little; add to causes what may go wrong, fix or accept it, "
            f"until it is {SURPRISED_ENOUGH[0]!r} or {SURPRISED_ENOUGH[1]!r}"
        )
    prediction = {"failure_probability": file.failure_probability, "surprise": file.surprise, "causes": causes}
    return answers, prediction, {name: reason or "" for name, reason in file.accept.items()}


def write_answers_template(path: Path, checklist: Checklist, code_hash: str, params: Params) -> None:
    """Write an answers file to be filled in, for this code and these parameters. Raises UserError if it exists.

    In `params` nothing is `auto`.
    """
    if path.exists():
        raise UserError(f"{path}: exists already; give another name, or delete it first")
    asked: list[str] = []
    for question in checklist.questions:
        about = textwrap.wrap(f"{question.ask} {question.why}", 110, initial_indent="  # ", subsequent_indent="  # ")
        asked += [*about, f'  {question.id}: ""', ""]
    sections = [f"  {name}: {json.dumps(values)}" for name, values in effective_params(params).items()]
    content = ANSWERS_TEMPLATE.format(
        questions="\n".join(asked), surprise=", ".join(SURPRISE), code_hash=code_hash, parameters="\n".join(sections)
    )
    write_atomic(path, content.encode())


def is_reason(text: str) -> bool:
    """Whether a text may be the reason to start in spite of a failed check: not a `no` or `q`, typed to get out."""
    return len(text.split()) > 1


def _refuse_stale(path: Path, file: AnswersFile, code_hash: str, params: Params) -> None:
    """Raise UserError if the file was written for other code or parameters, and say which."""
    differences = [
        f"{name} {json.dumps(then, default=str)}, now {json.dumps(now)}"
        for name, (then, now) in differing([file.parameters, effective_params(params)]).items()
    ]
    others = ["code"] if file.code_hash != code_hash else []
    if differences:
        more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        others.append(f"parameters ({'; '.join(differences[:SHOWN])}{more})")
    if others:
        raise UserError(
            f"{path}: stale: written for other {' and '.join(others)}; "
            "make a new one with repro prelaunch --write-answers FILE"
        )
