"""Where the results part from what was preregistered. Reads tracked files alone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro.claims.preregistration import (
    REGISTERED,
    Entry,
    changes,
    claimed_seeds,
    entry_hash,
    read_registrations,
    what_is_planned,
)
from repro.config import Config
from repro.results.records import Cell
from repro.tracking.parameters import params_hash, resolutions


def registration_text(entries: Sequence[Entry]) -> str:
    """One line: when, at which commit."""
    if not entries:
        return "Nothing was preregistered."
    first = entries[0]
    amended = f", amended {len(entries) - 1} times" if len(entries) > 2 else ", amended once" if entries[1:] else ""
    return f"Preregistered {first['registered']}, at commit {(first['commit'] or 'none')[:12]}{amended}."


def find_deviations(root: Path, config: Config, groups: Mapping[str, Sequence[Cell]]) -> list[str]:
    """A line for each; none if nothing is registered. `config` is params.yaml. Raises UserError."""
    entries = read_registrations(root)
    if not entries:
        return []
    found = [
        f"{REGISTERED}: entry {number} was edited after it was registered"
        for number, entry in enumerate(entries, start=1)
        if entry["hash"] != entry_hash(entry)
        or entry["previous"] != (entries[number - 2]["hash"] if number > 1 else None)
    ]
    for before, amended in itertools.pairwise(entries):
        said = f"amended {amended['registered'][:10]}, with {amended['results_seen']} results seen: {amended['reason']}"
        found += [f"{said}: {change}" for change in changes(before, amended)]
    latest = entries[-1]
    found += changes(latest, what_is_planned(root, config))
    return found + _of_cells(latest, groups)


def _of_cells(registered: Entry, groups: Mapping[str, Sequence[Cell]]) -> list[str]:
    """Cells of what is registered, with or without a claim, that other parameters or other code made."""
    found, claimed = [], claimed_seeds(registered)
    for name, params in sorted(registered["params"].items()):
        seeds = claimed.get(name, set(registered["seeds"]["final"]))
        known = {params_hash(each) for each in (params, *resolutions(params))}
        cells = [cell for cell in groups.get(name, ()) if cell.seed in seeds]
        for what, others in (
            ("parameters", [cell for cell in cells if cell.params_hash not in known]),
            ("code", [cell for cell in cells if cell.code_hash != registered["code_hash"]]),
        ):
            if others:
                listed = ", ".join(str(cell.seed) for cell in others)
                found.append(f"{name}: seeds {listed} were run with other {what} than registered")
    return found
