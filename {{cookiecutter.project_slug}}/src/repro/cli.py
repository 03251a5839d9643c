"""The command `repro`: one thin function per command. Rooms are imported when a command needs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from repro.config import Config, UserError, load_config

app = typer.Typer(
    help="Reproduce a paper: train, launch, log, evaluate, report. Every command has --help with an example.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
prefs = typer.Typer(help="Preferences: comparisons of segments and their labels.", no_args_is_help=True)
log = typer.Typer(help="The work log: a page a day with four logs.", invoke_without_command=True)
app.add_typer(prefs, name="prefs")
app.add_typer(log, name="log")

Params = Annotated[Path, typer.Option(help="Parameter file.", show_default=True)]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override, e.g. agent.learning_rate=3e-4. Repeatable.")]
Seed = Annotated[int, typer.Option(min=0, help="All randomness follows from it.")]
Question = Annotated[str | None, typer.Option(help="What this run is to answer; stands in the work log.")]
Preferences = Annotated[Path | None, typer.Option(help="Start from comparisons exported to this folder.")]
Answers = Annotated[Path | None, typer.Option(help="Answers to the pre-launch questions, for use without a terminal.")]
Skip = Annotated[str | None, typer.Option(help="Start without the pre-launch questions, for this reason (recorded).")]
Run = Annotated[str, typer.Argument(help="A run's id, the start of one, or `latest`.")]

INTERRUPTED = 130  # exit code after Ctrl-C


@app.command()
def train(
    seed: Seed,
    params: Params = Path("params.yaml"),
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
    root, config = _open_project(params, set_)
    run = _prepare_run(root, config, seed, set_, question, preferences, cell, answers, skip)
    print(f"run {run.id}", flush=True)
    environment = _snapshot_environment(root, run)
    os.chdir(root)
    os.execve(sys.executable, _run_command(run), environment)


@app.command()
def launch(
    seed: Seed,
    params: Params = Path("params.yaml"),
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
    root, config = _open_project(params, set_)
    run = _prepare_run(root, config, seed, set_, question, preferences, False, answers, skip)
    run.update(status="queued")  # until the process below takes it over
    process = subprocess.Popen(
        _run_command(run),
        cwd=root,
        env=_snapshot_environment(root, run),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    print(f"run {run.id} started; follow it with: tail -f {_relative(run.path / 'output.log')}")
    if wait:
        raise typer.Exit(process.wait())


@app.command()
def resume(run: Run) -> None:
    """Go on with a run that was interrupted or killed, from its last checkpoint and with its own code.

    Example: repro resume 7f3a
    """
    root = _project_root()
    folder = _find_run(root, run)
    if folder.record["status"] == "finished":
        raise UserError(f"{folder.id}: is finished; look at it with: repro show {folder.id}")
    os.chdir(root)
    os.execve(sys.executable, _run_command(folder), _snapshot_environment(root, folder))


@app.command("_run", hidden=True)
def run_in_snapshot(path: Path) -> None:
    """Do what a run folder describes; the code that runs is its snapshot."""
    from repro.config import parse_config
    from repro.results.cells import publish_training
    from repro.tracking.archive import claim_run, load_run
    from repro.tracking.output import tee_output
    from repro.tracking.snapshot import snapshot_path
    from repro.tracking.wandb import read_wandb_settings
    from repro.workflow import worklog

    root = path.resolve().parent.parent
    run = load_run(root, path.name)
    claim_run(run)
    import repro

    if not Path(repro.__file__).is_relative_to(snapshot_path(root, run.record["code_hash"])):
        raise UserError(f"{run.id}: {repro.__file__} is not the code this run was launched with")
    _log_run(worklog.enter_run, root, run.record)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    status, exit_code, result, row = "failed", 1, None, None
    try:
        with tee_output(run.path / "output.log"):
            from repro.training.session import train_run

            config = parse_config(run.record["params"])
            preferences = run.record.get("preferences")
            row = train_run(
                run, config, read_wandb_settings(root / "pyproject.toml"), preferences and Path(preferences)
            )
            if run.record["cell"]:
                publish_training(root, run, run.record["cell"])
            status, exit_code, result = "finished", 0, _describe(row)
            print(f"{run.id}: {result}")
    except KeyboardInterrupt:
        status, exit_code = "interrupted", INTERRUPTED
        print(f"\ninterrupted; go on with: repro resume {run.id}", file=sys.stderr)
    except SystemExit as stop:
        status, exit_code = "interrupted", int(stop.code or 0)
    except UserError as error:
        result = str(error)
        print(f"error: {error}", file=sys.stderr)
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
        raise
    finally:
        _end_run(root, run, status, exit_code, result, row)
    raise typer.Exit(exit_code)


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

    folder = _find_run(_project_root(), run)
    metrics = folder.path / "metrics.jsonl"
    print(format_run(folder.record, read_last_row(metrics) if metrics.exists() else None))


@app.command()
def evaluate(
    run: Annotated[str | None, typer.Argument(help="A run's id, the start of one, or `latest`.")] = None,
    cell: Annotated[bool, typer.Option(help="Evaluate models/ of the pipeline instead (used by dvc.yaml).")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Which cell, with --cell.")] = None,
    params: Params = Path("params.yaml"),
) -> None:
    """Play full episodes from fixed starts and score them by true return.

    Example: repro evaluate latest
    """
    from repro.config import parse_config
    from repro.results import cells
    from repro.results.evaluate import evaluate as evaluate_agent
    from repro.results.evaluate import format_evaluation

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
    folder = _find_run(_project_root(), run)
    config = parse_config(folder.record["params"])
    evaluation = evaluate_agent(config, folder.path / "checkpoints/agent.pt")
    folder.update(evaluation=evaluation)
    print(format_evaluation(evaluation, config))


@prefs.command("collect")
def collect(
    seed: Seed,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: data/<name>/seed-<seed>.")] = None,
    params: Params = Path("params.yaml"),
    set_: Set = None,
) -> None:
    """Collect the initial comparisons: segments of the untrained policy, labelled by the oracle.

    Example: repro prefs collect --seed 100
    """
    root, config = _open_project(params, set_)
    if config.preferences is None:
        raise UserError(f"{params}: has no section preferences, which says what to collect")
    from repro.preferences.store import PreferenceStore
    from repro.results.cells import cell_name
    from repro.training.preferences import collect_initial_labels
    from repro.training.session import describe_environment

    out = out or root / "data" / cell_name(config, seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        PreferenceStore(Path(folder) / "preferences.db", describe_environment(config)) as store,
    ):
        steps = collect_initial_labels(config, seed, store, "initial")
        store.export(out, name=config.name, seed=seed, env_steps=steps)
        counts = store.counts()
    print(f"{counts['labels']} labels ({counts['ties']} ties) from {steps:,} steps: {_relative(out)}")


@log.callback()
def log_page(context: typer.Context) -> None:
    """Open today's page in $EDITOR, or print it without a terminal.

    Example: repro log; repro log add "the entropy falls too fast"
    """
    if context.invoked_subcommand is None:
        from repro.workflow.worklog import open_page, read_page

        page = open_page(_project_root())
        editor = os.environ.get("EDITOR")
        if editor and sys.stdin.isatty() and sys.stdout.isatty():
            import shlex

            raise typer.Exit(subprocess.call([*shlex.split(editor), str(page)]))
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
    params: Params = Path("params.yaml"),
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
    from repro.workflow.prelaunch import gate_key, run_gate

    root, config = _open_project(params, set_)
    code = code_hash(root)
    if write_answers:
        write_answers_template(write_answers, read_checklist(root), code, gate_key(code, config))
        print(f"written: {write_answers}; fill it in, then: repro prelaunch --answers {write_answers}")
        return
    record = run_gate(
        root,
        config,
        code_hash=code,
        estimate_minutes=_estimate_minutes(config),
        answers_file=answers,
        skip_reason=skip,
        interactive=sys.stdin.isatty(),
        always=True,
    )
    print(f"passed ({record['passed']}): runs with this code and these parameters may start")


@app.command()
def report() -> None:
    """Write reports/ and the README's results table from results/cells and results/curves.

    Example: repro report
    """
    from repro.workflow.report import write_report

    root = _project_root()
    outcome = write_report(root)
    for path in outcome.written:
        print(f"written: {_relative(path)}")
    for warning in [*outcome.warnings, *outcome.not_made]:
        print(f"note: {warning}")


def main() -> None:
    """Entry point: what a user can put right is one line on stderr and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\ninterrupted; nothing was started", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _project_root() -> Path:
    from repro.tracking.snapshot import project_root

    return project_root()


