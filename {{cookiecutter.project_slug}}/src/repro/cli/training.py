"""Commands that train and evaluate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repro.cli.common import (
    Answers,
    Params,
    Preferences,
    Question,
    Run,
    Seed,
    Set,
    Skip,
    Stage,
    open_project,
    project_root,
)
from repro.config import Config, UserError
from repro.tracking.text import shown_path

if TYPE_CHECKING:
    from repro.tracking.archive import RunFolder

app = typer.Typer()
prefs = typer.Typer(help="Preferences: comparisons of segments and their labels.")
app.add_typer(prefs, name="prefs")


@app.command()
def train(
    seed: Seed,
    params: Params = None,
    set_: Set = None,
    question: Question = None,
    stage: Stage = None,
    preferences: Preferences = None,
    cell: Annotated[bool, typer.Option(help="Publish models and curve for the pipeline (used by dvc.yaml).")] = False,
    answers: Answers = None,
    skip: Skip = None,
) -> None:
    """Train in the foreground, archived, from a snapshot of the code.

    Example: repro train --seed 100 --set agent.entropy_coefficient=0.05 --question "does more entropy help?"
    """
    from repro.workflow import runs
    from repro.workflow.predictions import withdrawn

    root, config = open_project(params, set_)
    request = runs.RunRequest(seed, set_ or (), question, stage, preferences, cell, answers, skip)
    run = runs.prepare_run(root, config, request)
    if said := withdrawn(run.record):  # of an unfinished run of the cell
        print(said, flush=True)
    print(f"run {run.id}", flush=True)
    runs.become_run(root, run)


@app.command()
def launch(
    seed: Seed,
    params: Params = None,
    set_: Set = None,
    question: Question = None,
    stage: Stage = None,
    preferences: Preferences = None,
    answers: Answers = None,
    skip: Skip = None,
    wait: Annotated[bool, typer.Option(help="Stay until the run ends; its exit code becomes this one's.")] = False,
) -> None:
    """Pass the pre-launch gate, then train in the background.

    Example: repro launch --seed 100 --question "does it learn at 84x84?"
    """
    from repro.workflow import runs

    root, config = open_project(params, set_)
    request = runs.RunRequest(seed, set_ or (), question, stage, preferences, answers=answers, skip=skip)
    run = runs.prepare_run(root, config, request)
    process = runs.start_run(root, run)
    runs.say_started(run)
    if wait:
        raise typer.Exit(runs.wait_for(process))


@app.command()
def resume(run: Run) -> None:
    """Go on with a run that was interrupted or killed, from its last checkpoint and with its own code.

    Example: repro resume 7f3a
    """
    from repro.workflow.predictions import withdrawn
    from repro.workflow.runs import become_run, find_own_run

    root = project_root()
    folder = find_own_run(root, run)
    if folder.record["status"] == "finished":
        raise UserError(f"{folder.id}: is finished; look at it with: repro show {folder.id}")
    if said := withdrawn(folder.record):
        print(said, flush=True)
    become_run(root, folder)


@app.command("_run", hidden=True)
def run_in_snapshot(path: Path) -> None:
    """Do what a run folder describes; the code that runs is its snapshot."""
    from repro.workflow.runs import do_run

    raise typer.Exit(do_run(path))


@app.command()
def evaluate(
    run: Annotated[str | None, typer.Argument(help="A run's id, the start of one, or `latest`.")] = None,
    cell: Annotated[bool, typer.Option(help="Evaluate models/ of the pipeline instead (used by dvc.yaml).")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Which cell, with --cell.")] = None,
    params: Params = None,
) -> None:
    """Play full episodes from fixed starts and score them by true return.

    Example: repro evaluate latest
    """
    from repro.config import parse_config
    from repro.results import cells
    from repro.tracking.archive import effective_status, is_run_folder, read_run
    from repro.workflow.runs import find_own_run

    if cell and seed is not None and run is None:
        root, config = open_project(params, None)
        name = cells.cell_name(config, seed)
        facts = cells.read_model_facts(root, config, name)
        evaluation = _play(root, config, root / "models" / name / "agent.pt", facts["code_hash"])
        print(f"written: {shown_path(cells.publish_evaluation(root, config, name, evaluation))}")
        path = root / "runs" / str(facts["id"])
        if is_run_folder(path):  # the models may have been trained elsewhere
            try:
                _judge(root, read_run(path), evaluation)
            except UserError as error:  # the cell is written and good all the same
                print(f"warning: {error}", file=sys.stderr)
        return
    if cell or seed is not None or run is None:
        raise UserError("name a run (repro evaluate latest), or a cell (repro evaluate --cell --seed 100)")
    if params:
        raise UserError(f"--params {params}: is for cells; a run is evaluated by its own parameters, so leave it out")
    root = project_root()
    folder = find_own_run(root, run)
    agent = folder.path / "checkpoints/agent.pt"
    if not agent.exists():  # it is written in the end
        status = effective_status(folder.record)
        raise UserError(f"{folder.id}: is {status} and has no final agent to evaluate; go on: repro resume {folder.id}")
    config = parse_config(folder.record["params"])
    evaluation = _play(root, config, agent, folder.record["code_hash"])
    _judge(root, folder, evaluation)


def _judge(root: Path, run: RunFolder, evaluation: dict[str, Any]) -> None:
    """Keep the evaluation of a run with it, and close the run by the success criterion that it was launched with."""
    from repro.workflow.predictions import close_by_criterion

    run.update(evaluation=evaluation)
    if said := close_by_criterion(root, run, evaluation):
        print(said)


def _play(root: Path, config: Config, agent_file: Path, trained_by: str) -> dict[str, Any]:
    """Evaluate and print the result, and a note if the code (its hash) is not that which the agent was trained by."""
    from repro.results.evaluate import evaluate, format_evaluation
    from repro.tracking.snapshot import code_hash

    code = code_hash(root)
    evaluation = evaluate(config, agent_file) | {"code_hash": code}
    print(format_evaluation(evaluation, config))
    if code != trained_by:
        print(f"note: evaluated by the code as it is now ({code}), not by that which trained the agent ({trained_by})")
    return evaluation


@prefs.command("collect")
def collect(
    seed: Seed,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: data/<name>/seed-<seed>.")] = None,
    params: Params = None,
    set_: Set = None,
) -> None:
    """Collect the initial comparisons: segments of the untrained policy, labelled by the oracle.

    Example: repro prefs collect --seed 100
    """
    from repro.results.cells import cell_name
    from repro.workflow.collect import collect_preferences

    root, config = open_project(params, set_)
    out = out or root / "data" / cell_name(config, seed)
    print(f"{collect_preferences(config, seed, out)}: {shown_path(out)}")
