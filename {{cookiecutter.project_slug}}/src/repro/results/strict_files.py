"""Files that people write in YAML, read strictly: a mistake is one line that names the field, the value and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import pydantic

from repro.reading import UserError, explain_problem, first_problem, place_of, read_yaml

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
        problem = first_problem(error)
    complete = "the comments in the file say what it is"
    said = explain_problem(problem, place_of(problem, values), lambda: _names(model), complete)
    raise UserError(f"{path}: {said}")


def _names(model: type[pydantic.BaseModel]) -> list[str]:
    """All names that may stand in the file."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return list(dict.fromkeys(name for part in parts for name in part.get("properties", {})))
