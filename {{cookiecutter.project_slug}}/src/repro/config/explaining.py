"""What is wrong with parameters, in one line: the field, the value, the fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pydantic

from repro.config.parameters import ALGORITHMS, ENVIRONMENTS, KINDS, Config
from repro.reading import explain_problem, first_problem, place_of, shown

# What pydantic calls it if there is something else in place of a section.
NO_SECTION = ("model_type", "model_attributes_type", "dict_type", "union_tag_invalid", "union_tag_not_found")


def explain(error: pydantic.ValidationError, values: Any) -> str:
    """The first problem of the parameters in `values`, in one line: the field, the value, the fix."""
    problem = first_problem(error)
    # What is no environment at all has all its other parameters wrong too.
    problem = next((one for one in error.errors(include_url=False) if one["loc"] == ("env", "gym", "id")), problem)
    *sections, name = problem["loc"] or ("",)
    field = place_of(problem, values)
    if problem["type"] == "extra_forbidden" and (kind := _other_kind(sections, str(name))):
        return f"{field}: is a parameter of {kind}, not of {sections[-1]}; start from a preset of its kind (presets/)"
    if not isinstance(problem["input"], dict) and problem["type"] in NO_SECTION:
        return f"{field}: {shown(problem['input'])} will not do: it is a section; name a parameter in it"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{field}.algorithm: {shown(problem['input'].get('algorithm'))} is none of {', '.join(ALGORITHMS)}"
    if problem["loc"] == ("env", "gym", "id") and problem["type"] != "missing":
        return (
            f"{field}: {shown(problem['input'])} is no environment; write moving-dot, or Gymnasium's name of one, "
            "e.g. CartPole-v1 or ALE/Pong-v5"
        )
    complete = "the files in presets/ are complete examples"
    return explain_problem(problem, field, lambda: _known_fields(sections), complete)


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
