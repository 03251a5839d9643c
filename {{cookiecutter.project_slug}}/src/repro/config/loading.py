"""Reading parameters: a file of them, overrides from the command line, what is in memory already."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic

from repro.config.explaining import explain
from repro.config.health import HealthConfig
from repro.config.parameters import Config
from repro.reading import UserError, parse_yaml, read_yaml


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a parameter file and apply `section.key=value` overrides. Raises UserError."""
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections such as 'env:' and 'agent:', found {type(values).__name__}")
    if overrides:
        _fill_in_health(values)
    for override in overrides:
        _apply_override(values, override)
    return parse_config(values, source=f"{path} with --set" if overrides else str(path))


def parse_config(values: dict[str, Any], source: str = "parameters") -> Config:
    """Check parameters that are already in memory. Raises UserError."""
    try:
        return Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise UserError(f"{source}: {explain(error, values)}") from None


def _fill_in_health(values: dict[str, Any]) -> None:
    """Write the defaults of `health` out, in place, so that they can be overridden."""
    given = values.get("health", {})
    if isinstance(given, dict):
        values["health"] = HealthConfig().model_dump() | given


def _apply_override(values: dict[str, Any], override: str) -> None:
    """Set one value in place; `agent.learning_rate=3e-4`."""
    key, equals, text = override.partition("=")
    *sections, field = key.strip().split(".")
    if not equals or not field or not text.strip():
        raise UserError(f"--set {override}: write it as section.key=value, e.g. agent.learning_rate=3e-4")
    target = values
    for section in sections:
        target = target.get(section, {})
        if not isinstance(target, dict):
            break
    if not isinstance(target, dict) or field not in target:
        raise UserError(f"--set {override}: no parameter {key.strip()!r}{_alike(key.strip(), values)}")
    target[field] = parse_yaml(text, f"--set {override}")


def _alike(key: str, values: dict[str, Any]) -> str:
    """The whole name of the parameter that may have been meant: the section or its end may be missing or misspelled."""
    names = list(_parameter_names(values))
    ends = {name.rpartition(".")[2]: name for name in reversed(names)}  # of several the first
    end = difflib.get_close_matches(key.rpartition(".")[2], ends, n=1, cutoff=0.8)
    near = [ends[end[0]]] if end and f"{key.rpartition('.')[0]}.{end[0]}" not in names else []
    near = near or [name for name in names if _initials(name) == key]
    near = near or difflib.get_close_matches(key, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; sections: {', '.join(values)}"


def _initials(name: str) -> str:
    """agent.lr for agent.learning_rate."""
    section, _, end = name.rpartition(".")
    return f"{section}.{''.join(word[:1] for word in end.split('_'))}"


def _parameter_names(values: Mapping[str, Any], section: str = "") -> Iterator[str]:
    """The whole names of all parameters that are in a section, or in a section of one."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _parameter_names(value, f"{section}{name}.")
        elif section:
            yield section + name
