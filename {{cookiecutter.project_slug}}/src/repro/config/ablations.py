"""Ablations: named sets of overrides, each of which takes one part of the method away.

Those of Christiano et al. 2017 (section 3.3, figures 5 and 6), and of two constants that they give and do not ablate.
`docs/ablations.md` is this table for people; `ablating.py` applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
