"""Writes the pages of the reference that follow from the code: `python docs/write_reference.py`.

`repro`'s own parser gives the commands; the models of params.yaml, with the comments beside fields, the parameters.
The tests hold that both pages are as this would write them.
"""

from __future__ import annotations

import ast
import inspect
import io
import sys
import textwrap
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "template/src"))

from pydantic import BaseModel, Tag  # noqa: E402
from repro.cli.app import app  # noqa: E402  of the template, as what follows
from repro.config import Config  # noqa: E402
from repro.config.base import Section  # noqa: E402
from typer.main import get_command  # noqa: E402

MADE = "<!-- made by docs/write_reference.py -->\n"


def commands_page() -> str:
    """All commands that are shown by --help."""
    parts = [MADE, "# Commands\n", "Each has `--help`. Bad input ends with exit code 2 and one line.\n"]
    root = get_command(app)
    for name, command in sorted(root.commands.items()):
        parts += _command(f"repro {name}", command)
        for sub, inner in sorted(getattr(command, "commands", {}).items()):
            parts += _command(f"repro {name} {sub}", inner)
    return "\n".join(parts)


def _command(name: str, command: Any) -> Iterator[str]:
    """Its section, unless it is hidden."""
    if command.hidden:
        return
    text = inspect.cleandoc(command.help or "")
    about, _, example = text.partition("Example: ")
    yield f"## `{name}`\n"
    yield about.strip() + "\n"
    yield "```sh"
    yield from (line.strip() for line in example.replace("\n", " ").split("; "))
    yield "```\n"
    shown = [parameter for parameter in command.params if "--help" not in parameter.opts and not parameter.hidden]
    if shown:
        yield "| | |\n|---|---|"
        yield from (f"| {_spelled(parameter)} | {_cell(parameter.help or '')} |" for parameter in shown)
        yield ""


def _spelled(parameter: Any) -> str:
    """How it is typed, e.g. `--seed N` or `RUN`."""
    if parameter.param_type_name == "argument":
        several = "..." if parameter.nargs == -1 else ""
        name = (parameter.metavar or parameter.name.removesuffix("_")).upper() + several
        return f"`{name}`" if parameter.required else f"`[{name}]`"
    kind = parameter.type_descriptor.annotation
    words = {int: "N", float: "NUMBER", Path: "PATH", list[Path]: "PATH"}
    value = "|".join(get_args(kind)) if get_origin(kind) is Literal else parameter.metavar or words.get(kind, "TEXT")
    typed = parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]} {value}"
    return f"`{typed}`".replace("|", r"\|") + (", required" if parameter.required else "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def parameters_page() -> str:
    """All parameters of params.yaml, by section."""
    parts = [
        MADE,
        "# Parameters\n",
        "One file, `params.yaml`. What is unknown, missing, or a value that will not do is refused in one line",
        "before any compute is spent. `presets/` has complete files, with the paper's values beside ours;",
        "`--set section.name=value` changes one for a run. YAML 1.2: `1e-4` is a number, `yes` is a word.\n",
        "`name` is the experiment's: lower-case letters, digits and dashes.\n",
        "The sections `env` and `agent` have other parameters for each kind.\n",
    ]
    for name, model in _sections(Config):
        parts += _section(name, model)
    return "\n".join(parts)


def _sections(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """All sections in a model, with their names; of those that are one of several kinds, each kind."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield above + name, kind
            yield from _sections(kind, f"{above}{name}.")
        for one in get_args(kind):
            inner, *tags = get_args(one) or [one]
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                tag = next((known.tag for known in tags if isinstance(known, Tag)), None)
                yield f"{name}: {tag or get_args(inner.model_fields['algorithm'].annotation)[0]}", inner


def _section(name: str, model: Any) -> Iterator[str]:
    comments, schema = _comments(model), model.model_json_schema()
    yield f"## `{name}`\n"
    yield f"{_cell(inspect.cleandoc(model.__doc__))}\n"
    yield "| parameter | value | |\n|---|---|---|"
    for field, about in schema["properties"].items():
        yield f"| `{field}` | {_value(about)} | {_cell(comments.get(field, ''))} |"
    yield ""


def _comments(model: Any) -> dict[str, str]:
    """The comment beside each field of the model and of those that it is derived from, or else above it."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not issubclass(kind, Section) or kind is Section:
            continue
        source = textwrap.dedent(inspect.getsource(kind))
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        comments = [token for token in tokens if token.type == tokenize.COMMENT and "# type:" not in token.string]
        beside = {token.start[0]: token.string.removeprefix("#").strip() for token in comments}
        alone = {token.end[0]: beside[token.start[0]] for token in comments if token.line.lstrip().startswith("#")}
        fields = [node for node in ast.parse(source).body[0].body if isinstance(node, ast.AnnAssign)]  # type: ignore[attr-defined]
        for node in fields:
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            comment = " ".join(beside[line] for line in lines if line in beside) or alone.get(node.lineno - 1, "")
            found[node.target.id] = comment  # type: ignore[union-attr]
    return found


def _value(about: dict[str, Any]) -> str:
    """What may be written there, in words."""
    if "$ref" in about:
        return "a section, below"
    if "anyOf" in about:
        return " or ".join(_value(one) for one in about["anyOf"])
    if "const" in about or "enum" in about:
        return ", ".join(f"`{one}`" for one in about.get("enum", [about.get("const")]))
    if about["type"] == "null":
        return "`null`"
    if about["type"] == "array":
        return f"list: {_value(about['items'])}"
    words = {"integer": "integer", "number": "number", "boolean": "`true`, `false`", "string": "text", "object": "map"}
    limits = {"exclusiveMinimum": "> {:g}", "minimum": "≥ {:g}", "exclusiveMaximum": "< {:g}", "maximum": "≤ {:g}"}
    bounds = [text.format(about[name]) for name, text in limits.items() if name in about]
    default = f"; {about['default']:g} if left out" if "default" in about else ""
    return f"{words[about['type']]} {', '.join(bounds)}".rstrip() + default


PAGES = {"reference/commands.md": commands_page, "reference/parameters.md": parameters_page}

if __name__ == "__main__":
    for path, make in PAGES.items():
        (DOCS / path).write_text(make(), encoding="utf-8")
        print(f"written: docs/{path}")
