"""Commands that look at runs: one, several beside each other, those that are running, what is unhealthy."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from repro.cli.common import Run, project_root
from repro.reading import UserError
from repro.terminal.text import shown_path, terminal_width

app = typer.Typer()
UNHEALTHY = 1  # exit code of `repro doctor`


@app.command()
def show(run: Run) -> None:
    """Show one run: question, result, parameters that were set, where its files are.

    Example: repro show latest
    """
    from repro.tracking.archive import is_run_folder, read_run
    from repro.tracking.lookup import find_run_folder
    from repro.views.run_page import format_remains, format_run

    path = Path(run).absolute() if is_run_folder(Path(run)) else find_run_folder(project_root(), run)
    try:
        folder = read_run(path)
    except UserError:
        print(format_remains(path))
        raise
    print(format_run(folder, terminal_width()))


@app.command()
def compare(
    run: Run,
    others: Annotated[list[str], typer.Argument(help="The runs to compare it with.")],
    diff: Annotated[bool, typer.Option("--diff", help="Show what differs in the code, line by line.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the returns to this .png or .svg file.")] = None,
) -> None:
    """Compare runs: parameters, code, circumstances, results and curves; whether equal runs went the same way.

    Example: repro compare 359b latest --plot returns.png
    """
    from rich.console import Console

    from repro.tracking.lookup import find_run
    from repro.views.compare import check_different, print_comparison

    root = project_root()
    runs = [find_run(root, name) for name in (run, *others)]
    check_different(runs)
    if plot:
        from repro.results.plots import dark_path
        from repro.views.compare_plot import write_plot

        write_plot(plot, runs)
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200
    print_comparison(root, runs, Console(width=wide, highlight=False), diff)
    if plot:
        print(f"\nwritten: {shown_path(plot)}; for dark pages: {shown_path(dark_path(plot))}")


@app.command()
def watch(
    runs: Annotated[list[str] | None, typer.Argument(help="Only these; by default all that run.")] = None,
    command: Annotated[
        str | None,
        typer.Option(help="Run this when something happens: REPRO_RUN, REPRO_EVENT and REPRO_TEXT say what."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show how things stand, and return.")] = False,
) -> None:
    """Follow the running runs; rings, or runs a command, when one ends, crashes, stalls or turns unhealthy.

    Ends when no run is left running, with exit code 1 unless all have finished. Ctrl-C ends the watching only.

    Example: repro watch --command "notify-send 'a run needs you'"
    """
    from rich.console import Console

    from repro.runs.processes import INTERRUPTED
    from repro.tracking.lookup import find_run
    from repro.views.watch import Watch

    root = project_root()
    watching = Watch(root, [find_run(root, name) for name in runs or ()], command, Console(highlight=False))
    try:
        code = watching.show_once() if once else watching.until_all_end()
    except KeyboardInterrupt:
        print("\nno longer watching; the runs go on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if not watching.followed:
        print("no run is running; start one with: repro launch --seed 100")
    raise typer.Exit(code)


@app.command()
def doctor(
    run: Run,
    json: Annotated[bool, typer.Option("--json", help="All checks and what they saw, for other programs.")] = False,
) -> None:
    """Say what is unhealthy in a run: what was seen, why it matters, what to try first.

    Works while it runs, and after it has ended in any way. Ends with exit code 1 if there is an error: something that
    no healthy run has; warnings alone leave it at 0. docs/health.md lists the checks, and their thresholds in the
    parameters.

    Example: repro doctor latest; repro doctor 7f3a --json
    """
    import json as json_format

    from repro.tracking.lookup import find_run
    from repro.views.doctor import as_json, examine
    from repro.views.doctor_text import format_examination

    examination = examine(find_run(project_root(), run))
    if json:
        print(json_format.dumps(as_json(examination), indent=1, ensure_ascii=False))
    else:
        print(format_examination(examination, terminal_width()))
    raise typer.Exit(UNHEALTHY if examination.errors else 0)
