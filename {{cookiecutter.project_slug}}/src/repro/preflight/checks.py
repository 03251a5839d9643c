"""Automatic checks before launch: what would waste the run, found in seconds.

A check is a function `check_<name>(config, root)` of the parameters and the project's folder. Adding one is writing it,
naming it in `CHECKS`, and listing it in `checklists/prelaunch.yaml`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.config import Config  # which loads slowly: whoever reads the checklist needs the names alone

# Check -> the module here that holds it; imported when the check is made, so that the names are known in no time.
CHECKS = {
    "device": "circumstances",
    "disk_space": "circumstances",
    "memory": "memory",
    "tracking": "circumstances",
    "seeds": "circumstances",
    "smoke": "history",
    "simpler_first": "history",
    "environment": "inputs",
    "observations": "inputs",
    "reward_predictable": "reward_models",
    "reward_model_start": "reward_models",
    "reward_model_swap": "reward_models",
    "clips_independent": "reward_models",
    "dropout_batchnorm": "reward_models",
    "validation_disjoint": "reward_models",
    "overfits_batch": "reward_models",
}


@dataclass(frozen=True)
class CheckResult:
    """What a check saw, why it matters, and what to do about it."""

    passed: bool
    seen: str
    reason: str
    remedy: str


def run_checks(names: Iterable[str], config: Config, root: Path) -> Iterator[tuple[str, CheckResult]]:
    """Make the named checks one by one. A check that raises has failed: the run would meet the same error."""
    from repro.terminal.waiting import waiting

    for name in names:
        with waiting(f"checking {name}"):
            result = _run_check(name, config, root)
        yield name, result


def _run_check(name: str, config: Config, root: Path) -> CheckResult:
    try:
        module = importlib.import_module(f"repro.preflight.{CHECKS[name]}")
        return getattr(module, f"check_{name}")(config, root)
    except Exception as error:  # noqa: BLE001
        seen = " ".join(f"could not be made: {type(error).__name__}: {error}".split())
        reason = "What the check has to build or read is what the run would build and read."
        return CheckResult(False, seen, reason, "repair what the error names")
