"""Ablations: named sets of overrides, each of which takes one part of the method away.

Those of Christiano et al. 2017 (section 3.3, figures 5 and 6), and of two constants that they give and do not ablate.
`docs/ablations.md` is this table for people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.reading import UserError, nearest, shown

if TYPE_CHECKING:
    from repro.config import Config

WHOLE, ALL = "none", "all"  # the method with nothing taken away; it and all ablations


@dataclass(frozen=True)
class Same:
    """The value of another parameter, as it is without the ablation."""

    name: str


@dataclass(frozen=True)
class Ablation:
    """What is set, by the parameters' names, and what the paper found."""

    overrides: Mapping[str, Any]
    finding: str


ABLATIONS = {
    "random-queries": Ablation(
        {"preferences.queries": "uniform"},
        "worse than choosing by disagreement in some tasks, better in others (2.2.4, 3.3)",
    ),
    # Without an ensemble there is no disagreement to choose by (3.3).
    "no-ensemble": Ablation(
        {"reward_model.members": 1, "preferences.queries": "uniform"},
        "shown in figures 5 and 6 only; queries are random too",
    ),
    "no-online-queries": Ablation(
        {"preferences.initial_labels": Same("preferences.total_labels")},
        "poor, as what is seen changes: on Pong it avoids losing points and does not score (3.3); here the policy also "
        "trains for less, as the steps of all these labels count",
    ),
    "no-regularisation": Ablation(
        {"reward_model.weight_decay": 0},
        "shown in figures 5 and 6 only; dropout, where there is any, stays",
    ),
    "segment-length-1": Ablation(
        {"preferences.segment_steps": 1},
        "worse for the same number of labels: a longer clip says more than a frame (3.3; robotics only)",
    ),
    "target-regression": Ablation(
        {"reward_model.target": "true_return"},
        "comparisons are much better in robotics; in Atari neither is consistently better (3.3)",
    ),
    "no-noise-term": Ablation(
        {"reward_model.answer_noise": 0},
        "not ablated; 10% of answers are assumed to be random (2.2.3)",
    ),
    "uniform-label-rate": Ablation(
        {"preferences.label_decay_steps": None},
        "not ablated; labels come at a falling rate (A.1, A.2)",
    ),
}


def ablate(config: Config, name: str) -> Config:
    """The parameters with the ablation `name`. Raises UserError if there is no such one, or it changes nothing."""
    from repro.config import parse_config  # which itself knows the names above

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
