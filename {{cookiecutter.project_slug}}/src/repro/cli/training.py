"""Commands that train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repro.cli.common import (
    Ablation,
    Answers,
    Params,
    Preferences,
    Question,
    RewardModel,
    Run,
    Seed,
    Set,
    Skip,
    Stage,
    open_project,
    project_root,
)
from repro.reading import UserError

app = typer.Typer()


@app.command()
def train(
    seed: Seed,
    params: Params = None,
    set_: Set = None,
    question: Question = None,
    stage: Stage = None,
    preferences: Preferences = None,
    reward_model: RewardModel = None,
    ablation: Ablation = None,
    cell: Annotated[
        bool, typer.Option("--cell", help="Publish models and curve for the pipeline (used by dvc.yaml).")
    ] = False,
    answers: Answers = None,
    skip: Skip = None,
) -> None:
    """Train in the foreground, archived, from a snapshot of the code.

    Example: repro train --seed 100 --set agent.entropy_coefficient=0.05 --question "does more entropy help?"
    """
    from repro.workflow import runs
    from repro.workflow.predictions import withdrawn

    root, config = open_project(params, set_, ablation)
    request = runs.RunRequest(
        seed, set_ or (), question, stage, preferences, cell, answers, skip, ablation, reward_model
    )
    run = runs.prepare_run(root, config, request)
    if said := withdrawn(run.record):  # of an unfinished run of the cell
        print(said, flush=True)
    print(f"run {run.id}", flush=True)
    runs.become_run(root, run)


@app.command()
def launch(
    seed: Annotated[list[int], typer.Option(min=0, help="All randomness follows from it. Repeatable.")],
    params: Params = None,
    set_: Set = None,
    question: Question = None,
    stage: Stage = None,
    preferences: Preferences = None,
    reward_model: RewardModel = None,
    ablation: Ablation = None,
    ablations: Annotated[
        str | None,
        typer.Option(help="Several, with commas between; none: the whole method; all: it and each ablation."),
    ] = None,
    answers: Answers = None,
    skip: Skip = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the run ends; its exit code becomes this one's.")
    ] = False,
) -> None:
    """Pass the pre-launch gate, then train in the background: of several seeds or ablations one run after another.

    Example: repro launch --seed 100 --question "does it learn at 84x84?"
    """
    from repro.workflow import runs

    if ablation and ablations:
        raise UserError("--ablation and --ablations: give one of them")
    root, config = open_project(params, set_, ablation)
    request = runs.RunRequest(
        seed[0],
        set_ or (),
        question,
        stage,
        preferences,
        answers=answers,
        skip=skip,
        ablation=ablation,
        reward_model=reward_model,
    )
    if len(seed) == 1 and ablations is None:
        run = runs.prepare_run(root, config, request)
        process = runs.start_run(root, run)
        runs.say_started(run)
    else:
        from repro.workflow import sweep

        queue = sweep.prepare_sweep(root, sweep.variants(config, ablation, ablations), seed, request)
        process = sweep.start_sweep(root, queue)
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


@app.command("_queue", hidden=True)
def run_one_after_another(paths: list[Path]) -> None:
    """Do what several run folders describe, each in a process of its own."""
    from repro.workflow.sweep import work_off

    raise typer.Exit(work_off(paths))
