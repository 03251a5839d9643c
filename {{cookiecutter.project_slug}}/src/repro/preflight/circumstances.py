"""Checks of what surrounds a run: device, disk, tracking, seeds."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from repro.config import Config, UserError
from repro.preflight.checks import CheckResult
from repro.tracking.wandb import read_wandb_settings

MIN_FREE_BYTES = 2e9  # a run keeps checkpoints, its preference database and videos
SEEDS_FOR_A_CLAIM = 10


def check_device(config: Config, root: Path) -> CheckResult:
    """A GPU that was asked for is there; no silent fall-back to the CPU."""
    found = f"{torch.cuda.device_count()} CUDA devices" if torch.cuda.is_available() else "no CUDA device"
    return CheckResult(
        "device",
        config.training.device != "cuda" or torch.cuda.is_available(),
        f"training.device is {config.training.device}; {found}",
        "A run on the wrong device takes many times as long as it was estimated to.",
        "install the driver or a torch built for it, or set training.device to cpu",
    )


def check_disk_space(config: Config, root: Path) -> CheckResult:
    """There is room for what the run will write."""
    free = shutil.disk_usage(root).free
    return CheckResult(
        "disk_space",
        free >= MIN_FREE_BYTES,
        f"{free / 1e9:.1f} GB free where the project lies ({MIN_FREE_BYTES / 1e9:.0f} needed)",
        "A disk that fills up ends the run, and what it cannot write is lost.",
        "delete checkpoints and videos of runs that nothing refers to, or move the project",
    )


def check_tracking(config: Config, root: Path) -> CheckResult:
    """It is settled whether W&B will show the run."""
    try:
        seen, passed = f"W&B mode {read_wandb_settings(root / 'pyproject.toml').mode}", True
    except UserError as error:
        seen, passed = str(error), False
    return CheckResult(
        "tracking",
        passed,
        seen,
        "A run whose metrics nobody can see is looked at too late.",
        "correct [tool.repro.wandb] in pyproject.toml",
    )


def check_seeds(config: Config, root: Path) -> CheckResult:
    """There are enough final seeds for a claim."""
    count = len(config.seeds.final)
    return CheckResult(
        "seeds",
        count >= SEEDS_FOR_A_CLAIM,
        f"{count} final seeds ({SEEDS_FOR_A_CLAIM} for a claim)",
        "Seeds differ so much that the mean of a few says little about the algorithm.",
        "list more under seeds.final, or claim nothing from these runs",
    )
