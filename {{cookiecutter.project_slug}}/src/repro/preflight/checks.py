"""Automatic checks before launch: what would waste the run, found in seconds.

A check is a function `check_<name>(config, root)` of the parameters and the project's folder. Adding one is writing it,
naming it in `CHECKS`, and listing it in `checklists/prelaunch.yaml`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from repro.config import Config

# Check -> the module here that holds it; imported when the check is made, so that the names are known in no time.
CHECKS = {
    "device": "circumstances",
    "disk_space": "circumstances",
    "tracking": "circumstances",
    "seeds": "circumstances",
    "observations": "models",
    "reward_model_start": "models",
    "reward_model_swap": "models",
    "clips_independent": "models",
    "overfits_batch": "models",
}


@dataclass(frozen=True)
class CheckResult:
    """What a check saw, why it matters, and what to do about it."""

    name: str
    passed: bool
    seen: str
    reason: str
    remedy: str


def run_checks(names: Iterable[str], config: Config, root: Path) -> Iterator[CheckResult]:
    """Make the named checks one by one. A check that raises has failed: the run would meet the same error."""
    for name in names:
        try:
            module = importlib.import_module(f"repro.preflight.{CHECKS[name]}")
            yield getattr(module, f"check_{name}")(config, Path(root))
        except Exception as error:  # noqa: BLE001
            seen = " ".join(f"could not be made: {type(error).__name__}: {error}".split())
            reason = "What the check has to build or read is what the run would build and read."
            yield CheckResult(name, False, seen, reason, "repair what the error names")
