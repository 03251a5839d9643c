"""What is wrong with parameters, in one line: the field, the value, the fix."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pydantic

from repro.config.parameters import ALGORITHMS, ENVIRONMENTS, KINDS, Config
from repro.reading import nearest

# What pydantic calls it if there is something else in place of a section.
NO_SECTION = ("model_type", "model_attributes_type", "dict_type", "union_tag_invalid", "union_tag_not_found")


def explain(error: pydantic.ValidationError) -> str:
    """The first problem in one line: the field, the value, the fix."""
    problems = error.errors(include_url=False)
    # A misspelled parameter is an unknown one and a missing one; the unknown one says what to do.
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    # What is no environment at all has all its other parameters wrong too.
    problem = next((one for one in problems if one["loc"] == ("env", "gym", "id")), problem)
    *sections, name = problem["loc"] or ("",)
    field = ".".join(str(part) for part in (*sections, name) if part not in KINDS)
    if problem["type"] == "extra_forbidden" and (kind := _other_kind(sections, str(name))):
        return f"{field}: is a parameter of {kind}, not of {sections[-1]}; start from a preset of its kind (presets/)"
    if problem["type"] == "extra_forbidden":
        return f"{field}: unknown parameter{nearest(str(name), _known_fields(sections))}"
    if not isinstance(problem["input"], dict) and problem["type"] in NO_SECTION:
        return f"{field}: {_shown(problem['input'])} will not do: it is a section; name a parameter in it"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{field}.algorithm: {_shown(problem['input'].get('algorithm'))} is none of {', '.join(ALGORITHMS)}"
    if problem["type"] == "missing":
        return f"{field}: missing; add it (the files in presets/ are complete examples)"
    if problem["loc"] == ("env", "gym", "id"):
        return (
            f"env.id: {_shown(problem['input'])} is no environment; write moving-dot, or Gymnasium's name of one, "
            "e.g. CartPole-v1 or ALE/Pong-v5"
        )
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{field}: {message}" if field else message
    return f"{field}: {_shown(problem['input'])} will not do: {message[0].lower()}{message[1:]}"


def _shown(value: Any) -> str:
    plain = value is None or isinstance(value, (str, int, float))  # bool is an int
    text = json.dumps(value, ensure_ascii=False) if plain else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _other_kind(location: Sequence[int | str], name: str) -> str | None:
    """Where a section is of one of several kinds, another kind that has a parameter of this name."""
    if not location or location[-1] not in KINDS:
        return None
    family = ALGORITHMS if location[0] == "agent" else ENVIRONMENTS
    return next((kind for kind, model in family.items() if name in model.model_fields), None)


def _known_fields(location: Sequence[int | str]) -> list[str]:
    """The parameters of the section at `location`."""
    model: Any = Config
    for part in location:
        model = KINDS.get(str(part)) or model.model_fields[part].annotation
    return list(model.model_fields)
