"""What the reproduction has cost: hours and price of every run, added up by stage and month, against plan and estimate.

A run is booked whole to the month in which it started, by the calendar of the place where it ran: the sums are the
same wherever they are made.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from repro.accounts.budget import Budget, machine_of
from repro.tracking.archive import Record, effective_status, runs_here
from repro.tracking.durations import active_seconds, session_start
from repro.tracking.index import without_copies
from repro.tracking.metrics import read_last_row

UNKNOWN = "unknown"  # stage or month


@dataclass(frozen=True)
class Booked:
    """The account of one run. The cost is None where the machine has no price."""

    run: str
    status: str
    stage: str
    month: str  # YYYY-MM
    machine: str
    hours: float
    cost: float | None
    estimate: float | None  # hours
    by_person: bool  # whether it waited for a person's labels
    problem: str | None  # why the hours may be wrong

    @property
    def ratio(self) -> float | None:
        """How many times as long as estimated the run took; only a finished run tells.

        One that waited for a person does not: people take their time, and pauses.
        """
        told = self.status == "finished" and not self.problem and not self.by_person
        return self.hours / self.estimate if self.estimate and told else None


@dataclass(frozen=True)
class Total:
    """The sum over some runs; the cost leaves out machines without a price."""

    runs: int
    hours: float
    cost: float


def book_runs(root: Path, records: Iterable[Record], budget: Budget) -> list[Booked]:
    """The accounts of all runs but copies and those whose run.json cannot be read; `records` may be summaries."""
    return [_book(root, record, budget) for record in without_copies(records) if record["status"] != "unreadable"]


def add_up(booked: Iterable[Booked], key: Callable[[Booked], str]) -> dict[str, Total]:
    """The totals by `key`."""
    groups: dict[str, list[Booked]] = {}
    for run in booked:
        groups.setdefault(key(run), []).append(run)
    return {name: total_of(runs) for name, runs in groups.items()}


def total_of(runs: Sequence[Booked]) -> Total:
    """The total of all these runs."""
    return Total(
        runs=len(runs),
        hours=math.fsum(run.hours for run in runs),
        cost=math.fsum(run.cost for run in runs if run.cost is not None),
    )


def _book(root: Path, record: Record, budget: Budget) -> Booked:
    seconds, problem = _seconds(root, record)
    hours = seconds / 3600
    machine = machine_of(record.get("device"))
    price = budget.prices_per_hour.get(machine)
    estimate = record.get("estimate_minutes")
    return Booked(
        run=record["id"],
        status=effective_status(record),
        stage=record.get("stage") or UNKNOWN,
        month=_month(record.get("started")),
        machine=machine,
        hours=hours,
        cost=None if price is None else hours * price,
        estimate=None if estimate is None else estimate / 60,
        by_person=bool(record.get("person_labels")),
        problem=problem,
    )


def _seconds(root: Path, record: Record) -> tuple[float, str | None]:
    """How long processes were busy with a run, and what is wrong with that number, if anything."""
    if record["status"] != "running":
        return active_seconds(record, running=False), None
    if runs_here(record):
        if session_start(record) > time.time():
            problem = "started later than it is now, as if a clock went back; its time counts once it ends"
            return record.get("active_seconds") or 0.0, problem
        return active_seconds(record, running=True), None
    # Its process is gone, or on another host, of which only the metrics tell.
    last_row = read_last_row(root / "runs" / record["id"] / "metrics.jsonl")
    seconds = active_seconds(record, last_row, running=False)
    if seconds:
        return seconds, None
    if effective_status(record) == "crashed":
        return 0.0, "crashed before its first metrics; its hours are not known"
    return 0.0, f"runs on {record['host']}, without metrics yet; counted as 0 hours"


def _month(started: object) -> str:
    """YYYY-MM of a time as the archive writes it, by the clock of the machine that wrote it."""
    try:
        return f"{datetime.fromisoformat(str(started)):%Y-%m}"
    except ValueError:
        return UNKNOWN
