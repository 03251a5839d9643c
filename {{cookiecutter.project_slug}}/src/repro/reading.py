"""Reading what users write, YAML, TOML and code, and the mistakes in it as one line that says what to put right."""

from __future__ import annotations

import contextlib
import difflib
import json
import tomllib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

MOST_SHOWN = 60  # characters of a value that will not do


class UserError(ValueError):
    """Something the user can put right; the message is one line that names it and the fix."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))  # the names and values in it may hold line breaks


def read_yaml(path: Path) -> Any:
    """Read YAML 1.2, the rules DVC uses (PyYAML would take 1e-4 for a string). Raises UserError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run inside the project, or copy a preset there") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; name a file in it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    return parse_yaml(text, str(path))


def nearest(name: object, known: Collection[str]) -> str:
    """The end of an error line: what may have been meant, else what there is."""
    matches = difflib.get_close_matches(str(name), known, n=1)
    if matches:
        return f"; did you mean {matches[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""


def first_problem(error: ValidationError) -> ErrorDetails:
    """What a strict model finds first. A misspelled entry is unknown, and missing: the former says what to do."""
    problems = error.errors(include_url=False)
    return next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])


def place_of(problem: ErrorDetails, values: Any) -> str:
    """The field at fault in the `values` that were read, as claims[0].id; without the kinds of it that were tried."""
    field = ""
    for number, part in enumerate(problem["loc"], start=1):
        if isinstance(values, list) and isinstance(part, int):
            field, values = f"{field}[{part}]", values[part]
        elif isinstance(values, dict) and (
            part in values or (problem["type"] == "missing" and number == len(problem["loc"]))
        ):
            field, values = f"{field}.{part}".lstrip("."), values.get(part)
    return field


def explain_problem(problem: ErrorDetails, field: str, known: Callable[[], Collection[str]], complete: str) -> str:
    """A problem in one line: the field, the value, the fix.

    known: the names that may stand there. complete: where one sees what is missing.
    """
    if problem["type"] == "extra_forbidden":
        return f"{field}: unknown entry{nearest(problem['loc'][-1], known())}"
    if problem["type"] == "missing":
        return f"{field}: missing; add it ({complete})"
    message = problem["msg"].removeprefix("Value error, ").partition(" or instance of ")[0]
    if problem["type"] == "value_error":
        return f"{field}: {message}" if field else message
    return f"{field or 'the file'}: {shown(problem['input'])} will not do: {message[0].lower()}{message[1:]}"


def shown(value: Any) -> str:
    """A value as it could stand in a file, or the beginning of it."""
    plain = value is None or isinstance(value, (str, int, float))  # bool is an int
    text = json.dumps(value, ensure_ascii=False) if plain else str(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."


def parse_yaml(text: str, source: str) -> Any:
    """The value that a YAML text holds; `source` is where it stands. Raises UserError."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{source}{line}: not valid YAML: {error.problem}") from None
    # Control characters, the date 2024-99-99, [[[[..., !!bool "x", !!int "", "\\UFFFFFFFF".
    except (YAMLError, ValueError, RecursionError, LookupError, OverflowError) as error:
        raise UserError(f"{source}: not valid YAML: {error}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises UserError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_toml(content, str(path))


def parse_toml(content: bytes, source: str) -> dict[str, Any]:
    """The tables of a TOML text; `source` is where it stands. Raises UserError."""
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{source}: not valid TOML: {error}") from None


def parse_json(text: bytes | str) -> Any:
    """The value that a JSON text holds. Raises ValueError, also where it is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


@contextlib.contextmanager
def syntax_errors_in_a_line() -> Iterator[None]:
    """Turn a syntax error in this package, met while it is imported, into a UserError: who edits it knows the rest.

    One elsewhere, such as in text that a program evaluates, is left as it is.
    """
    try:
        yield
    except SyntaxError as error:
        file = Path(error.filename or "")
        if not file.is_relative_to(Path(__file__).parent):
            raise
        raise UserError(f"{file}:{error.lineno or 1}: {error.msg}; correct it and try again") from None
