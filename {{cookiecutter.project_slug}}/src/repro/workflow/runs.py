"""What happens to a run around its training: prepared and archived, done from its snapshot, ended and written down.

`repro train` and `repro launch` prepare a run; then a new process, which finds `repro` in the run's snapshot of the
code, does it (`do_run`), again after it was killed. torch is imported only where something is computed.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import repro
from repro.config import Config, parse_config
from repro.reading import UserError, syntax_errors_in_a_line
from repro.results.cells import cell_name, publish_training
from repro.tracking import provenance
from repro.tracking.archive import RunFolder, claim_run, find_folder, finish_run, read_run
from repro.tracking.creation import create_run, keep_code
from repro.tracking.index import list_summaries
from repro.tracking.locks import hold_run
from repro.tracking.output import keep_warnings, tee_output
from repro.tracking.snapshot import snapshot_path
from repro.tracking.wandb import read_wandb_settings
from repro.workflow import worklog
from repro.workflow.budget import read_budget, stage_name
from repro.workflow.earlier_runs import check_clock, find_same_run, find_unfinished, offer_earlier
from repro.workflow.processes import as_shells_count, snapshot_command, start_process
from repro.workflow.reproduced import compare_with_original

FAILED, REFUSED, INTERRUPTED, TERMINATED = 1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM  # exit codes


@dataclass(frozen=True)
class RunRequest:
    """What a user asked for on the command line, beside the parameters."""

    seed: int
    overrides: Sequence[str] = ()
    question: str | None = None
    stage: str | None = None  # of the budget; by default the one that is on
    preferences: Path | None = None  # start from the comparisons exported to this folder
    cell: bool = False  # publish the models and the curve for the pipeline
    answers: Path | None = None
    skip: str | None = None
    ablation: str | None = None  # that the parameters are of
    reward_model: str | None = None  # start with that of this run


def prepare_run(root: Path, config: Config, request: RunRequest) -> RunFolder:
    """Check what can be checked at once, pass the gate, and create the run folder. Raises UserError.

    For a cell of the pipeline, an unfinished run that would be the same is returned instead, to go on with.
    """
    from repro.preflight.estimate import estimate_minutes
    from repro.training.device import choose_device, resolve_auto
    from repro.training.initial_labels import check_export
    from repro.training.loops import check_algorithm
    from repro.workflow.expected import say_expected
    from repro.workflow.given_model import reward_model_of
    from repro.workflow.prelaunch import check_given

    importlib.import_module("repro.training.session")  # as the run will: an error in it shows before there is a run
    read_wandb_settings(root / "pyproject.toml")
    stage = stage_name(read_budget(root), request.stage)
    device = choose_device(config.training.device)
    check_algorithm(config)
    name = cell_name(config, request.seed, request.ablation)
    preferences = request.preferences
    if request.cell and config.reward.source == "learned":
        preferences = preferences or root / "data" / name
    if preferences:
        check_export(config, preferences, request.seed)
    reward_model = reward_model_of(root, config, request.reward_model)
    check_clock(root)
    code = keep_code(root)  # before the gate: what is checked and asked about is what will run
    params = resolve_auto(config)
    if request.cell and (unfinished := find_unfinished(root, name, code.hash, params, preferences)):
        print(f"going on with {unfinished.id}, an unfinished run of this cell with this code, data and parameters")
        return unfinished
    check_given(root, config, code.hash, request.answers, request.skip, request.question)
    minutes = estimate_minutes(config, request.seed)
    runs = len(config.seeds.pipeline) if request.cell else 1  # a sweep passes once, for its total
    say_expected(root, config.name, device.type, minutes, runs)
    if not reward_model and (earlier := find_same_run(root, code.hash, params, request.seed, preferences)):
        long = minutes > config.gate.after_minutes
        offer_earlier(earlier, input if long and sys.stdin.isatty() else None)
    gate = pass_gate(
        root, config, code.hash, runs * minutes, request.answers, request.skip, question=request.question, runs=runs
    )
    if not request.cell and request.seed in config.seeds.final:
        print(f"note: seed {request.seed} is one of seeds.final; after tuning on it, nothing can be claimed on it")
    return create_run(
        root,
        code,
        config=params,
        name=config.name,
        seed=request.seed,
        command=["repro", *sys.argv[1:]],
        overrides=request.overrides,
        ablation=request.ablation,
        cell=name if request.cell else None,
        stage=stage,
        question=request.question,
        gate=gate,
        estimate_minutes=float(f"{minutes:.3g}"),
        device=device.type,
        preferences=preferences,
        reward_model=reward_model,
    )


def pass_gate(
    root: Path,
    config: Config,
    code: str,
    minutes: float,
    answers: Path | None,
    skip: str | None,
    always: bool = False,
    question: str | None = None,
    runs: int = 1,
) -> dict[str, Any]:
    """Pass the pre-launch gate with `runs` that take so long together; returns its record. Raises UserError."""
    from repro.workflow.prelaunch import run_gate

    return run_gate(
        root,
        config,
        code_hash=code,
        estimate_minutes=minutes,
        runs=runs,
        answers_file=answers,
        skip_reason=skip,
        interactive=sys.stdin.isatty(),
        always=always,
        question=question,
    )


def find_run(root: Path, name: str) -> RunFolder:
    """The run that a user named: an id, its start or end, a path, or `latest`. Raises UserError."""
    return read_run(find_run_folder(root, name))


def find_run_folder(root: Path, name: str) -> Path:
    """The folder of the run that a user named, be its record readable or not. Raises UserError."""
    if name == "latest":
        runs = list_summaries(root)
        if not runs:
            raise UserError("there is no run yet; start one with: repro train --seed 100")
        name = runs[0]["id"]
    return find_folder(root, name)


def find_own_run(root: Path, name: str) -> RunFolder:
    """As `find_run`, for what computes with the run: it must be of this project, in its archive. Raises UserError."""
    run = find_run(root, name)
    project, other = provenance.project(root).get("name"), run.record.get("project")
    if other is not None and other != project:
        raise UserError(f"{run.id}: is a run of the project {other}, not of {project}; go to that one's folder")
    if run.path.parent.resolve() != (root / "runs").resolve():
        raise UserError(f"{run.path}: lies outside this project's runs/; move it there, with its code in .snapshots")
    return RunFolder(root / "runs" / run.id, run.record)  # where runs/ is a link, by the way that leads to the project


def become_run(root: Path, run: RunFolder) -> NoReturn:
    """Replace this process by one that does the run."""
    command, environment = snapshot_command(root, run.record["code_hash"], "_run", str(run.path))
    os.chdir(root)
    os.execve(sys.executable, command, environment)


def start_run(root: Path, run: RunFolder) -> subprocess.Popen[bytes]:
    """Start a process that does the run, apart from this terminal. Raises UserError if it does not get under way."""
    run.update(status="queued")  # until the process takes it over
    process = start_process(root, run.record["code_hash"], "_run", str(run.path), start_new_session=True)
    while read_run(run.path).record["status"] == "queued":
        if process.poll() is not None:
            raise UserError(f"{run.id}: did not get under way; see why with: repro resume {run.id}")
        time.sleep(0.05)
    return process


def say_started(run: RunFolder) -> None:
    """Print what to do next with a run that was started in the background."""
    print(f"{run.id} has started; follow it with: repro watch {run.id}", flush=True)


def wait_for(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a run that was started; returns its exit code. Ctrl-C ends the waiting only."""
    try:
        return as_shells_count(process.wait())
    except KeyboardInterrupt:
        print(f"\nthe run goes on; stop it with: kill {process.pid}", file=sys.stderr)
        return INTERRUPTED