def _open_project(params: Path, overrides: list[str] | None) -> tuple[Path, Config]:
    """The project's folder and its parameters, with overrides."""
    return _project_root(), load_config(params, overrides or ())


def _find_run(root: Path, name: str) -> Any:
    """The run folder that a user named."""
    from repro.tracking.archive import list_runs, load_run

    if name == "latest":
        records = list_runs(root)
        if not records:
            raise UserError("there is no run yet; start one with: repro train --seed 100")
        name = max(records, key=lambda record: record.get("started") or "")["id"]
    return load_run(root, name)


def _prepare_run(
    root: Path,
    config: Config,
    seed: int,
    overrides: list[str] | None,
    question: str | None,
    preferences: Path | None,
    cell: bool,
    answers: Path | None,
    skip: str | None,
) -> Any:
    """Check what can be checked at once, pass the gate, and create the run folder."""
    from repro.results.cells import cell_name
    from repro.tracking.archive import create_run
    from repro.tracking.snapshot import code_hash
    from repro.tracking.wandb import read_wandb_settings
    from repro.training.device import choose_device
    from repro.workflow.prelaunch import run_gate

    read_wandb_settings(root / "pyproject.toml")
    choose_device(config.training.device)
    name = cell_name(config, seed)
    if cell and config.reward.source == "learned":
        preferences = preferences or root / "data" / name
    if preferences and not (preferences / "meta.json").exists():
        raise UserError(f"--preferences {preferences}: holds no exported preferences (meta.json is missing)")
    gate = run_gate(
        root,
        config,
        code_hash=code_hash(root),
        estimate_minutes=_estimate_minutes(config),
        answers_file=answers,
        skip_reason=skip,
        interactive=sys.stdin.isatty(),
    )
    run = create_run(
        root,
        kind="train",
        config=config.model_dump(mode="json"),
        name=config.name,
        seed=seed,
        command=sys.argv,
        cell=name if cell else None,
        question=question or gate.get("question"),
        prediction=gate.get("prediction"),
        gate=gate,
        skip_reason=gate.get("skip_reason"),
        overrides=overrides or (),
    )
    if preferences:
        run.update(preferences=str(preferences.resolve()))
    return run


