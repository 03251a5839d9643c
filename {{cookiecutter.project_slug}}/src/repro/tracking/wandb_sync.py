"""`repro sync`: what W&B does not have yet of runs that have ended, from their own files; their evaluation, too.

The mirror of each is started once more, online: it asks the server what is there, and sends the rest in order. So it
does not matter how often a run was killed, resumed or recorded offline, nor whether an earlier upload was broken off.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from repro.files import write_atomic
from repro.reading import UserError
from repro.tracking.archive import RunFolder
from repro.tracking.locks import is_held
from repro.tracking.metrics import size_of_rows
from repro.tracking.wandb import KILLED, WandbMirror, WandbSettings, is_logged_in, read_mirror

UPLOAD_SECONDS = 3600.0  # for one run


def check_login(settings: WandbSettings) -> WandbSettings:
    """The settings to upload with. Raises UserError if W&B is turned off, or nobody is logged in."""
    if settings.mode == "disabled":
        raise UserError("W&B is turned off: set mode in pyproject.toml, [tool.repro.wandb], or WANDB_MODE, to auto")
    if not is_logged_in():
        raise UserError("W&B: nobody is logged in; log in with: wandb login")
    return replace(settings, mode="online", alerts=False)  # what they would tell of is long past


def is_uploaded(run_path: Path) -> bool:
    """Whether all metrics of the run were uploaded when its mirror ended; True if it has none."""
    size = size_of_rows(run_path / "metrics.jsonl")
    return size == 0 or (read_mirror(run_path) or {}).get("uploaded") == size


def upload_again(run_path: Path) -> None:
    """Let the next `repro sync` take the run, as there is more to be sent than its metrics. Raises UserError."""
    report = read_mirror(run_path) or {}
    if report.pop("uploaded", None) is not None:
        write_atomic(run_path / "wandb" / "mirror.json", json.dumps(report).encode())


def upload(run: RunFolder, settings: WandbSettings) -> str:
    """Upload what the server does not have of the run; returns where it can be seen. Raises UserError.

    `settings` are of `check_login`.
    """
    if is_held(run.path):
        raise UserError(f"{run.id}: is running, and is uploaded by its own process")
    mirror = WandbMirror.start(run.path, settings, UPLOAD_SECONDS, offline_otherwise=False)
    exit_code = run.record.get("exit_code")
    mirror.finish(KILLED if exit_code is None else exit_code, UPLOAD_SECONDS)
    record = mirror.record()
    if not is_uploaded(run.path):
        raise UserError(f"{run.id}: W&B did not take it (see {run.path / 'wandb/mirror.log'})")
    run.update(wandb=record)
    return str(record["url"])
