"""`repro preregister`: hypotheses, claims, final settings, seeds and code, kept before the final runs.

`paper/preregistration.yaml` is the plan, written by hand. `paper/preregistered.json` is what was registered, a list:
the registration and its amendments, each with the hash of its content and of the one before. So an edit of an earlier
one is seen unless all hashes are made anew, which git shows. Both are in git, whose commit says when.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from repro.config import Config, load_config
from repro.config.ablating import ablate
from repro.files import write_json
from repro.reading import UserError, nearest, parse_json
from repro.results.claims import Claim, Group, read_claims
from repro.results.records import find_cells
from repro.results.strict_files import Strict, Text, read_strict
from repro.tracking.difference import differing
from repro.tracking.git import read_git
from repro.tracking.index import list_summaries, without_copies
from repro.tracking.parameters import digest, effective_params
from repro.tracking.snapshot import code_hash

PLAN, REGISTERED = "paper/preregistration.yaml", "paper/preregistered.json"
# What turns episodes into scores, and scores into verdicts.
ANALYSIS = (
    "src/repro/experience/playing.py",
    "src/repro/experience/episodes.py",  # the score
    *(
        f"src/repro/results/{name}.py"
        for name in ("aggregates", "cells", "claims", "evaluate", "proportions", "records", "statistics", "verdicts")
    ),
)
OF_THE_MOMENT = ("registered", "reason", "commit", "dirty", "results_seen", "previous", "hash")  # not what is planned
Entry = dict[str, Any]


class Hypothesis(Strict):
    """What is expected, of a claim."""

    id: Text
    text: Text
    claim: Text  # an id of claims.yaml
    how_surprised_if_false: Text


class Plan(Strict):
    """What only a person can say beforehand."""

    hypotheses: Annotated[list[Hypothesis], Field(min_length=1)]
    analysis: Text
    stopping_rule: Text
    exclusions: Text
    tuning: Text


def register(root: Path, config: Config, amendment: str | None) -> Entry:
    """Write the registration, or an `amendment` (its reason) to it; returns the entry. Raises UserError.

    A registration is refused if a seed of the claims was run already, and if there is one; an amendment if there is
    none, or if nothing was changed.
    """
    entries = read_registrations(root)
    if amendment is None and entries:
        raise UserError(
            f"{REGISTERED}: registered on {entries[0]['registered'][:10]}; what changed since is added, "
            'and stays seen, with: repro preregister --amend "why"'
        )
    if amendment is not None and not entries:
        raise UserError(f"--amend {amendment!r}: nothing is registered yet; leave it out")
    if amendment is not None and not amendment.strip():
        raise UserError("--amend '': say why it is changed")
    planned = what_is_planned(root, config)
    seen = results_seen(root, planned)
    if amendment is None and seen:
        raise UserError(
            f"{seen[0]}: was run already, and a preregistration comes before; "
            "list seeds that nobody has seen under seeds.final"
        )
    if entries and not changes(entries[-1], planned):
        raise UserError(f"--amend {amendment!r}: nothing has changed since {entries[-1]['registered']}; leave it")
    git = read_git(root)
    entry = {
        "registered": datetime.now().astimezone().isoformat(timespec="seconds"),
        "reason": amendment,
        "commit": git.commit,
        "dirty": git.dirty,
        "results_seen": len(seen),
        "previous": entries[-1]["hash"] if entries else None,
        **planned,
    }
    entry["hash"] = entry_hash(entry)
    write_json(root / REGISTERED, [*entries, entry])
    return entry


def read_registrations(root: Path) -> list[Entry]:
    """The registration and its amendments, oldest first; none without a file. Raises UserError if it is damaged."""
    path = root / REGISTERED
    if not path.exists():
        return []
    try:
        entries = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{REGISTERED}: cannot be read: {error}; bring it back with git") from None
    needed = {*OF_THE_MOMENT, "plan", "claims", "seeds", "params", "analysis", "code_hash"}
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and needed <= entry.keys() for entry in entries
    ):
        raise UserError(f"{REGISTERED}: is no list of registrations; bring it back with git")
    return entries


def what_is_planned(root: Path, config: Config) -> Entry:
    """Plan, claims, seeds, parameters and code as they are now; `config` is params.yaml. Raises UserError."""
    claims = read_claims(root, config.seeds.tuning, config.seeds.final)
    plan = read_strict(root / PLAN, Plan)
    ids = [claim.id for claim in claims]
    for number, hypothesis in enumerate(plan.hypotheses):
        if hypothesis.claim not in ids:
            raise UserError(
                f"{PLAN}: hypotheses[{number}].claim: {hypothesis.claim!r} is no claim of claims.yaml"
                f"{nearest(hypothesis.claim, ids)}"
            )
    params = {group.name: effective_params(_params(root, config, group)) for group in _groups(config, claims)}
    return {
        "plan": plan.model_dump(mode="json"),
        "claims": {claim.id: claim.model_dump(mode="json", exclude={"id"}) for claim in claims},
        "seeds": {"tuning": config.seeds.tuning, "final": config.seeds.final},
        "params": params,
        "analysis": {name: _file_hash(root / name) for name in ANALYSIS},
        "code_hash": code_hash(root),
    }


def changes(old: Entry, new: Entry) -> list[str]:
    """What is planned otherwise, a line for each value."""
    before, after = ({name: entry[name] for name in entry if name not in OF_THE_MOMENT} for entry in (old, new))
    return [
        f"{name}: {_shown(values[0])} was registered, {_shown(values[1])} now"
        for name, values in differing([before, after]).items()
    ]


def results_seen(root: Path, planned: Entry) -> list[str]:
    """Cells and runs of the planned experiments with seeds that decide claims."""
    decisive = claimed_seeds(planned)
    cells = [
        cell.path
        for name, group in find_cells(root).items()
        for cell in group
        if cell.seed in decisive.get(name, set(planned["seeds"]["final"]) if name in planned["params"] else ())
    ]
    experiments = {name.partition("/")[0] for name in planned["params"]}
    final = set(planned["seeds"]["final"]).union(*decisive.values())
    runs = [
        f"runs/{run['id']}, seed {run['seed']}"
        for run in without_copies(list_summaries(root))
        if run.get("name") in experiments and run.get("seed") in final
    ]
    return cells + runs


def claimed_seeds(planned: Entry) -> dict[str, set[int]]:
    """The seeds that decide claims, by group."""
    seeds: dict[str, set[int]] = {}
    for claim in (Claim.model_validate({"id": name, **values}) for name, values in planned["claims"].items()):
        for group in claim.groups:
            seeds.setdefault(group.name, set()).update(claim.seeds(planned["seeds"]["final"]))
    return seeds


def entry_hash(entry: Entry) -> str:
    """16 hex digits that stand for all of an entry but its hash."""
    content = {name: value for name, value in entry.items() if name != "hash"}
    return digest(content)


def _groups(config: Config, claims: Sequence[Claim]) -> list[Group]:
    """What the claims need cells of, and the ablations that the pipeline runs."""
    groups = [group for claim in claims for group in claim.groups]
    if any(group.experiment == config.name for group in groups):
        groups += [Group(experiment=config.name, ablation=name) for name in config.seeds.ablations]
    return list({group.name: group for group in groups}.values())


def _params(root: Path, config: Config, group: Group) -> dict[str, Any]:
    """Of params.yaml if it is that experiment's, else of the preset of its name. Raises UserError if there is none."""
    if config.name != group.experiment:
        path = root / "presets" / f"{group.experiment}.yaml"
        if not path.exists():
            raise UserError(
                f"paper/claims.yaml: experiment: {group.experiment!r} has no parameters: it is neither the name in "
                f"params.yaml nor presets/{path.name}; correct it, or add the file"
            )
        config = load_config(path)
    return (ablate(config, group.ablation) if group.ablation else config).model_dump(mode="json")


def _file_hash(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.exists() else None


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
