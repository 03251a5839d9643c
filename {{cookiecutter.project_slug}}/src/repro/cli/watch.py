"""Commands that compare runs, repeat one, and follow those that are running."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from repro.cli.common import Answers, Run, Skip, Stage, project_root
from repro.tracking.text import shown_path

app = typer.Typer()


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

    from repro.workflow.compare import check_different, print_comparison
    from repro.workflow.runs import find_run

    root = project_root()
    runs = [find_run(root, name) for name in (run, *others)]
    check_different(runs)
    if plot:
        from repro.workflow.compare_plot import write_plot
        from repro.workflow.plot_files import dark_path

        write_plot(plot, runs)
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200
    print_comparison(root, runs, Console(width=wide, highlight=False), diff)
    if plot:
        print(f"\nwritten: {shown_path(plot)}; for dark pages: {shown_path(dark_path(plot))}")


@app.command()
def rerun(
    run: Run,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed than the run had.")] = None,
    stage: Stage = None,
    answers: Answers = None,
    skip: Skip = None,
    background: Annotated[bool, typer.Option("--background", help="Return at once.")] = False,
) -> None:
    """Do a run again, from its own code and parameters; says at the end whether the metrics match bit for bit.

    Example: repro rerun 359b
    """
    from repro.workflow.reproduced import other_circumstances
    from repro.workflow.rerun import prepare_rerun
    from repro.workflow.runs import become_run, find_own_run, say_started, start_run

    root = project_root()
    original = find_own_run(root, run)
    again = prepare_rerun(root, original, seed, stage, answers, skip)
    print(f"run {again.id}, with the code and parameters of {original.id}", flush=True)
    if others := other_circumstances(original.record, again.record):
        print(f"note: the metrics may differ: {others}", flush=True)
    if not background:
        become_run(root, again)
    start_run(root, again)
    say_started(again)


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

    from repro.workflow.runs import INTERRUPTED, find_run
    from repro.workflow.watch import Watch

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
