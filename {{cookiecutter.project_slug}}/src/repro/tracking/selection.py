"""Which runs to list, and in which order: the options of `repro runs`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from repro.config import UserError
from repro.tracking.archive import STATUSES, Record, effective_status
from repro.tracking.durations import timestamp

SHOWN_STATUSES = (*STATUSES, "crashed", "unreadable")

# Field to sort by -> value, and whether the largest comes first.
ORDERS: Mapping[str, tuple[Callable[[Record], Any], bool]] = {
    "started": (lambda run: timestamp(run.get("started")), True),
    "score": (lambda run: _number(run.get("score")), True),
    "return": (lambda run: _number(run.get("return")), True),
    "time": (lambda run: _number(run.get("active_seconds")), True),
    "seed": (lambda run: _number(run.get("seed")), False),
    "name": (lambda run: str(run.get("name") or ""), False),
}


@dataclass(frozen=True)
class Selection:
    """What is asked for; None is anything. `question` is a part of it, upper or lower case; `since` a day."""

    sort: str = "started"
    status: str | None = None
    name: str | None = None
    stage: str | None = None
    question: str | None = None
    since: date | None = None
    limit: int | None = None


def parse_day(text: str) -> date:
    """2026-11-21, today, yesterday. Raises UserError."""
    if text in ("today", "yesterday"):
        return date.today() - timedelta(days=text == "yesterday")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--since {text}: not a day; write it as 2026-11-21, today or yesterday") from None


def select(runs: Sequence[Record], wanted: Selection) -> list[Record]:
    """The summaries that are wanted, in the wanted order; `runs` are newest first. Raises UserError."""
    if wanted.sort not in ORDERS:
        raise UserError(f"--sort {wanted.sort}: choose one of {', '.join(ORDERS)}")
    if wanted.status is not None and wanted.status not in SHOWN_STATUSES:
        raise UserError(f"--status {wanted.status}: choose one of {', '.join(SHOWN_STATUSES)}")
    found = [run for run in runs if _matches(run, wanted)]
    value, largest_first = ORDERS[wanted.sort]
    with_value = [run for run in found if value(run) is not None]
    without = [run for run in found if value(run) is None]
    return (sorted(with_value, key=value, reverse=largest_first) + without)[: wanted.limit]


def _matches(run: Record, wanted: Selection) -> bool:
    return (
        (wanted.name is None or run.get("name") == wanted.name)
        and (wanted.stage is None or run.get("stage") == wanted.stage)
        and (wanted.question is None or wanted.question.casefold() in (run.get("question") or "").casefold())
        and (wanted.since is None or _day(run) >= wanted.since)
        and (wanted.status is None or effective_status(run) == wanted.status)
    )


def _day(run: Record) -> date:
    """When the run started, in this machine's time zone."""
    return datetime.fromtimestamp(timestamp(run.get("started"))).date()


def _number(value: Any) -> float | None:
    """None also for the strings that stand for NaN and infinity: they have no place in an order."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None
