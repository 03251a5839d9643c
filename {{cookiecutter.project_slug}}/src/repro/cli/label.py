"""The command that serves the labelling page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repro.cli.common import Params, Set, open_project, project_root
from repro.reading import UserError

app = typer.Typer()


@app.command()
def label(
    source: Annotated[str, typer.Argument(help="A run (its id, the start of one, latest), or an exported folder.")] = (
        "latest"
    ),
    store: Annotated[
        Path | None,
        typer.Option(
            help="A file for the answers, where the comparisons are of an oracle or a folder.", metavar="FILE"
        ),
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Who answers.", metavar="NAME", show_default="the page asks")
    ] = None,
    repeats: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="Share of what is shown that was asked before, to measure consistency."),
    ] = 0.1,
    host: Annotated[
        str, typer.Option(help="Another address than this machine's own loopback needs a token, which is printed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8642,
    params: Params = None,
    overrides: Set = None,
) -> None:
    """Compare clips in the browser: serves a page on this machine until Ctrl-C. Answers are kept at once.

    Works while a run trains (preferences.annotator: person), and on what has been kept of one.

    Example: repro label latest --annotator anna; repro label data/dot/seed-100 --store mine.db
    """
    import secrets
    import shlex

    from repro.labels.tasks import export_task, run_task
    from repro.preferences.labeller.desk import Desk
    from repro.preferences.labeller.guard import LOOPBACK
    from repro.preferences.labeller.server import bind, page_address, serve
    from repro.preferences.labelling import check_annotator

    name = None if annotator is None else check_annotator(annotator)
    if (Path(source) / "meta.json").exists():
        task = export_task(open_project(params, overrides)[1], Path(source), store, name, repeats)
    elif params or overrides:
        raise UserError("--params, --set: are for an exported folder; a run has its own parameters")
    else:
        task = run_task(project_root(), source, store, name, repeats)
    token = None if host in LOOPBACK else secrets.token_urlsafe()
    listener = bind(host, port)
    desk = Desk(task)
    print(f"label {task.run} in the browser: {page_address(host, listener, token)}", flush=True)
    print("Ctrl-C closes the page; what it has confirmed is kept", flush=True)
    try:
        serve(desk, listener, token, host)
    except KeyboardInterrupt:
        where = task.run if store is None else shlex.quote(str(store))
        print(f"\nthe page is closed; what it has confirmed: repro prefs {where}")
