"""The command that evaluates what was trained."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from repro.cli.common import A_RUN, Ablation, Params, open_project, project_root
from repro.reading import UserError
from repro.terminal.text import shown_path

if TYPE_CHECKING:
    from repro.config import Config
    from repro.tracking.archive import RunFolder

app = typer.Typer()


@app.command()
def evaluate(
    runs: Annotated[list[str] | None, typer.Argument(help=f"{A_RUN} Several, one after the other.")] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="How many; default: evaluation.episodes.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the starts; default: evaluation.seed. With --cell: which cell.")
    ] = None,
    actions: Annotated[
        Literal["sampled", "greedy"] | None, typer.Option(help="Only these; default: both.", show_default=False)
    ] = None,
    video: Annotated[
        int,
        typer.Option(
            min=0, help="Film so many of the episodes, and the segments that a learned reward ranks first and last."
        ),
    ] = 0,
    cell: Annotated[
        bool, typer.Option("--cell", help="Evaluate models/ of the pipeline instead (used by dvc.yaml).")
    ] = False,
    params: Params = None,
    ablation: Ablation = None,
) -> None:
    """Play full episodes from fixed starts and score them by true return.

    What the run's own parameters say is recorded with it; with other episodes, starts or actions it is only shown.

    Example: repro evaluate latest --video 3; repro evaluate 7f3a 09be
    """
    if cell and seed is not None and not runs:
        if episodes or actions or video:
            raise UserError("--episodes, --actions and --video are for runs; a cell is evaluated as its parameters say")
        _evaluate_cell(seed, params, ablation)
        return
    if cell or not runs:
        raise UserError("name a run (repro evaluate latest), or a cell (repro evaluate --cell --seed 100)")
    if ablation:
        raise UserError(f"--ablation {ablation}: is for cells; a run is evaluated as it was made, so leave it out")
    if params:
        raise UserError(f"--params {params}: is for cells; a run is evaluated by its own parameters, so leave it out")
    _evaluate_runs(runs, episodes, seed, actions, video)


def _evaluate_runs(runs: list[str], episodes: int | None, seed: int | None, actions: str | None, videos: int) -> None:
    """Evaluate one run after the other, once all of them are known to be there and to have a final agent."""
    from repro.tracking.archive import AGENT
    from repro.tracking.lookup import find_own_run
    from repro.worklog.entries import check_no_later_page

    root = project_root()
    folders = [find_own_run(root, run) for run in runs]
    asked_otherwise = (episodes, seed, actions) != (None, None, None)
    if not asked_otherwise:
        check_no_later_page(root)  # before playing, as the result is written to today's
    configs = [_as_asked(folder, episodes, seed, videos) for folder in folders]
    play = ("sampled", "greedy") if actions is None else (actions,)
    for folder, config in zip(folders, configs, strict=True):
        if folders[1:]:
            print(f"{folder.id}:", flush=True)
        evaluation = _play(root, config, folder.path / AGENT, folder.record["code_hash"], play)
        if asked_otherwise:
            print(f"not recorded, since other settings than those of {folder.id} were asked for")
        else:
            _judge(root, folder, evaluation)
        if videos:
            _film(config, folder.path / AGENT, folder, actions or config.evaluation.actions, videos)


def _as_asked(folder: RunFolder, episodes: int | None, seed: int | None, videos: int) -> Config:
    """The run's own parameters with what else was asked for. Raises UserError if it cannot be evaluated so."""
    from repro.config import parse_config
    from repro.tracking.archive import AGENT, effective_status

    if not (folder.path / AGENT).exists():  # it is written in the end
        status = effective_status(folder.record, folder.path)
        raise UserError(f"{folder.id}: is {status} and has no final agent to evaluate; go on: repro resume {folder.id}")
    config = parse_config(folder.record["params"])
    asked = {name: value for name, value in (("episodes", episodes), ("seed", seed)) if value is not None}
    config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update=asked)})
    if videos > config.evaluation.episodes:
        raise UserError(f"--video {videos}: there are only {config.evaluation.episodes} episodes; ask for more of them")
    return config


def _evaluate_cell(seed: int, params: Path | None, ablation: str | None) -> None:
    from repro.results import cells
    from repro.tracking.archive import is_run_folder, read_run

    root, config = open_project(params, None, ablation)
    name = cells.cell_name(config, seed, ablation)
    facts = cells.read_model_facts(root, config, name)
    evaluation = _play(root, config, root / "models" / name / "agent.pt", facts["code_hash"], ("sampled", "greedy"))
    print(f"written: {shown_path(cells.publish_evaluation(root, config, name, evaluation))}")
    path = root / "runs" / str(facts["id"])
    if is_run_folder(path):  # the models may have been trained elsewhere
        try:
            _judge(root, read_run(path), evaluation)
        except UserError as error:  # the cell is written and good all the same
            print(f"warning: {error}", file=sys.stderr)


def _judge(root: Path, run: RunFolder, evaluation: dict[str, Any]) -> None:
    """Keep the evaluation of a run with it, and close the run by the success criterion that it was launched with."""
    from repro.runs.closing import close_by_criterion
    from repro.tracking.wandb_sync import upload_again

    run.update(evaluation=evaluation)
    upload_again(run.path)
    if said := close_by_criterion(root, run, evaluation):
        print(said)


def _play(root: Path, config: Config, agent_file: Path, trained_by: str, play: tuple[str, ...]) -> dict[str, Any]:
    """Evaluate and print the result, and notes if the code (its hash) or the device are not those of the training."""
    from repro.results.evaluate import evaluate, evaluation_device, format_evaluation
    from repro.terminal.waiting import waiting
    from repro.tracking.snapshot import code_hash

    code = code_hash(root)
    with waiting(f"evaluating: {config.evaluation.episodes} episodes each"):
        evaluation = evaluate(config, agent_file, play) | {"code_hash": code}
    print(format_evaluation(evaluation, config))
    if code != trained_by:
        print(f"note: evaluated by the code as it is now ({code}), not by that which trained the agent ({trained_by})")
    if config.training.device == "cuda" and evaluation_device(config).type == "cpu":
        print("note: training.device is cuda, but torch finds no GPU: evaluated on the CPU, where scores may differ")
    return evaluation


def _film(config: Config, agent_file: Path, run: RunFolder, actions: str, count: int) -> None:
    """Write videos of the first episodes, and of segments if rewards were learned from them; say where."""
    from repro.results.evaluate import film, film_segments
    from repro.terminal.waiting import waiting

    filmed = film(config, agent_file, run.path / "videos", actions, count)
    for _ in range(count):
        with waiting("filming an episode"):
            path, returns, steps = next(filmed)
        print(f"{shown_path(path)}: return {returns:.1f} in {steps:,} steps")
    with waiting("filming segments"):
        segments = film_segments(config, run)
    if segments:
        print(f"{shown_path(segments)}: the segments with the highest and the lowest predicted returns")
