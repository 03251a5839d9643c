"""The command `repro`: one thin function per command."""

from __future__ import annotations

import signal
import sys
from typing import Any, NoReturn

import typer

from repro.cli.mistakes import explain
from repro.reading import UserError, syntax_errors_in_a_line
from repro.terminal.text import shorten

USAGE_ERROR: Any = typer.BadParameter.__mro__[1]  # of Typer's own click: unknown options and the like


def main() -> None:
    """Entry point: what a user can put right is one line on stderr and exit code 2."""
    try:
        with syntax_errors_in_a_line():
            from repro.cli.app import app  # here, so that errors in what it imports are met within

            sys.exit(app(sys.argv[1:] or ["--help"], prog_name="repro", standalone_mode=False))
    except UserError as error:
        _exit_with(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("\nstopped", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except USAGE_ERROR as error:
        command = error.ctx.command_path if error.ctx else "repro"
        _exit_with(f"{explain(error, sys.argv[1:])}; see {command} --help")


def _exit_with(message: str) -> NoReturn:
    """One line, with paths as short as they can be written from here."""
    print(f"error: {shorten(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(2)