def _estimate_minutes(config: Config) -> float:
    from repro.preflight.estimate import estimate_minutes

    return estimate_minutes(config, config.seeds.tuning[0])


def _run_command(run: Any) -> list[str]:
    return [sys.executable, "-m", "repro.cli", "_run", str(run.path)]


def _snapshot_environment(root: Path, run: Any) -> dict[str, str]:
    """The environment in which `import repro` finds the code the run was launched with."""
    from repro.tracking.snapshot import snapshot_path

    return os.environ | {
        "PYTHONPATH": str(snapshot_path(root, run.record["code_hash"]) / "src"),
        "PYTHONUNBUFFERED": "1",
    }


def _end_run(root: Path, run: Any, status: str, exit_code: int, result: str | None, row: dict[str, Any] | None) -> None:
    """Record the end of a run in its folder and in the work log."""
    from repro.tracking.archive import finish_run
    from repro.workflow import worklog

    try:
        finish_run(run, status, exit_code, result, row)
    except UserError as error:
        print(f"warning: the end of the run is not recorded: {error}", file=sys.stderr)
        return
    _log_run(worklog.finish_run, root, run.record)


def _log_run(write: Any, root: Path, record: dict[str, Any]) -> None:
    """Write a run's row in the work log; a damaged page is reported, and does not stop the run."""
    try:
        write(root, record)
    except UserError as error:
        print(f"warning: not entered in the work log: {error}", file=sys.stderr)


def _describe(row: dict[str, Any]) -> str:
    """The result of a run in one line."""
    parts = [f"{row['env_step']:,} steps"]
    if "return/mean" in row:
        parts.insert(0, f"return {row['return/mean']:.1f}")
    if "return/fraction_of_optimal" in row:
        parts.insert(1, f"{row['return/fraction_of_optimal']:.0%} of optimal")
    if "preferences/labels" in row:
        parts.append(f"{row['preferences/labels']:,} labels")
    return ", ".join(parts)


def _relative(path: Path) -> str:
    """A path as short as it can be written from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


if __name__ == "__main__":
    main()
