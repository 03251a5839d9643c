"""The command `repro`: one thin function per command. Rooms are imported when a command needs them."""

from __future__ import annotations

import signal
import sys
from typing import Any, NoReturn

import typer

from repro.cli import archive, evaluation, ledger, log, training, watch, workflow
from repro.config import UserError
from repro.tracking.text import shorten

app = typer.Typer(
    help="Reproduce a paper: train, launch, log, evaluate, report. Every command has --help with an example.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for commands in (training, evaluation, archive, watch, ledger, workflow):
    app.add_typer(commands.app)
app.add_typer(log.log, name="log")

USAGE_ERROR: Any = typer.BadParameter.__mro__[1]  # of Typer's own click: unknown options and the like


def main() -> None:
    """Entry point: what a user can put right is one line on stderr and exit code 2."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="repro", standalone_mode=False))
    except UserError as error:
        _exit_with(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("\nstopped", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except USAGE_ERROR as error:
        command = error.ctx.command_path if error.ctx else "repro"
        _exit_with(f"{error.format_message().rstrip('.')}; see {command} --help")


def _exit_with(message: str) -> NoReturn:
    """One line, with paths as short as they can be written from here."""
    print(f"error: {shorten(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(2)
