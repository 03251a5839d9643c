"""Checks of numbers, gradients, updates and values, after Jones (2021) and Schulman (2016)."""

from __future__ import annotations

import math

from repro.health.check import ERROR, check
from repro.health.history import LATELY, History, Row
from repro.health.subject import Subject, on_policy

MUST_BE_FINITE = (
    "policy/loss",
    "policy/entropy",
    "policy/approx_kl",
    "value/loss",
    "value/mean",
    "value/target_mean",
    "gradient/norm",
    "reward/mean",
    "reward_model/loss_train",
    "reward_model/raw_mean",
    "reward_model/raw_std",
)
NOTEWORTHY = 0.05  # share of the largest target, that values have to be wrong by
OFF_CENTRE = 0.1  # the same, that all of them have to be wrong by


@check(
    *MUST_BE_FINITE,
    needs_all=False,
    severity=ERROR,
    meaning="The parameters are lost, and nothing after this can be learned.",
    remedy="a smaller learning rate; look for a division by zero, a logarithm of zero, unscaled rewards, NaN observed",
)
def non_finite(history: History, subject: Subject) -> str | None:
    """A loss, gradient or prediction is NaN or infinite."""
    row = history.latest
    bad = [name for name in MUST_BE_FINITE if not math.isfinite(row.get(name, 0.0))]
    return ", ".join(f"{name} is {row[name]}" for name in bad) or None


@check(
    "update/still_layers",
    severity=ERROR,
    meaning="No gradient reaches a layer: it keeps its initial weights for ever.",
    remedy="look for detach(), no_grad(), a parameter that no optimiser has, an activation that is always zero",
    applies=lambda subject: subject.algorithm != "trpo",  # whose step is refused now and then
)
def still_layer(history: History, subject: Subject) -> str | None:
    """Some of the agent's parameters do not move at all, and did not at first, when nothing was solved yet."""
    first, values = history.at_first("update/still_layers"), history.values("update/still_layers", LATELY)
    if not first or not values or min(values) == 0:  # an agent that refills its buffer reports none for long
        return None
    return (
        f"update/still_layers is {min(values):.0f} at least in the last {LATELY} rollouts, and was {first:.0f} at first"
    )


@check(
    "update/ratio",
    meaning="Each rollout replaces the network by another one; what it had learned is gone.",
    remedy="a smaller learning rate, fewer epochs, clipped gradients",
)
def large_update(history: History, subject: Subject) -> str | None:
    """Updates are as large as the parameters themselves."""
    ratio, most = max(history.values("update/ratio", LATELY), default=0.0), subject.thresholds.max_update
    return f"update/ratio reached {ratio:.3g} (at most {most:g})" if ratio > most else None


@check(
    "update/ratio",
    meaning="At this pace the parameters stay where they began.",
    remedy="a larger learning rate; look whether it is annealed too early, or gradients are clipped to nothing",
)
def small_update(history: History, subject: Subject) -> str | None:
    """Updates are nothing beside the parameters."""
    ratio, least = history.lately("update/ratio"), subject.thresholds.min_update
    if ratio is None or ratio >= least or subject.annealed(history):
        return None
    return f"update/ratio is {ratio:.2g} of late (at least {least:g})"


@check(
    "value/explained_variance",
    "advantage/std",
    meaning="Advantages measured against such values are noise, which the policy then follows.",
    remedy="a larger value coefficient or learning rate, a shorter horizon (discount, gae_lambda); scale returns",
    applies=on_policy,
)
def bad_values(history: History, subject: Subject) -> str | None:
    """Values explain the returns worse than a constant would, and by a margin that matters."""
    rows = [row for row in list(history.rows)[-LATELY:] if math.isfinite(row.get("value/explained_variance", math.nan))]
    bad = [row["value/explained_variance"] for row in rows if _noteworthy(row)]
    least = subject.thresholds.min_explained_variance
    wrong = [value for value in bad if value < least]
    if len(wrong) < LATELY - 1 or not subject.warm(history):
        return None
    return f"value/explained_variance is below {least:g} in {len(wrong)} of the last {LATELY} rollouts"


def _noteworthy(row: Row) -> bool:
    """Whether values are off by more than a small share of what they are to be: constant returns are told exactly."""
    largest = max(abs(row.get("value/target_min", 0.0)), abs(row.get("value/target_max", 0.0)))
    return row.get("advantage/std", 0.0) > NOTEWORTHY * largest


@check(
    "value/target_max",
    "value/target_mean",
    needs_all=False,
    meaning="Networks learn targets of the order of 1 best; such large ones make steps too large, or values useless.",
    remedy="scale rewards down, or a smaller discount; if rewards are small, values run away: slow down the targets",
)
def large_targets(history: History, subject: Subject) -> str | None:
    """What values are fitted to is far from the order of 1."""
    names = ("value/target_min", "value/target_max", "value/target_mean")
    values = [abs(value) for name in names if (value := history.lately(name)) is not None]
    most = subject.thresholds.max_value_target
    if not values or max(values) <= most:
        return None
    return f"values are fitted to targets of {max(values):,.0f} (at most {most:,g})"


@check(
    "advantage/mean",
    "advantage/std",
    meaning="Values lag behind the returns by far more than returns differ: of actions they say nothing.",
    remedy="a larger value coefficient or learning rate; look whether the value's layers move, and at its targets",
    applies=on_policy,
)
def advantages_off_centre(history: History, subject: Subject) -> str | None:
    """The mean of the advantages is farther from zero than they lie apart, and by a margin that matters."""
    mean, deviation = history.lately("advantage/mean"), history.lately("advantage/std")
    targets = (history.lately("value/target_min") or 0.0, history.lately("value/target_max") or 0.0)
    target, most = max(map(abs, targets)), subject.thresholds.max_advantage_offset
    if mean is None or deviation is None or abs(mean) <= max(most * deviation, OFF_CENTRE * target):
        return None
    if not subject.warm(history):
        return None
    return f"advantage/mean is {mean:.3g} at a standard deviation of {deviation:.2g} (at most {most:g} of them)"
