"""What the help says that an option takes: a word for people instead of a type of Python, and nothing of a flag."""

from __future__ import annotations

import re
from typing import Any

WORDS = {"int": "NUMBER", "float": "NUMBER", "path": "PATH", "Path": "PATH", "str": "TEXT"}


def name_values(command: Any, ctx: Any) -> Any:
    """Give each option of a command that names no value of its own (metavar) the word for it; returns the command."""
    for param in command.get_params(ctx):
        if param.param_type_name == "option" and param.metavar is None:
            kind = param.display_type(ctx)  # "<bool>", "<int range>", "<list[str]>", or "<one|other>" of choices
            known = re.fullmatch(r"<(?:list\[)?(\w+)\]?(?: range)?>", kind)
            param.metavar = "" if param.is_flag else WORDS[known[1]] if known else kind.strip("<>")
    return command
