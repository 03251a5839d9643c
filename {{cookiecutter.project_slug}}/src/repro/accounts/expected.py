"""What is said of a run before it starts: how long it will take, and what that costs."""

from __future__ import annotations

import os
from pathlib import Path

from repro.accounts.budget import machine_of, read_budget
from repro.preferences.schedule import LABELS_PER_HOUR, labelling_minutes
from repro.terminal.text import print_wrapped
from repro.tracking.durations import format_hours

LEAST_COST = 0.005  # that is more than nothing in two digits


def say_expected(root: Path, name: str, device: str, minutes: float, runs: int = 1, labels: int = 0) -> None:
    """Print what a run takes and costs, all `runs` of its sweep, and whether a busy machine makes that doubtful.

    `device` is "cpu" or "cuda"; `labels` are those that it waits for a person to give, which takes a part of the
    minutes. Raises UserError if budget.yaml cannot be read.
    """
    budget = read_budget(root)
    price = budget.prices_per_hour.get(machine_of(device)) or 0.0

    def words(minutes: float) -> str:
        cost = minutes / 60 * price
        return f"about {format_hours(minutes / 60)}" + (f", {cost:.2f} {budget.currency}" if cost >= LEAST_COST else "")

    whole = f"; all {runs} runs of the sweep: {words(runs * minutes)}" if runs > 1 else ""
    print_wrapped(f"{name}: {words(minutes)}{_of_a_person(labels)}{whole}{_while_busy()}")


def _of_a_person(labels: int) -> str:
    """How much of the minutes is a person's, and what that rests on."""
    if not labels:
        return ""
    part = format_hours(labelling_minutes(labels) / 60)
    return f", {part} of it for {labels:,} labels by a person at {LABELS_PER_HOUR} an hour"


def _while_busy() -> str:
    """What the estimate rests on, where other processes wait for the processors too."""
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load <= processors:
        return ""
    return f" (while this machine is as busy as now: load {load:.1f} on {processors} cores)"
