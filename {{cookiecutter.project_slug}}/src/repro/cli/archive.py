"""Commands about the archive as a whole: which runs there are, and what W&B has of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from repro.cli.common import project_root
from repro.reading import UserError
from repro.terminal.text import shown_path, terminal_width

app = typer.Typer()


@app.command()
def runs(
    sort: Annotated[
        Literal["started", "score", "return", "time", "seed", "name"], typer.Option(help="By what.")
    ] = "started",
    status: Annotated[
        Literal["queued", "running", "finished", "failed", "interrupted", "crashed", "unreadable"] | None,
        typer.Option(help="Only those that are so; what they were closed as is for --outcome."),
    ] = None,
    outcome: Annotated[
        Literal["succeeded", "failed", "open"] | None,
        typer.Option(help="Only those that were closed so; or open: ended, and not closed."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only runs of this experiment.")] = None,
    stage: Annotated[str | None, typer.Option(help="Only runs booked to this stage of budget.yaml.")] = None,
    question: Annotated[str | None, typer.Option(help="Only runs whose question contains this.")] = None,
    since: Annotated[str | None, typer.Option(help="Only runs started since this day, e.g. 2026-11-21.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    html: Annotated[bool, typer.Option("--html", help="Write a page of them that opens in a browser.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where to, with --html; default: runs/index.html.")] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Propose what to delete of them: checkpoints and videos of old ones.")
    ] = False,
    older_than: Annotated[
        int | None, typer.Option(min=0, help="Days since they ended, with --prune.", show_default="30")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without being asked, with --prune.")] = False,
) -> None:
    """List runs, newest first; or write a page of them, or make room.

    Example: repro runs --status finished --sort score --limit 10; repro runs --outcome open
    """
    from repro.tracking.index import list_summaries
    from repro.views.listing import format_runs
    from repro.views.selection import Selection, explain_empty, parse_day, select

    root = project_root()
    if out and not html:
        raise UserError(f"--out {out}: is where the page goes; add --html to write it")
    if (yes or older_than is not None) and not prune:
        raise UserError("--older-than, --yes: say what --prune may delete; add it")
    if prune and html:
        raise UserError("--prune, --html: give one of them")
    day = parse_day(since) if since else None
    wanted = Selection(sort, status, outcome, name, stage, question, day, limit)
    everything = list_summaries(root)
    found = select(everything, wanted)
    if not found and stage is not None and all(run.get("stage") != stage for run in everything):
        from repro.accounts.budget import read_budget, stage_name

        stage_name(read_budget(root), stage)  # says what may have been meant
    if prune:
        _prune(root, found, 30 if older_than is None else older_than, yes)
    elif html:
        from repro.views.runs_page import write_runs_page

        print(f"written: {shown_path(write_runs_page(root, found, out or root / 'runs/index.html'))}")
    elif found:
        print(format_runs(found, terminal_width()))
    else:
        empty = "no runs yet; start one with: repro train --seed 100"
        print(explain_empty(everything, wanted) if everything else empty)


def _prune(root: Path, summaries: list[dict[str, Any]], older_than: int, yes: bool) -> None:
    from repro.runs.prune import delete, find_prunable, format_proposal

    found = find_prunable(root, summaries, older_than)
    print(format_proposal(found, older_than))
    if not found:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("there is no terminal to ask on, and nothing was deleted; to delete these: --yes")
        if not typer.confirm("Delete them?"):
            print("nothing was deleted")
            return
    print(f"deleted: {delete(found)}")


@app.command()
def sync(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Only these; by default all that have ended, but for those without W&B.")
    ] = None,
) -> None:
    """Upload to W&B what it does not have yet of runs that have ended, killed and resumed ones too.

    Example: repro sync; repro sync 359b latest
    """
    from repro.tracking.archive import effective_status, is_live, read_run
    from repro.tracking.index import list_summaries, without_copies
    from repro.tracking.lookup import find_own_run
    from repro.tracking.wandb import read_wandb_settings
    from repro.tracking.wandb_sync import check_login, is_uploaded, upload

    root = project_root()
    if runs:
        chosen = [find_own_run(root, name) for name in runs]
    else:
        known = [run for run in reversed(without_copies(list_summaries(root))) if run["status"] != "unreadable"]
        ended = [root / "runs" / run["id"] for run in known if not is_live(effective_status(run))]
        left = [read_run(path) for path in ended if not is_uploaded(path)]
        chosen = [run for run in left if (run.record.get("wandb") or {}).get("mode") != "disabled"]
        if not chosen:
            print("W&B has all runs that have ended")
            return
    settings = check_login(read_wandb_settings(root / "pyproject.toml"))
    refused = 0
    for run in chosen:
        try:
            print(f"{run.id}: {upload(run, settings)}", flush=True)
        except UserError as error:  # the others are uploaded all the same
            print(f"warning: {error}", file=sys.stderr)
            refused += 1
    if refused:
        raise UserError(f"{refused} of {len(chosen)} runs were not uploaded; try again later with: repro sync")
