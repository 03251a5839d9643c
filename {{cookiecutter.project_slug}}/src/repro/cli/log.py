"""`repro log`: the work log."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import Annotated

import typer

from repro.cli.common import project_root, relative
from repro.config import UserError

log = typer.Typer(invoke_without_command=True)


@log.callback()
def log_page(context: typer.Context) -> None:
    """The work log: open the page of today in $EDITOR, or print it without a terminal.

    Example: repro log; repro log add "the entropy falls too fast"
    """
    if context.invoked_subcommand is None:
        from repro.workflow.worklog import open_page, read_page

        page = open_page(project_root())
        editor = os.environ.get("EDITOR")
        if editor and sys.stdin.isatty() and sys.stdout.isatty():
            try:
                raise typer.Exit(subprocess.call([*shlex.split(editor), str(page)]))
            except (OSError, ValueError) as error:
                raise UserError(f"EDITOR={editor}: cannot be started ({error}); set it to your editor") from None
        print(f"{relative(page)}\n\n{read_page(page)}", end="")


@log.command("add")
def log_add(text: Annotated[str, typer.Argument(help="What you are thinking.")]) -> None:
    """Append a thought, with the time, to log 2 of today's page.

    Example: repro log add "rewards look flat: is the normaliser saved?"
    """
    from repro.workflow.worklog import add_note

    print(f"added to {relative(add_note(project_root(), text))}")
