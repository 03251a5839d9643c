"""A new run folder: the code it will run from, its parameters, and the circumstances it was made in."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from repro.files import storage_error
from repro.tracking import provenance
from repro.tracking.archive import Record, RunFolder, this_process
from repro.tracking.git import GitState, read_git, write_untracked
from repro.tracking.parameters import params_hash
from repro.tracking.snapshot import snapshot_code, sweep_leftovers

INITIAL_REWARD_MODEL = "initial_reward_model.pt"  # in a run's folder: what it was given to start with


@dataclass(frozen=True)
class Code:
    """The project's code at one moment: the name of its snapshot, and what git said of it then."""

    hash: str
    git: GitState


def keep_code(root: Path) -> Code:
    """Take the snapshot that a run will run from, whatever is edited from now on. Raises UserError."""
    return Code(snapshot_code(root).name, read_git(root))


def create_run(
    root: Path,
    code: Code,
    *,
    config: Mapping[str, Any],
    name: str,
    seed: int,
    command: Sequence[str],
    overrides: Sequence[str] = (),
    ablation: str | None = None,
    cell: str | None = None,
    stage: str | None = None,
    question: str | None = None,
    gate: Mapping[str, Any] | None = None,
    estimate_minutes: float | None = None,
    person_labels: int = 0,
    device: str | None = None,
    preferences: Path | None = None,
    reward_model: Path | None = None,
    rerun_of: str | None = None,
) -> RunFolder:
    """Create the folder of a run; as it says, this process is about to do it, until another takes it over.

    `config` holds all parameters, resolved; `gate` is the record of the pre-launch gate, whose prediction and question
    are the run's; `estimate_minutes` is for this run alone, and holds the time for `person_labels`. Of `reward_model`,
    which the run starts with, there is a copy in the folder (INITIAL_REWARD_MODEL). The folder appears complete or not
    at all. Raises UserError if the disk is full. The environment's variables are not recorded, and keys in the command
    are blanked out.
    """
    git, gate, started = code.git, gate or {}, datetime.now().astimezone()
    temporary = root / "runs" / f".new-{secrets.token_hex(8)}"
    try:
        temporary.mkdir(parents=True)
        sweep_leftovers(root / "runs")
        sweep_leftovers(root / "runs" / ".gate")
        (temporary / "params.yaml").write_text(_to_yaml(config), encoding="utf-8")
        if git.diff is not None:
            (temporary / "code.diff").write_bytes(git.diff)
        if reward_model:
            shutil.copyfile(reward_model, temporary / INITIAL_REWARD_MODEL)
        left_out = write_untracked(root, git.untracked, temporary / "untracked.tar.gz") if git.untracked else []
        record: Record = {
            "id": "",  # known once the folder has its name
            "project": provenance.project(root).get("name"),
            "name": name,
            "status": "running",
            "cell": cell,
            "stage": stage,
            "command": provenance.redact(command),
            "ablation": ablation,
            "overrides": provenance.redact(overrides),
            "cwd": str(Path.cwd()),
            **this_process(),
            "device": device,
            "devices": provenance.devices(),
            "started": started.isoformat(timespec="seconds"),
            "ended": None,
            "resumed": [],
            "active_seconds": 0.0,  # that processes spent on it; those of the one at work come when it ends
            "estimate_minutes": estimate_minutes,
            "person_labels": person_labels,  # that it waits for
            "exit_code": None,
            "commit": git.commit,
            "dirty": git.dirty,
            "code_hash": code.hash,
            "notes": git.notes + left_out,
            "seed": seed,
            "params": dict(config),
            "params_hash": params_hash(config),
            "versions": provenance.versions(root),
            "data_hashes": provenance.data_hashes(root, cell),
            "preferences": _below(root, preferences) if preferences else None,
            "reward_model": _below(root, reward_model) if reward_model else None,
            "rerun_of": rerun_of,
            "question": question or gate.get("question"),
            "prediction": gate.get("prediction"),
            "gate": dict(gate) or None,
            "skip_reason": gate.get("skip_reason"),
            "result": None,
            "result_metrics": None,
            "closed": None,
            "wandb": None,
        }
        return _move_into_place(RunFolder(temporary, record), root / "runs", f"{started:%Y-%m-%d}_{name}")
    except OSError as error:
        raise storage_error(Path(error.filename or root / "runs"), error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_into_place(run: RunFolder, runs: Path, stem: str) -> RunFolder:
    """Give the folder a name that no other run has: renaming onto an existing run fails. Raises OSError."""
    while True:
        path = runs / f"{stem}_{secrets.token_hex(2)}"
        run.record["id"] = path.name
        run.save()
        try:
            os.rename(run.path, path)
        except OSError:
            if not path.exists():
                raise
        else:
            return RunFolder(path, run.record)


def _below(root: Path, path: Path) -> str:
    """The path from the project's folder, which may be moved, or in full if it leads elsewhere."""
    path = Path(os.path.abspath(path))
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _to_yaml(config: Mapping[str, Any]) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # keep the order of the sections
    text = io.StringIO()
    yaml.dump(dict(config), text)
    return text.getvalue()
