"""The plan of hours and prices in `budget.yaml`, which is the user's file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from repro.reading import UserError, nearest
from repro.results.strict_files import Strict, Text, read_strict

ROWS = ("total", "unknown")  # of the ledger, beside the stages
AUTO = "auto"  # machine of a run to come: only torch, which loads slowly, knows whether there is a GPU
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Stage(Strict):
    """A stage of the reproduction and the hours planned for it: of compute on `machine`, and of a person."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    about: Text
    machine: str
    compute_hours: Amount
    person_hours: Amount


class Budget(Strict):
    """The content of `budget.yaml`. Prices are by machine; the currency is only a label."""

    currency: Text
    prices_per_hour: dict[str, Amount]
    stage: str  # what is booked to when nobody says otherwise
    stages: list[Stage]

    @model_validator(mode="after")
    def names_are_known(self) -> Budget:
        names = [stage.name for stage in self.stages]
        for number, stage in enumerate(self.stages):
            if stage.name in ROWS:
                raise ValueError(f"stages[{number}].name: {stage.name!r} is another row of repro ledger; rename it")
            if names.count(stage.name) > 1:
                raise ValueError(f"stages[{number}].name: {stage.name!r} is the name of more than one; rename it")
            if stage.machine not in self.prices_per_hour:
                known = nearest(stage.machine, self.prices_per_hour)
                raise ValueError(f"stages[{number}].machine: {stage.machine!r} has no price in prices_per_hour{known}")
        if self.stage not in names:
            raise ValueError(f"stage: {self.stage!r} is not among the stages{nearest(self.stage, names)}")
        return self


def read_budget(root: Path) -> Budget:
    """Read `budget.yaml` strictly. Raises UserError that names the entry, the value and the fix."""
    return read_strict(root / "budget.yaml", Budget, "bring it back with git, e.g. git checkout -- budget.yaml")


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
