"""A check of the value function: one that says the same of all states is no help."""

from __future__ import annotations

from repro.health.check import check
from repro.health.history import History
from repro.health.subject import Subject


@check(
    "value/std",
    "value/target_min",
    "value/target_max",
    meaning="Advantages are then plain returns, of which each action gets the blame for what others did.",
    remedy="look whether the value's loss reaches its network, and whether its learning rate is far too small",
)
def flat_values(history: History, subject: Subject) -> str | None:
    """Values are the same for all states, though what they are fitted to is not."""
    spread, lowest, highest = (history.lately(name) for name in flat_values.reads)
    if spread is None or lowest is None or highest is None or not subject.warm(history):
        return None
    least = subject.thresholds.min_value_spread * (highest - lowest)
    if spread >= least:
        return None
    return f"value/std is {spread:.2g}, where targets go from {lowest:.3g} to {highest:.3g} (at least {least:.2g})"
