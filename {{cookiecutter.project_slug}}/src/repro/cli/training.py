"""Commands that train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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

    A cell of the pipeline is not trained again where a finished run, of a launch for example, did the same.

    Example: repro train --seed 100 --set agent.entropy_coefficient=0.05 --question "does more entropy help?"
    """
    from repro.runs.closing import say_withdrawn
    from repro.runs.preparing import RunRequest, adopt, prepare_run
    from repro.runs.processes import become_run

    root, config = open_project(params, set_, ablation)
    request = RunRequest(seed, set_ or (), question, stage, preferences, cell, answers, skip, ablation, reward_model)
    if cell and (done := adopt(root, config, request)):
        print(f"{done.id} did what this cell is, so it is published, and nothing is trained")
        return
    run = prepare_run(root, config, request)
    say_withdrawn(run.record)  # of an unfinished run of the cell
    print(f"run {run.id}", flush=True)
    become_run(root, run)


@app.command()
def launch(
    seed: Annotated[int | None, typer.Option(min=0, help="All randomness follows from it.")] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Several: tuning, final or pipeline (of the parameters), or a list: 100,101.")
    ] = None,
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
    on: Annotated[Literal["local", "slurm"], typer.Option(help="This machine, or a job for each run.")] = "local",
    at_once: Annotated[
        int | None,
        typer.Option(min=1, help="So many runs at a time.", show_default="what cores and memory allow"),
    ] = None,
    answers: Answers = None,
    skip: Skip = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until all has ended; the exit code is 0 if all runs have finished.")
    ] = False,
) -> None:
    """Pass the pre-launch gate, then train in the background: several seeds or ablations at a time.

    Of several, only those that have not finished are done: the same command again goes on where it was stopped.

    Example: repro launch --seeds tuning --ablations all --question "which parts are needed?"
    """
    from repro.launch import cells, local, slurm
    from repro.runs.preparing import RunRequest, prepare_run
    from repro.runs.processes import say_started, start_run, wait_for

    if (seed is None) == (seeds is None):
        raise UserError("repro launch: give either --seed or --seeds; type for example: repro launch --seed 100")
    if ablation and ablations:
        raise UserError("--ablation and --ablations: give one of them")
    several = seeds is not None or ablations is not None or on == "slurm"
    if wait and on == "slurm":
        raise UserError("--wait: is for --on local; follow the jobs with: repro watch")
    if at_once and not several:
        raise UserError(f"--at-once {at_once}: is for several runs (--seeds, --ablations); leave it out")
    root, config = open_project(params, set_, ablation)
    # The seed of a request is that of one run; of several, each has its own.
    request = RunRequest(
        seed or 0, set_ or (), question, stage, preferences, False, answers, skip, ablation, reward_model
    )
    if not several:
        run = prepare_run(root, config, request)
        process = start_run(root, run)
        say_started(run)
        if wait:
            raise typer.Exit(wait_for(process))
        return
    if on == "slurm":
        slurm.check_slurm(root)
    configs = cells.variants(config, ablation, ablations)
    runs = cells.prepare_cells(root, configs, cells.chosen_seeds(config, seeds or str(seed)), request, params)
    if not runs:
        print("nothing is left to do; once more from the same code: repro rerun RUN")
    elif on == "slurm":
        slurm.submit(root, runs, at_once)
    else:
        at_once = at_once or local.runs_at_once(config, runs[0].record["device"], len(runs))
        pool = local.start_pool(root, runs, at_once)
        if wait:
            raise typer.Exit(local.wait_for_pool(root, runs, pool))


@app.command()
def resume(run: Run) -> None:
    """Go on with a run that was interrupted or killed, from its last checkpoint and with its own code.

    Example: repro resume 7f3a
    """
    from repro.runs.closing import say_withdrawn
    from repro.runs.processes import become_run
    from repro.tracking.lookup import find_own_run

    root = project_root()
    folder = find_own_run(root, run)
    if folder.record["status"] == "finished":
        raise UserError(f"{folder.id}: is finished; look at it with: repro show {folder.id}")
    say_withdrawn(folder.record)
    become_run(root, folder)


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
    from repro.gate.prelaunch import Given
    from repro.runs.processes import become_run, say_started, start_run
    from repro.runs.reproduced import other_circumstances
    from repro.runs.rerun import prepare_rerun
    from repro.tracking.lookup import find_own_run

    root = project_root()
    original = find_own_run(root, run)
    again = prepare_rerun(root, original, seed, stage, Given(answers, skip))
    print(f"run {again.id}, with the code and parameters of {original.id}", flush=True)
    if others := other_circumstances(original.record, again.record):
        print(f"note: the metrics may differ: {others}", flush=True)
    if not background:
        become_run(root, again)
    start_run(root, again)
    say_started(again)


@app.command("_run", hidden=True)
def run_in_snapshot(path: Path) -> None:
    """Do what a run folder describes; the code that runs is its snapshot."""
    from repro.runs.doing import do_run

    raise typer.Exit(do_run(path))


@app.command("_pool", hidden=True)
def run_several(at_once: int, paths: list[Path]) -> None:
    """Do what several run folders describe, each in a process of its own."""
    from repro.launch.local import work_off

    raise typer.Exit(work_off(paths, at_once))
