"""`repro rerun`: a run that is prepared to be done again, from its own snapshot and parameters."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from repro.accounts.budget import read_budget, stage_name
from repro.config import Config, parse_config
from repro.files import storage_error
from repro.gate.prelaunch import Given, pass_gate
from repro.reading import UserError
from repro.runs.earlier import check_clock
from repro.tracking import provenance
from repro.tracking.archive import RunFolder
from repro.tracking.creation import INITIAL_REWARD_MODEL, Code, create_run
from repro.tracking.git import GitState
from repro.tracking.metrics import read_last_row
from repro.tracking.snapshot import code_hash, snapshot_path
from repro.tracking.wandb import read_wandb_settings


def prepare_rerun(
    root: Path,
    original: RunFolder,
    seed: int | None,
    stage: str | None,
    given: Given,
) -> RunFolder:
    """Pass the pre-launch gate and create a run with the code, parameters and data of `original`. Raises UserError.

    `seed` is that of the original by default. A rerun publishes nothing for the pipeline, even if the original did.
    """
    from repro.accounts.expected import say_expected
    from repro.device import choose_device

    record = original.record
    seed = record["seed"] if seed is None else seed
    read_wandb_settings(root / "pyproject.toml")
    stage = stage_name(read_budget(root), stage)
    device = choose_device(record["params"]["training"]["device"])
    snapshot = snapshot_path(root, record["code_hash"])
    if code_hash(snapshot) != snapshot.name:
        raise UserError(f"{snapshot}: was changed since {original.id} ran from it, so this code cannot be run again")
    preferences = root / record["preferences"] if record.get("preferences") else None
    if preferences:
        _check_preferences(preferences, original, seed)
    check_clock(root)
    minutes = _estimate_minutes(original)
    say_expected(root, record["name"], device.type, minutes)
    gate = _pass_gate(root, original, minutes, given)
    run = create_run(
        root,
        Code(snapshot.name, _git_state(original)),
        config=record["params"],
        name=record["name"],
        seed=seed,
        command=["repro", *sys.argv[1:]],
        overrides=record.get("overrides") or [],
        ablation=record.get("ablation"),
        stage=stage,
        question=_question(original, seed),
        gate=gate,
        estimate_minutes=round(minutes, 2),
        person_labels=record.get("person_labels", 0),
        device=device.type,
        preferences=preferences,
        reward_model=original.path / INITIAL_REWARD_MODEL if record.get("reward_model") else None,
        rerun_of=original.id,
    )
    if (original.path / "untracked.tar.gz").exists():
        try:
            shutil.copy2(original.path / "untracked.tar.gz", run.path)
        except OSError as error:
            shutil.rmtree(run.path, ignore_errors=True)  # nothing half-made is left
            raise storage_error(run.path / "untracked.tar.gz", error) from None
    if record.get("cell"):
        run.update(data_hashes=provenance.data_hashes(root, record["cell"]))
    return run


def _check_preferences(folder: Path, original: RunFolder, seed: int) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: is gone, and {original.id} began with the comparisons in it; bring them back first")
    if seed != original.record["seed"]:
        raise UserError(
            f"--seed {seed}: {original.id} began with comparisons collected for seed {original.record['seed']}; "
            "leave --seed out"
        )


def _estimate_minutes(original: RunFolder) -> float:
    """What the original took, its person included, or would have at its pace; measured if that never got going."""
    if original.record["status"] == "finished" and (seconds := original.record.get("active_seconds")):
        return seconds / 60
    row = read_last_row(original.path / "metrics.jsonl")
    if row and row["env_step"] and "time/wall" in row:
        return row["time/wall"] / 60 * original.record["params"]["training"]["total_steps"] / row["env_step"]
    from repro.preferences.schedule import labelling_minutes
    from repro.preflight.estimate import estimate_minutes

    labels = original.record.get("person_labels", 0)
    return estimate_minutes(_config(original), original.record["seed"]) + labelling_minutes(labels)


def _pass_gate(root: Path, original: RunFolder, minutes: float, given: Given) -> dict[str, Any]:
    """The record of the gate. What the original passed holds for it as well: code and parameters are the same.

    Only its prediction was made for the original, whose outcome is known.
    """
    gate = original.record.get("gate") or {}
    if given.answers is None and given.skip is None:
        if gate.get("passed") in ("answered", "skipped"):
            return {name: value for name, value in gate.items() if name != "prediction"}
        if minutes <= original.record["params"]["gate"]["after_minutes"]:  # asked here: old ones may not parse today
            return {"passed": "below threshold", "estimate_minutes": round(minutes, 2)}
    return pass_gate(root, _config(original), original.record["code_hash"], given, minutes)


def _config(original: RunFolder) -> Config:
    return parse_config(original.record["params"], source=f"{original.id}/params.yaml")


def _question(original: RunFolder, seed: int) -> str:
    if seed != original.record["seed"]:
        return f"What does {original.id} come to with seed {seed}?"
    return f"Does {original.id} come out the same again?"


def _git_state(original: RunFolder) -> GitState:
    """What git said when the original was made. Its untracked files are copied, not packed again."""
    diff = original.path / "code.diff"
    return GitState(
        commit=original.record.get("commit"),
        dirty=original.record.get("dirty", True),
        diff=diff.read_bytes() if diff.exists() else None,
        notes=[*original.record.get("notes", []), f"code and changes are those of {original.id}"],
    )
