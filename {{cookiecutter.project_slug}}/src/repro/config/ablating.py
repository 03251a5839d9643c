"""Parameters with an ablation, or with each of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from repro.config.ablations import ABLATIONS, ALL, WHOLE, Same
from repro.config.loading import parse_config
from repro.config.parameters import Config
from repro.reading import UserError, nearest, shown


def ablate(config: Config, name: str) -> Config:
    """The parameters with the ablation `name`. Raises UserError if there is no such one, or it changes nothing."""
    if name not in ABLATIONS:
        raise UserError(f"--ablation {name}: no such ablation{nearest(name, list(ABLATIONS))}")
    if config.reward.source != "learned":
        raise UserError(f"--ablation {name}: is of learned rewards, but reward.source is {config.reward.source}")
    plain = config.model_dump(mode="json")
    ablated = config.model_dump(mode="json")
    for parameter, value in ABLATIONS[name].overrides.items():
        section, field = parameter.split(".")
        ablated[section][field] = _value(plain, value.name) if isinstance(value, Same) else value
    if ablated == plain:
        changes = ", ".join(
            f"{parameter} is {shown(_value(plain, parameter))}" for parameter in ABLATIONS[name].overrides
        )
        raise UserError(f"--ablation {name}: takes nothing away: {changes} already")
    return parse_config(ablated, source=f"--ablation {name}")


def chosen_ablations(config: Config, names: Sequence[str]) -> tuple[dict[str, Config], list[str]]:
    """The parameters of each ablation in `names`, in the order of the table, and a note on each that is left out.

    `none` is the whole method. `all` stands for it and for each ablation; those that will not do here are left out.
    Raises UserError as `ablate` does, for those that were named.
    """
    known = [WHOLE, *ABLATIONS]
    chosen, notes = {}, []
    for name in known + [name for name in names if name not in (*known, ALL)]:
        if name not in names and ALL not in names:
            continue
        try:
            chosen[name] = config if name == WHOLE else ablate(config, name)
        except UserError as error:
            if name in names or config.reward.source != "learned":
                raise
            notes.append(str(error).removeprefix("--ablation "))
    return chosen, notes


def _value(values: Mapping[str, Any], parameter: str) -> Any:
    section, field = parameter.split(".")
    return values[section].get(field)
