"""The command `repro`: one thin function per command. Rooms are imported when a command needs them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from repro.config import Config, UserError, load_config

app = typer.Typer(
    help="Reproduce a paper: train, launch, log, evaluate, report. Every command has --help with an example.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
prefs = typer.Typer(help="Preferences: comparisons of segments and their labels.")
log = typer.Typer(invoke_without_command=True)
app.add_typer(prefs, name="prefs")
app.add_typer(log, name="log")

USAGE_ERROR: Any = typer.BadParameter.__mro__[1]  # of Typer's own click: unknown options and the like

Params = Annotated[Path | None, typer.Option(help="Parameter file.", show_default="the project's params.yaml")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override, e.g. agent.learning_rate=3e-4. Repeatable.")]
Seed = Annotated[int, typer.Option(min=0, help="All randomness follows from it.")]
Question = Annotated[str | None, typer.Option(help="What this run is to answer; stands in the work log.")]
Preferences = Annotated[Path | None, typer.Option(help="Start from comparisons exported to this folder.")]
Answers = Annotated[Path | None, typer.Option(help="Answers to the pre-launch questions, for use without a terminal.")]
Skip = Annotated[str | None, typer.Option(help="Start without the pre-launch questions, for this reason (recorded).")]
Run = Annotated[str, typer.Argument(help="A run's id, the start of one, or `latest`.")]


@app.command()
def train(
    seed: Seed,
    params: Params = None,
    set_: Set = None,
    question: Question = None,
    preferences: Preferences = None,
    cell: Annotated[bool, typer.Option(help="Publish models and curve for the pipeline (used by dvc.yaml).")] = False,
    answers: Answers = None,
    skip: Skip = None,
) -> None:
    """Train in the foreground, archived, from a snapshot of the code.

    Example: repro train --seed 100 --set agent.entropy_coefficient=0.05 --question "does more entropy help?"
    """
    from repro.workflow import runs

    root, config = _open_project(params, set_)
    run = runs.prepare_run(root, config, runs.Wish(seed, set_ or (), question, preferences, cell, answers, skip))
    print(f"run {run.id}", flush=True)
    runs.become_run(root, run)


@app.command()
def launch(
    seed: Seed,
    params: Params = None,
    set_: Set = None,
    question: Question = None,
    preferences: Preferences = None,
    answers: Answers = None,
    skip: Skip = None,
    wait: Annotated[bool, typer.Option(help="Stay until the run ends; its exit code becomes this one's.")] = False,
) -> None:
    """Pass the pre-launch gate, then train in the background.

    Example: repro launch --seed 100 --question "does it learn at 84x84?"
    """
    from repro.workflow import runs

    root, config = _open_project(params, set_)
    wish = runs.Wish(seed, set_ or (), question, preferences, answers=answers, skip=skip)
    run = runs.prepare_run(root, config, wish)
    process = runs.start_run(root, run)
    print(f"run {run.id} started; follow it with: tail -f {_relative(run.path / 'output.log')}", flush=True)
    if wait:
        raise typer.Exit(runs.wait_for(process))


@app.command()
def resume(run: Run) -> None:
    """Go on with a run that was interrupted or killed, from its last checkpoint and with its own code.

    Example: repro resume 7f3a
    """
    from repro.workflow.runs import become_run, find_run

    root = _project_root()
    folder = find_run(root, run)
    if folder.record["status"] == "finished":
        raise UserError(f"{folder.id}: is finished; look at it with: repro show {folder.id}")
    become_run(root, folder)


@app.command("_run", hidden=True)
def run_in_snapshot(path: Path) -> None:
    """Do what a run folder describes; the code that runs is its snapshot."""
    from repro.workflow.runs import do_run

    raise typer.Exit(do_run(path))


@app.command()
def runs() -> None:
    """List all runs, newest first.

    Example: repro runs
    """
    from repro.tracking.archive import list_runs
    from repro.tracking.listing import format_runs

    records = list_runs(_project_root())
    print(format_runs(records) if records else "no runs yet; start one with: repro train --seed 100")


@app.command()
def show(run: Run) -> None:
    """Show one run: question, result, parameters that were set, where its files are.

    Example: repro show latest
    """
    from repro.tracking.listing import format_run
    from repro.tracking.metrics import read_last_row
    from repro.workflow.runs import find_run

    folder = find_run(_project_root(), run)
    metrics = folder.path / "metrics.jsonl"
    print(format_run(folder.record, read_last_row(metrics) if metrics.exists() else None))


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
    from repro.results.evaluate import evaluate as evaluate_agent
    from repro.results.evaluate import format_evaluation
    from repro.workflow.runs import find_run

    if cell and seed is not None and run is None:
        root, config = _open_project(params, None)
        name = cells.cell_name(config, seed)
        cells.read_model_facts(root, name)
        evaluation = evaluate_agent(config, root / "models" / name / "agent.pt")
        print(format_evaluation(evaluation, config))
        print(f"written: {_relative(cells.publish_evaluation(root, config, name, evaluation))}")
        return
    if cell or seed is not None or run is None:
        raise UserError("name a run (repro evaluate latest), or a cell (repro evaluate --cell --seed 100)")
    folder = find_run(_project_root(), run)
    config = parse_config(folder.record["params"])
    evaluation = evaluate_agent(config, folder.path / "checkpoints/agent.pt")
    folder.update(evaluation=evaluation)
    print(format_evaluation(evaluation, config))


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
    from repro.workflow.runs import collect_preferences

    root, config = _open_project(params, set_)
    out = out or root / "data" / cell_name(config, seed)
    print(f"{collect_preferences(config, seed, out)}: {_relative(out)}")


@log.callback()
def log_page(context: typer.Context) -> None:
    """The work log: open the page of today in $EDITOR, or print it without a terminal.

    Example: repro log; repro log add "the entropy falls too fast"
    """
    if context.invoked_subcommand is None:
        from repro.workflow.worklog import open_page, read_page

        page = open_page(_project_root())
        editor = os.environ.get("EDITOR")
        if editor and sys.stdin.isatty() and sys.stdout.isatty():
            try:
                raise typer.Exit(subprocess.call([*shlex.split(editor), str(page)]))
            except (OSError, ValueError) as error:
                raise UserError(f"EDITOR={editor}: cannot be started ({error}); set it to your editor") from None
        print(f"{_relative(page)}\n\n{read_page(page)}", end="")


@log.command("add")
def log_add(text: Annotated[str, typer.Argument(help="What you are thinking.")]) -> None:
    """Append a thought, with the time, to log 2 of today's page.

    Example: repro log add "rewards look flat: is the normaliser saved?"
    """
    from repro.workflow.worklog import add_note

    print(f"added to {_relative(add_note(_project_root(), text))}")


@app.command()
def prelaunch(
    params: Params = None,
    set_: Set = None,
    answers: Answers = None,
    skip: Skip = None,
    write_answers: Annotated[Path | None, typer.Option(help="Write a file of the questions, to be filled in.")] = None,
) -> None:
    """Run the pre-launch checks and answer the questions now; runs with this code and these parameters may start then.

    Example: repro prelaunch --set training.total_steps=1000000
    """
    from repro.tracking.snapshot import code_hash
    from repro.workflow.checklist import read_checklist, write_answers_template
    from repro.workflow.prelaunch import gate_key
    from repro.workflow.runs import pass_gate

    root, config = _open_project(params, set_)
    if write_answers:
        code = code_hash(root)
        write_answers_template(write_answers, read_checklist(root), code, gate_key(code, config))
        print(f"written: {write_answers}; fill it in, then: repro prelaunch --answers {write_answers}")
        return
    record = pass_gate(root, config, config.seeds.tuning[0], answers, skip, always=True)
    print(f"passed ({record['passed']}): runs with this code and these parameters may start")


@app.command()
def report() -> None:
    """Write reports/ and the README's results table from results/cells and results/curves.

    Example: repro report
    """
    from repro.workflow.report import write_report

    root = _project_root()
    config = load_config(root / "params.yaml")
    outcome = write_report(root, {config.name: config.seeds.pipeline})
    for path in outcome.written:
        print(f"written: {_relative(path)}")
    for warning in [*outcome.warnings, *outcome.not_made]:
        print(f"note: {warning}")


def main() -> None:
    """Entry point: what a user can put right is one line on stderr and exit code 2."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="repro", standalone_mode=False))
    except UserError as error:
        _exit_with(str(error))
    except USAGE_ERROR as error:
        command = error.ctx.command_path if error.ctx else "repro"
        _exit_with(f"{error.format_message().rstrip('.')}; see {command} --help")


def _exit_with(message: str) -> NoReturn:
    """One line, with paths as short as they can be written from here."""
    line = " ".join(message.split()).replace(f"{Path.cwd()}{os.sep}", "")
    print(f"error: {line}", file=sys.stderr)
    sys.exit(2)


def _project_root() -> Path:
    from repro.tracking.snapshot import project_root

    return project_root()


def _open_project(params: Path | None, overrides: list[str] | None) -> tuple[Path, Config]:
    """The project's folder and its parameters, with overrides."""
    root = _project_root()
    return root, load_config(params or root / "params.yaml", overrides or ())


def _relative(path: Path) -> str:
    """A path as short as it can be written from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    main()