def do_run(path: Path) -> int:
    """Do what the run folder at `path` describes, in this process. Returns the exit code. Raises UserError."""
    root = Path(os.path.abspath(path)).parent.parent  # not resolved: runs/ may be a link to a larger disk
    read_run(path)  # says so if there is no such run
    hold_run(path)  # until this process ends
    run = read_run(path)
    if not Path(repro.__file__).is_relative_to(snapshot_path(root, run.record["code_hash"])):
        raise UserError(f"{run.id}: {repro.__file__} is not the code this run was launched with")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    status, exit_code, result, metrics = "failed", FAILED, None, None
    start = time.monotonic()
    try:
        claim_run(run)
        with keep_warnings(run.path / "output.log"):
            _log(worklog.enter_run, root, run.record)
        with tee_output(run.path / "output.log"):
            metrics = _train(root, run)
            status, exit_code, result = "finished", 0, _describe(metrics)
            print(f"{run.id}: {result}")
            if run.record.get("rerun_of"):
                print(compare_with_original(root, run))
    except (KeyboardInterrupt, SystemExit) as stop:
        status, exit_code = "interrupted", TERMINATED if isinstance(stop, SystemExit) else INTERRUPTED
        print(f"\ninterrupted; go on with: repro resume {run.id}", file=sys.stderr)
    except UserError as error:
        exit_code, result = REFUSED, str(error)
        raise
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # an impatient second Ctrl-C must not spoil the record
            signal.signal(number, signal.SIG_IGN)
        if run.record["pid"] == os.getpid():  # it is ours
            with keep_warnings(run.path / "output.log"):
                _end(root, run, status, exit_code, result, metrics, time.monotonic() - start)
    return exit_code


@syntax_errors_in_a_line()
def _train(root: Path, run: RunFolder) -> dict[str, Any]:
    """Train, and publish the outcome where it is a cell's. Returns the latest value of each metric."""
    from repro.training.session import train_run

    config = parse_config(run.record["params"], source=f"{run.id}/params.yaml")
    preferences = run.record.get("preferences")
    settings = read_wandb_settings(root / "pyproject.toml")
    metrics = train_run(run, config, settings, root / preferences if preferences else None)
    if run.record["cell"]:
        publish_training(root, run, run.record["cell"])
    return metrics


def _end(
    root: Path,
    run: RunFolder,
    status: str,
    exit_code: int,
    result: str | None,
    metrics: dict[str, Any] | None,
    seconds: float,
) -> None:
    """Record the end of a run in its folder and in the work log, as far as the disk lets us."""
    try:
        finish_run(run, status, exit_code, result, metrics, seconds)
    except UserError as error:
        print(f"warning: the end of the run is not recorded: {error}", file=sys.stderr)
    _log(worklog.finish_run, root, run.record)


def _log(write: Any, root: Path, record: dict[str, Any]) -> None:
    """Write a run's row in the work log; a damaged page is reported, and does not stop the run."""
    try:
        write(root, record)
    except UserError as error:
        print(f"warning: not entered in the work log: {error}", file=sys.stderr)


def _describe(metrics: dict[str, Any]) -> str:
    """The result of a run in one line."""
    parts = [f"{metrics['env_step']:,} steps"]
    if "return/mean" in metrics:
        parts.insert(0, f"return {metrics['return/mean']:.1f}, score {metrics['return/score']:.2f}")
    if "preferences/labels" in metrics:
        parts.append(f"{metrics['preferences/labels']:,} labels")
    return ", ".join(parts)
