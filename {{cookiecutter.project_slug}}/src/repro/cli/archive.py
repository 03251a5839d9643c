"""Commands that look at runs in the archive."""

from __future__ import annotations

import typer

from repro.cli.common import Run, project_root

app = typer.Typer()


@app.command()
def runs() -> None:
    """List all runs, newest first.

    Example: repro runs
    """
    from repro.tracking.archive import list_runs
    from repro.tracking.listing import format_runs

    records = list_runs(project_root())
    print(format_runs(records) if records else "no runs yet; start one with: repro train --seed 100")


@app.command()
def show(run: Run) -> None:
    """Show one run: question, result, parameters that were set, where its files are.

    Example: repro show latest
    """
    from repro.tracking.listing import format_run
    from repro.tracking.metrics import read_last_row
    from repro.workflow.runs import find_run

    folder = find_run(project_root(), run)
    metrics = folder.path / "metrics.jsonl"
    print(format_run(folder.record, read_last_row(metrics) if metrics.exists() else None))
