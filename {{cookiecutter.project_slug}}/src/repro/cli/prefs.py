"""`repro prefs`: comparisons and their labels."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any

import typer

from repro.cli.common import Ablation, Params, Run, Seed, Set, open_project, project_root
from repro.cli.mistakes import Commands
from repro.terminal.text import shown_path, terminal_width


class PrefsCommands(Commands):
    """Commands for preferences; a word that is none of them, nor nearly, is a run to show."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As in the base class. Raises UserError."""
        if not args[0].startswith("-") and not difflib.get_close_matches(args[0], self.list_commands(ctx)):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


prefs = typer.Typer(cls=PrefsCommands, invoke_without_command=True)


@prefs.callback()
def latest(context: typer.Context) -> None:
    """Preferences: comparisons of segments and their labels; those of the latest run, or of RUN.

    Example: repro prefs 7f3a
    """
    if context.invoked_subcommand is None:
        show("latest")


@prefs.command()
def show(
    run: Annotated[str, typer.Argument(help="A run's id, the start of one, `latest`, or a database (.db).")] = "latest",
    only: Annotated[str | None, typer.Option("--run", help="Which, of a database that holds several runs.")] = None,
    json: Annotated[bool, typer.Option("--json", help="All numbers, unrounded, for other programs.")] = False,
) -> None:
    """Show counts, speed, ties, and how far annotators agree: with each other, themselves and the true return.

    Example: repro prefs show latest --json
    """
    import json as json_format

    from repro.labels.statistics_text import format_labels
    from repro.labels.transfer import read_statistics

    found = read_statistics(project_root(), run, only)
    print(json_format.dumps(found, indent=1, ensure_ascii=False) if json else format_labels(found, terminal_width()))


@prefs.command("collect")
def collect(
    seed: Seed,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: data/<name>/seed-<seed>.")] = None,
    params: Params = None,
    set_: Set = None,
    ablation: Ablation = None,
) -> None:
    """Collect the initial comparisons: segments of the untrained policy, labelled by the oracle.

    Example: repro prefs collect --seed 100
    """
    from repro.labels.collect import collect_preferences
    from repro.results.cells import cell_name

    root, config = open_project(params, set_, ablation)
    out = out or root / "data" / cell_name(config, seed, ablation)
    print(f"{collect_preferences(config, seed, out)}: {shown_path(out)}")


@prefs.command("export")
def export(
    run: Run,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: data/<run>.")] = None,
) -> None:
    """Export the labels of a run, as readable lines, with their segments: for DVC, for others, to start runs from.

    Example: repro prefs export latest --out data/human-700
    """
    from repro.labels.transfer import export_labels

    print(export_labels(project_root(), run, out))


@prefs.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="A folder that `repro prefs export` wrote.")],
    target: Annotated[str, typer.Argument(help="A run that asked the same, or a database (.db; made if need be).")],
) -> None:
    """Import labels: answers that were given elsewhere to a run's comparisons, or all into a database.

    Example: repro prefs import data/from-anna 7f3a
    """
    from repro.labels.transfer import import_labels

    print(import_labels(project_root(), folder, target))
