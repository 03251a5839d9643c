"""What a process does with a run: trains from the run's snapshot of the code, ends it and writes it down.

`repro train` and `repro launch` prepare a run; then a new process, which finds `repro` in the run's snapshot of the
code, does it, again after it was killed. torch is imported only where something is computed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import repro
from repro.config import parse_config
from repro.reading import UserError, syntax_errors_in_a_line
from repro.results.cells import publish_training
from repro.runs.processes import FAILED, INTERRUPTED, REFUSED, TERMINATED
from repro.runs.reproduced import compare_with_original
from repro.tracking.archive import RunFolder, claim_run, finish_run, read_run
from repro.tracking.locks import hold_run
from repro.tracking.output import keep_warnings, tee_output
from repro.tracking.snapshot import snapshot_path
from repro.tracking.wandb import read_wandb_settings
from repro.worklog import entries

NOT_LOGGED = "not entered in the work log"


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
            _or_warn(NOT_LOGGED, entries.enter_run, root, run.record)
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
                end = (status, exit_code, result, metrics, time.monotonic() - start)
                _or_warn("the end of the run is not recorded", finish_run, run, *end)
                _or_warn(NOT_LOGGED, entries.enter_result, root, run.record)
    return exit_code


@syntax_errors_in_a_line()
def _train(root: Path, run: RunFolder) -> dict[str, Any]:
    """Train, and publish the outcome where it is a cell's. Returns the latest value of each metric."""
    from repro.session.run import train_run

    config = parse_config(run.record["params"], source=f"{run.id}/params.yaml")
    preferences = run.record.get("preferences")
    settings = read_wandb_settings(root / "pyproject.toml")
    metrics = train_run(run, config, settings, root / preferences if preferences else None)
    if run.record["cell"]:
        publish_training(root, run, run.record["cell"])
    return metrics


def _or_warn(problem: str, write: Callable[..., None], *what: Any) -> None:
    """Write something of a run; what keeps it from being written, such as a damaged page, is told and stops nothing."""
    try:
        write(*what)
    except UserError as error:
        print(f"warning: {problem}: {error}", file=sys.stderr)


def _describe(metrics: dict[str, Any]) -> str:
    """The result of a run in one line."""
    parts = [f"{metrics['env_step']:,} steps"]
    if "return/mean" in metrics:
        parts.insert(0, f"return {metrics['return/mean']:.1f} and score {metrics['return/score']:.2f} in training")
    if "preferences/labels" in metrics:
        parts.append(f"{metrics['preferences/labels']:,} labels")
    return ", ".join(parts)
