"""Strict models of what is read, `params.yaml` before all else, and the numbers that their fields are made of."""

from __future__ import annotations

import json
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from repro.reading import UserError

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
HalfOpenFraction = Annotated[float, Field(ge=0, lt=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A section of `params.yaml`: unknown keys and implicit conversions are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Record(BaseModel):
    """A JSON object of a file that the tool writes; keys that are not needed are allowed."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


AnyRecord = TypeVar("AnyRecord", bound=Record)


def parse_record(kind: type[AnyRecord], text: bytes | str, source: str, remedy: str) -> AnyRecord:
    """The record in a JSON text; `source` is where it stands. Raises UserError that names the first field at fault."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
    field, message = ".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        raise UserError(f"{source}: {field}: missing; {remedy}")
    if field:
        message = f"{field}: {json.dumps(problem['input'])[:60]} will not do: {message[0].lower()}{message[1:]}"
    raise UserError(f"{source}: {message}; {remedy}")
