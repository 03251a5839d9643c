"""Commands that keep accounts: how runs turned out, what they cost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.cli.common import Run, find_params, project_root
from repro.reading import UserError
from repro.terminal.text import shown_path, terminal_width

if TYPE_CHECKING:
    from repro.config import Config

app = typer.Typer()


@app.command()
def close(
    run: Run,
    outcome: Annotated[str | None, typer.Option(help="succeeded or failed.", show_default="asked for")] = None,
    cause: Annotated[
        str | None, typer.Option(help="What made it fail, in few words.", show_default="asked for")
    ] = None,
    foreseen: Annotated[
        str | None,
        typer.Option(
            help="Of a run with a prediction: the number of the predicted cause it was, or no.",
            show_default="asked for",
        ),
    ] = None,
) -> None:
    """Say how a run turned out, and why it failed: what was predicted before launch is compared with it.

    Example: repro close latest --outcome succeeded; repro close 7f3a --cause "no normaliser" --foreseen no
    """
    from repro.runs.closing import against_criterion, close_run, describe_closing, read_closing
    from repro.tracking.lookup import find_own_run
    from repro.worklog.entries import check_no_later_page

    root = project_root()
    folder = find_own_run(root, run)
    check_no_later_page(root)
    ask = input if sys.stdin.isatty() else None
    closing = read_closing(folder, outcome, cause, foreseen, ask)
    replaced = close_run(root, folder, closing)
    if replaced:
        print(f"replaces: {describe_closing(folder.record, replaced)}")
    print(f"{folder.id}: closed as {describe_closing(folder.record)}")
    if said := against_criterion(folder.record):
        print(said)


@app.command()
def ledger(
    runs: Annotated[bool, typer.Option("--runs", help="List every run, not only those that cost most.")] = False,
    planned: Annotated[bool, typer.Option("--planned", help="What the planned seeds and ablations will cost.")] = False,
    params: Annotated[
        list[Path] | None,
        typer.Option(help="With --planned: a parameter file, e.g. a preset. Repeatable.", show_default="params.yaml"),
    ] = None,
    predictions: Annotated[bool, typer.Option("--predictions", help="Predictions against outcomes.")] = False,
    plot: Annotated[Path | None, typer.Option(help="With --predictions: draw them to this .png or .svg file.")] = None,
) -> None:
    """Hours and cost by stage, month and run, against plan and estimate; or what is planned; or the predictions.

    Example: repro ledger; repro ledger --planned; repro ledger --predictions --plot reliability.png
    """
    if runs + planned + predictions > 1:
        raise UserError("--runs, --planned, --predictions: give one of them")
    if plot and not predictions:
        raise UserError("--plot goes with --predictions")
    if params and not planned:
        raise UserError("--params goes with --planned")
    root = project_root()
    if predictions:
        _show_predictions(root, plot)
    elif planned:
        _show_planned(root, [find_params(root, file) for file in params or [root / "params.yaml"]])
    else:
        _show_spent(root, runs)


def _show_spent(root: Path, every_run: bool) -> None:
    from repro.accounts.budget import read_budget
    from repro.accounts.ledger import book_runs
    from repro.accounts.ledger_text import format_ledger
    from repro.tracking.index import list_summaries
    from repro.worklog import entries

    budget = read_budget(root)
    summaries = list_summaries(root)
    unreadable = [run["id"] for run in summaries if run["status"] == "unreadable"]
    work = entries.read_hours(root)
    print(format_ledger(book_runs(root, summaries, budget), unreadable, work, budget, every_run, terminal_width()))


def _show_planned(root: Path, files: list[Path]) -> None:
    from repro.accounts.budget import read_budget
    from repro.accounts.ledger import book_runs
    from repro.accounts.ledger_text import format_plans
    from repro.accounts.planning import plan_runs
    from repro.config import load_config
    from repro.config.ablating import ablate
    from repro.tracking.index import list_summaries
    from repro.tracking.snapshot import code_hash

    budget = read_budget(root)
    configs = [load_config(file) for file in files]
    summaries = list_summaries(root)[::-1]
    booked = book_runs(root, summaries, budget)
    code = code_hash(root)
    variants: list[tuple[Config, str | None]] = [(config, None) for config in configs]
    variants += [(ablate(config, name), name) for config in configs for name in config.seeds.ablations]
    plans = [plan_runs(root, config, code, summaries, booked, ablation) for config, ablation in variants]
    print(format_plans(plans, budget, terminal_width()))


def _show_predictions(root: Path, plot: Path | None) -> None:
    from repro.accounts.calibration import calibrate
    from repro.accounts.calibration_text import format_calibration, write_reliability_plot
    from repro.gate.checklist import read_checklist
    from repro.tracking.index import list_summaries

    found = calibrate(reversed(list_summaries(root)))
    asked = {question.id for question in read_checklist(root).questions}
    if plot:
        write_reliability_plot(plot, found)
    print(format_calibration(found, asked, terminal_width()))
    if plot:
        from repro.results.plots import dark_path

        print(f"\nwritten: {shown_path(plot)}; for dark pages: {shown_path(dark_path(plot))}")
