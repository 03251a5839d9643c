"""Files that people write in YAML, read strictly: a mistake is one line that names the field, the value and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic

from repro.reading import UserError, nearest, read_yaml

Model = TypeVar("Model", bound=pydantic.BaseModel)
Text = Annotated[str, pydantic.Field(min_length=1)]


class Strict(pydantic.BaseModel):
    """A part of such a file: unknown entries and implicit conversions are refused; spaces around texts do not count."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, str_strip_whitespace=True)


def read_strict(path: Path, model: type[Model], if_missing: str | None = None) -> Model:
    """The file as a `model`; `if_missing` says how to get the file, where there is none or nothing in it.

    Raises UserError.
    """
    if if_missing and not path.exists():
        raise UserError(f"{path}: no such file; {if_missing}")
    values = read_yaml(path)
    if if_missing and values is None:
        raise UserError(f"{path}: is empty; {if_missing}")
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise UserError(f"{path}: {_explain(error, values, model)}") from None


def _explain(error: pydantic.ValidationError, values: Any, model: type[pydantic.BaseModel]) -> str:
    """The first problem: the field, the value, the fix."""
    problems = error.errors(include_url=False)
    # A misspelled entry is an unknown one and a missing one; the unknown one says what to do.
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    field = ""
    for part in problem["loc"]:
        if isinstance(part, int):
            field, values = f"{field}[{part}]", values[part]
        elif isinstance(values, dict) and (part in values or problem["type"] == "missing"):  # not a kind that was tried
            field, values = f"{field}.{part}" if field else part, values.get(part)
    if problem["type"] == "extra_forbidden":
        return f"{field}: unknown entry{nearest(problem['loc'][-1], _names(model))}"
    if problem["type"] == "missing":
        return f"{field}: missing; add it (the comments in the file say what it is)"
    message = problem["msg"].removeprefix("Value error, ").partition(" or instance of ")[0]
    if problem["type"] == "value_error":
        return f"{field}.{message}" if field else message
    shown = "null" if problem["input"] is None else repr(str(problem["input"])[:60])
    return f"{field or 'the file'}: {shown} will not do: {message[0].lower()}{message[1:]}"


def _names(model: type[pydantic.BaseModel]) -> list[str]:
    """All names that may stand in the file."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return list(dict.fromkeys(name for part in parts for name in part.get("properties", {})))
