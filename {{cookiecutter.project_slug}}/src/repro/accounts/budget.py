"""The plan of hours and prices in `budget.yaml`, which is the user's file."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.reading import UserError, expect_entries, nearest, read_yaml

ROWS = ("total", "unknown")  # of the ledger, beside the stages


@dataclass(frozen=True)
class Stage:
    """A stage of the reproduction and the hours planned for it: of compute on `machine`, and of a person."""

    name: str
    about: str
    machine: str
    compute_hours: float
    person_hours: float


@dataclass(frozen=True)
class Budget:
    """The content of `budget.yaml`. Prices are of an hour, by machine; the currency is only a label."""

    currency: str
    prices: Mapping[str, float]
    stage: str  # what is booked to when nobody says otherwise
    stages: tuple[Stage, ...]


def read_budget(root: Path) -> Budget:
    """Read `budget.yaml` strictly. Raises UserError that names the entry, the value and the fix."""
    path = Path(root) / "budget.yaml"
    if not path.exists():
        raise UserError(f"{path}: no such file; bring it back with git, e.g. git checkout -- {path.name}")
    values = expect_entries(read_yaml(path), ("currency", "prices_per_hour", "stage", "stages"), str(path))
    prices = values["prices_per_hour"]
    if not isinstance(prices, dict) or not prices:
        raise UserError(f"{path}: prices_per_hour: expected a price for each machine, such as cpu: 0.10")
    prices = {str(name): _number(price, f"{path}: prices_per_hour.{name}") for name, price in prices.items()}
    if not isinstance(values["stages"], list) or not values["stages"]:
        raise UserError(f"{path}: stages: expected a list of entries with name, about, machine and hours")
    stages = tuple(_stage(entry, prices, f"{path}: stages[{i}]") for i, entry in enumerate(values["stages"]))
    names = [stage.name for stage in stages]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{path}: stages: {name!r} is the name of more than one; give each its own")
    stage = _text(values["stage"], f"{path}: stage")
    if stage not in names:
        raise UserError(f"{path}: stage: {stage!r} is not among the stages{nearest(stage, names)}")
    return Budget(_text(values["currency"], f"{path}: currency"), prices, stage, stages)


def stage_name(budget: Budget, wanted: str | None) -> str:
    """The stage to book to: the one asked for, else the one that the budget says is on. Raises UserError."""
    names = [stage.name for stage in budget.stages]
    if wanted is None:
        return budget.stage
    if wanted not in names:
        raise UserError(f"--stage {wanted}: no such stage in budget.yaml{nearest(wanted, names)}")
    return wanted


def machine_of(device: str | None) -> str:
    """The machine that hours on a device ("cpu", "cuda") are booked to."""
    return "gpu" if device == "cuda" else "cpu"


def _stage(entry: Any, prices: Collection[str], where: str) -> Stage:
    expect_entries(entry, ("name", "about", "machine", "compute_hours", "person_hours"), where)
    name, about, machine = (_text(entry[key], f"{where}.{key}") for key in ("name", "about", "machine"))
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise UserError(f"{where}.name: {name!r} will not do; use lower-case letters, digits and -")
    if name in ROWS:
        raise UserError(f"{where}.name: {name!r} is another row of repro ledger; give the stage another name")
    if machine not in prices:
        raise UserError(f"{where}.machine: {machine!r} has no price in prices_per_hour{nearest(machine, prices)}")
    compute, person = (_number(entry[key], f"{where}.{key}") for key in ("compute_hours", "person_hours"))
    return Stage(name, about, machine, compute, person)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where}: {value!r} will not do; write a text, in quotes if need be")
    return value.strip()


def _number(value: Any, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise UserError(f"{where}: {value!r} will not do; write a number, 0 or more")
    return float(value)
