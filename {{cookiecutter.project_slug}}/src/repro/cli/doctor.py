"""The command that says what is unhealthy in a run."""

from __future__ import annotations

from typing import Annotated

import typer

from repro.cli.common import Run, project_root

app = typer.Typer()
UNHEALTHY = 1  # exit code


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

    from repro.tracking.text import terminal_width
    from repro.workflow.doctor import as_json, examine
    from repro.workflow.doctor_text import format_examination
    from repro.workflow.runs import find_run

    examination = examine(find_run(project_root(), run))
    if json:
        print(json_format.dumps(as_json(examination), indent=1, ensure_ascii=False))
    else:
        print(format_examination(examination, terminal_width()))
    raise typer.Exit(UNHEALTHY if examination.errors else 0)
