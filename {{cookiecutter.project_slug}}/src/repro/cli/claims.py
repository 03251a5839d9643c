"""Commands that hold results against claims, and report them."""

from __future__ import annotations

import gc
from typing import Annotated

import typer

from repro.cli.common import project_root
from repro.reading import UserError
from repro.terminal.text import counted, shown_path, terminal_width

app = typer.Typer()


@app.command()
def claims(
    check: Annotated[
        bool,
        typer.Option("--check", help="Fail if a claim lacks cells or seeds, or they are from uncommitted code."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="All numbers, unrounded, for other programs.")] = False,
) -> None:
    """Each claim of paper/claims.yaml beside what results/cells say of it: interval, seeds, verdict, runs.

    Example: repro claims; repro claims --check
    """
    import json as json_format

    from repro.claims.judging import claims_json, format_claims, judge_claims
    from repro.config import load_config

    root = project_root()
    verdicts = judge_claims(root, load_config(root / "params.yaml"))
    if json:
        print(json_format.dumps(claims_json(verdicts), indent=1, ensure_ascii=False))
    else:
        print(format_claims(verdicts, terminal_width()))
    failed = [one.claim.id for one in verdicts.judged if one.problems]
    if check and failed:
        raise UserError(f"claims without the cells that they need: {', '.join(failed)}; `repro claims` says which")


@app.command()
def preregister(
    amend: Annotated[
        str | None, typer.Option(help="Add what changed since the registration, for this reason; both stay seen.")
    ] = None,
) -> None:
    """Keep the plan, claims, parameters, seeds and code in paper/preregistered.json, before the final seeds are run.

    Example: repro preregister; repro preregister --amend "a bug in evaluate.py counted the first episode twice"
    """
    from repro.claims.judging import judge_claims
    from repro.claims.preregistration import REGISTERED, register
    from repro.config import load_config

    root = project_root()
    config = load_config(root / "params.yaml")
    entry = register(root, config, amend)
    seeds = counted(len(entry["seeds"]["final"]), "final seed")
    kept = f"{counted(len(entry['claims']), 'claim')}, {seeds}, {', '.join(entry['params'])}"
    print(f"written: {shown_path(root / REGISTERED)} ({kept})")
    for claim, plan in judge_claims(root, config).plans.items():
        print(f"{claim}: {plan}")
    if entry["dirty"]:
        print("note: the code is not committed as it is, so nobody else can see what was registered")
    print('now commit it: git add paper && git commit -m "Preregistration"')


@app.command()
def report() -> None:
    """Write reports/ and the README's results tables from results/cells, results/curves and paper/.

    Example: repro report
    """
    from repro.config import load_config
    from repro.report.writing import write_report

    root = project_root()
    gc.disable()  # nearly all that is made is kept to the end, and looking through it takes a tenth of the time
    outcome = write_report(root, load_config(root / "params.yaml"))
    inside = [path for path in outcome.written if path.is_relative_to(root / "reports")]
    print(f"written: {shown_path(root / 'reports/report.html')} and {len(inside) - 1} more files beside it")
    for path in [path for path in outcome.written if path not in inside]:
        print(f"written: {shown_path(path)}")
    for warning in [*outcome.warnings, *outcome.not_made]:
        print(f"note: {warning}")
