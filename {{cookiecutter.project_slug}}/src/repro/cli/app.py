"""All commands together. Rooms are imported when a command needs them."""

from __future__ import annotations

import typer

from repro.cli import archive, claims, evaluation, gate, label, ledger, log, prefs, training, views
from repro.cli.mistakes import Commands

app = typer.Typer(
    cls=Commands,
    help="Reproduce a paper: train, launch, log, evaluate, report. Every command has --help with an example.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for commands in (training, evaluation, archive, views, label, ledger, gate, claims):
    app.add_typer(commands.app)
app.add_typer(log.log, name="log")
app.add_typer(prefs.prefs, name="prefs")
