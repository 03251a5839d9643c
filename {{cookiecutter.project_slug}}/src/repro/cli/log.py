"""`repro log`: the work log."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import Annotated, Any

import typer

from repro.cli.common import project_root
from repro.cli.mistakes import Commands
from repro.reading import UserError
from repro.terminal.text import PIPED, shown_path, terminal_width
from repro.views.selection import parse_day


class LogCommands(Commands):
    """Commands of the log; for a day in place of one it says where that day's page is."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As in the base class. Raises UserError."""
        if args[0][:1].isdigit() or args[0] in ("today", "yesterday"):
            day = parse_day(args[0], "repro log")
            raise UserError(f"repro log {args[0]}: opens today's page only; that day's is worklog/{day}.md")
        return super().resolve_command(ctx, args)


log = typer.Typer(cls=LogCommands, invoke_without_command=True)


@log.callback()
def log_page(context: typer.Context) -> None:
    """The work log: open the page of today in $EDITOR, or show it where that is not set.

    Example: repro log; repro log add "the entropy falls too fast"
    """
    if context.invoked_subcommand is None:
        from repro.worklog.entries import open_page
        from repro.worklog.pages import read_page

        page = open_page(project_root())
        editor = os.environ.get("EDITOR")
        if editor and sys.stdin.isatty() and sys.stdout.isatty():
            try:
                raise typer.Exit(subprocess.call([*shlex.split(editor), str(page)]))
            except (OSError, ValueError) as error:
                raise UserError(f"EDITOR={editor}: cannot be started ({error}); set it to your editor") from None
        print(f"{shown_path(page)}\n")
        if sys.stdout.isatty():
            from repro.terminal.markdown import print_markdown

            print_markdown(read_page(page))
        else:
            print(read_page(page), end="")


@log.command("add", context_settings={"ignore_unknown_options": True})  # a thought may begin with a dash
def log_add(text: Annotated[list[str], typer.Argument(help="What you are thinking.")]) -> None:
    """Append a thought, with the time, to log 2 of today's page.

    Example: repro log add "rewards look flat: is the normaliser saved?"
    """
    from repro.worklog.entries import add_note

    print(f"added to {shown_path(add_note(project_root(), ' '.join(text)))}")


@log.command("confused")
def log_confused(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="What does not add up, or with --resolve: what it was.")
    ] = None,
    resolve: Annotated[str | None, typer.Option(metavar="NAME", help="The one that is understood, e.g. C3.")] = None,
) -> None:
    """Write down what does not add up; every page has it until it is resolved. Without a text: list what is open.

    Example: repro log confused "loss falls, return does not"; repro log confused --resolve C3 "rewards were clipped"
    """
    from repro.worklog.confusions import read_confusions
    from repro.worklog.entries import add_confusion, resolve_confusion

    root = project_root()
    text = " ".join(words or ())
    if resolve is not None:
        page, confusion = resolve_confusion(root, resolve, text)
        print(f"{confusion.name} resolved in {shown_path(page)}")
    elif words:
        page, confusion = add_confusion(root, text)
        print(f"{confusion.name} stands in {shown_path(page)}, and on every page from now on until it is resolved:")
        print(f'repro log confused --resolve {confusion.name} "what it was"')
    else:
        open_ones = [confusion.line for confusion in read_confusions(root).values() if not confusion.resolved]
        print("\n".join(open_ones) or "nothing is open")


@log.command("hours")
def log_hours(
    hours: Annotated[str, typer.Argument(help="Hours of your work today, such as 2.5.")],
    what: Annotated[list[str] | None, typer.Argument(help="What was done.")] = None,
    stage: Annotated[str | None, typer.Option(help="A stage of budget.yaml.", show_default="its `stage`")] = None,
) -> None:
    """Book hours of work on today's page.

    Example: repro log hours 2.5 --stage debugging "hunted the normaliser"
    """
    from repro.accounts.budget import read_budget, stage_name
    from repro.worklog.entries import add_hours

    root = project_root()
    name = stage_name(read_budget(root), stage)
    number = _number(hours)
    page, total = add_hours(root, number, name, " ".join(what or ()))
    print(f"{number:g} h of {name} in {shown_path(page)}, {total:g} h today")


def _number(hours: str) -> float:
    """The number of hours that was typed. Raises UserError."""
    try:
        return float(hours)
    except ValueError:
        raise UserError(f"hours: {hours} is not a number; write hours with a point, such as 2.5") from None


@log.command("search")
def log_search(words: Annotated[list[str], typer.Argument(help="In any case; all must stand in a line.")]) -> None:
    """Find the lines and rows of all pages that hold all words, oldest first. Exit code 1 if there is none.

    Example: repro log search entropy seed
    """
    from repro.worklog.search import format_hits, search_log

    hits = search_log(project_root(), words)
    if not hits:
        print(f"nothing in the log holds: {' '.join(words)}", file=sys.stderr)
        raise typer.Exit(1)
    print(format_hits(hits, words, terminal_width(), highlight=sys.stdout.isatty() and not os.environ.get("NO_COLOR")))


@log.command("week")
def log_week(
    of: Annotated[str, typer.Option(metavar="DATE", help="The last of the seven days, e.g. 2026-11-20.")] = "today",
) -> None:
    """What the last seven days brought: questions asked and answered, what does not add up, hours by stage.

    Example: repro log week; repro log week --of 2026-11-20
    """
    from repro.accounts.week import format_week

    print(format_week(project_root(), parse_day(of, "--of"), terminal_width() or PIPED))
