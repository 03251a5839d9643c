"""Words on the command line that are no command, and values that will not do: one line that says what was meant."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

from repro.cli.takes import name_values
from repro.reading import UserError

# What Typer says of values, as regular expressions, in words for people.
PLAIN = {
    "Input should be a valid integer, unable to parse string as an integer": "write a whole number, such as 3",
    "Input should be a valid number, unable to parse string as a number": "write a number, such as 2.5",
    "Input should be greater than or equal to": "write a number of at least",
    "Input should be less than or equal to": "write a number of at most",
    r"Value error, '.*' is not one of (.*)": r"write one of \1",
    r"Option '(--[\w-]+)' requires an argument": r"\1: its value is missing; write it after a space",
    r"Got unexpected extra argument(?:\(s\)|s)? \((.*)\)": r"\1: one word too many; a value follows its option",
    r"No such option: (-\d\S*)": r"\1: is taken for an option; no number here is below 0",
}


class Commands(TyperGroup):
    """A group of commands; for a word that is none of them it offers the nearest of all that `repro` has."""

    def get_command(self, ctx: Any, name: str) -> Any:
        """As in the base class, with words for what the options take."""
        command = super().get_command(ctx, name)
        return command and name_values(command, ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As in the base class, with words for what the options of the group itself take."""
        name_values(self, ctx)
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As in the base class. Raises UserError."""
        if self.get_command(ctx, args[0]) is None:
            root = ctx.find_root()
            meant = _meant(args[0], self.list_commands(ctx), known_commands(root.command, root))
            hint = f"did you mean: {root.info_name} {meant}" if meant else f"all there are: {ctx.command_path} --help"
            raise UserError(f"{ctx.command_path} {args[0]}: no such command; {hint}")
        return super().resolve_command(ctx, args)


def known_commands(group: Any, ctx: Any) -> list[str]:
    """All commands below a group as they are typed after its name: "log", "log add"; without the hidden ones."""
    names = []
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if not command.hidden:
            below = known_commands(command, ctx) if isinstance(command, TyperGroup) else []
            names += [name, *(f"{name} {inner}" for inner in below)]
    return names


def explain(error: Any, words: Sequence[str] = ()) -> str:
    """Typer's usage error for a person, with the value that was typed among the `words` of the command line."""
    if hasattr(error, "param_type"):  # of what is missing
        return _missing(error.ctx, error.param)
    message: str = error.format_message()
    if option := re.match(r"Invalid value for '(--[\w-]+)'", message):
        typed = [word.partition("=")[2] for word in words if word.startswith(f"{option[1]}=")]
        typed += [value for name, value in itertools.pairwise(words) if name == option[1]]
        if typed:
            message = message.replace(option[0], f"{option[1]} {typed[-1]}", 1)
    for said, plain in PLAIN.items():
        message = re.sub(said, plain, message)
    return message.rstrip(".")


def _missing(ctx: Any, param: Any) -> str:
    """What has to be typed as well, with the example of the command's help."""
    name = param.opts[0] if param.param_type_name == "option" else (param.metavar or param.name).upper()
    example = re.search(r"Example: (.*?)(;|$)", ctx.command.help or "", re.MULTILINE)
    such_as = f"; type for example: {example[1]}" if example else ""
    return f"{ctx.command_path}: {name} is missing ({param.help[0].lower()}{param.help[1:].rstrip('.')}){such_as}"


def _meant(word: str, here: list[str], everywhere: list[str]) -> str | None:
    """The command that a word stands for: one of this name elsewhere, else the one that is written most like it."""
    by_name = {command.rpartition(" ")[2]: command for command in everywhere}
    if word in by_name:
        return by_name[word]
    near = [name for names in (here, by_name) for name in difflib.get_close_matches(word, names) if name in by_name]
    return by_name[near[0]] if near else None
