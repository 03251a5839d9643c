"""A project with budget and checklist, and runs written into its archive, that the tests of the accounts share."""

from __future__ import annotations

import functools
import json
import shutil
import socket
from pathlib import Path
from typing import Any

from user_files import write_budget, write_checklist

from repro.config import load_config
from repro.tracking.archive import RunFolder, read_run
from repro.tracking.parameters import params_hash

SOURCE = Path(__file__).parents[2]
CAUSES = (
    {"cause": "labels too few", "response": "accepted", "reason": "that is the question"},
    {"cause": "learning rate too high", "response": "fixed", "reason": "swept it"},
)


def make_project(root: Path) -> Path:
    for name in ("pyproject.toml", "presets/moving-dot.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCE / name, root / name)
    shutil.copy(SOURCE / "presets/moving-dot.yaml", root / "params.yaml")
    write_budget(root)
    write_checklist(root)
    (root / "src").mkdir()
    return root


def prediction(probability: float = 0.2, causes: tuple = CAUSES) -> dict[str, Any]:
    return {"failure_probability": probability, "surprise": "very", "causes": list(causes)}


def closed(outcome: str = "failed", cause: str | None = None, foreseen: Any = None, by: str = "person") -> dict:
    return {"outcome": outcome, "cause": cause, "foreseen": foreseen, "by": by, "at": "2026-11-22T10:00:00+01:00"}


@functools.cache
def _params() -> dict[str, Any]:
    return load_config(SOURCE / "presets/moving-dot.yaml").model_dump(mode="json")


def record(code: str = "7f3a", **fields: Any) -> dict[str, Any]:
    """A finished run of an hour on a CPU, estimated at half an hour."""
    content = {
        "id": f"2026-11-21_moving-dot_{code}",
        "name": "moving-dot",
        "status": "finished",
        "pid": 2**30,  # no such process
        "process_start": "tick 1",
        "host": socket.gethostname(),
        "params": _params(),
        "seed": 100,
        "code_hash": "948ab30feb101334",
        "question": "Does it learn?",
        "result": "91% of optimal",
        "started": "2026-11-21T10:00:00+01:00",
        "ended": "2026-11-21T11:00:00+01:00",
        "resumed": [],
        "active_seconds": 3600.0,
        "estimate_minutes": 30.0,
        "stage": "debugging",
        "device": "cpu",
        "prediction": None,
        "gate": None,
        "closed": None,
    } | fields
    return {"params_hash": params_hash(content["params"])} | content


def write_run(root: Path, code: str = "7f3a", **fields: Any) -> RunFolder:
    content = record(code, **fields)
    folder = root / "runs" / content["id"]
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(content))
    return read_run(folder)
