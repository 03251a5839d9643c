"""Checks of what surrounds a run: device, disk, tracking, seeds."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from repro.config import Config
from repro.preflight.checks import CheckResult
from repro.reading import UserError
from repro.results.claims import PATH, ClaimsFile
from repro.results.strict_files import read_strict
from repro.tracking.wandb import is_logged_in, read_wandb_settings

MIN_FREE_BYTES = 2e9  # of which a run keeps checkpoints, its preference database and videos; they are not counted
SEEDS_FOR_A_CLAIM = 10


def check_device(config: Config, root: Path) -> CheckResult:
    """A GPU that was asked for is there; no silent fall-back to the CPU."""
    found = f"{torch.cuda.device_count()} CUDA devices" if torch.cuda.is_available() else "no CUDA device"
    return CheckResult(
        config.training.device != "cuda" or torch.cuda.is_available(),
        f"training.device is {config.training.device}; {found}",
        "A run on the wrong device takes many times as long as it was estimated to.",
        "install the driver or a torch built for it, or set training.device to cpu",
    )


def check_disk_space(config: Config, root: Path) -> CheckResult:
    """The disk is not all but full. How much this run will write is not counted."""
    runs = root / "runs"  # may be a link to a larger disk
    free = shutil.disk_usage(runs if runs.exists() else root).free
    return CheckResult(
        free >= MIN_FREE_BYTES,
        f"{free / 1e9:.1f} GB free where runs are kept ({MIN_FREE_BYTES / 1e9:.0f} needed)",
        "A disk that fills up ends the run, and what it cannot write is lost.",
        "make room (repro runs --prune proposes what), or move the project",
    )


def check_tracking(config: Config, root: Path) -> CheckResult:
    """It is settled whether W&B will show the run; whoever asks for `online` is logged in."""
    remedy = "correct [tool.repro.wandb] in pyproject.toml"
    try:
        mode = read_wandb_settings(root / "pyproject.toml").mode
        seen, passed = f"W&B mode {mode}", True
        if mode == "online" and not is_logged_in():
            seen, passed = "W&B mode online, but there is no login", False
            remedy = "log in with: wandb login; or set mode to auto or offline in [tool.repro.wandb] of pyproject.toml"
    except UserError as error:
        seen, passed = str(error), False
    return CheckResult(passed, seen, "A run whose metrics nobody can see is looked at too late.", remedy)


def check_seeds(config: Config, root: Path) -> CheckResult:
    """There are as many final seeds as the claims that this experiment decides need."""
    count, needed = len(config.seeds.final), _seeds_needed(config.name, root / PATH)
    return CheckResult(
        count >= needed,
        f"{count} final seeds ({needed} for a claim)",
        "Seeds differ so much that the mean of a few says little about the algorithm.",
        "list more under seeds.final, or claim nothing from these runs",
    )


def _seeds_needed(experiment: str, path: Path) -> int:
    """The most that a claim about `experiment`, or against it, needs; SEEDS_FOR_A_CLAIM where there is none.

    Raises UserError if the file at `path` cannot be read, by the rules of `read_claims` but for those of seeds.
    """
    if not path.exists():
        return SEEDS_FOR_A_CLAIM
    claims = read_strict(path, ClaimsFile).claims
    needed = [claim.min_seeds for claim in claims if experiment in [group.experiment for group in claim.groups]]
    return max(needed, default=SEEDS_FOR_A_CLAIM)
