"""Which runs to list, and in which order: the options of `repro runs`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any

from repro.reading import UserError, nearest
from repro.tracking.archive import Record, effective_status, is_live
from repro.tracking.durations import timestamp
from repro.views.listing import shown_seconds

# Field to sort by -> value, and whether the largest comes first.
ORDERS: Mapping[str, tuple[Callable[[Record], Any], bool]] = {
    "started": (lambda run: timestamp(run.get("started")), True),
    "score": (lambda run: _number(run.get("score")), True),
    "return": (lambda run: _number(run.get("return")), True),
    "time": (lambda run: _number(shown_seconds(run, effective_status(run))), True),
    "seed": (lambda run: _number(run.get("seed")), False),
    "name": (lambda run: str(run.get("name") or ""), False),
}


@dataclass(frozen=True)
class Selection:
    """What is asked for; None is anything. `question` is a part of it, upper or lower case; `since` a day.

    `outcome` is what a run was closed as, or "open": it has ended and nobody has closed it.
    """

    sort: str = "started"
    status: str | None = None
    outcome: str | None = None
    name: str | None = None
    stage: str | None = None
    question: str | None = None
    since: date | None = None
    limit: int | None = None


def parse_day(text: str, option: str = "--since") -> date:
    """2026-11-21, today, yesterday. Raises UserError that begins with the option."""
    if text in ("today", "yesterday"):
        return date.today() - timedelta(days=text == "yesterday")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option} {text}: not a day; write it as 2026-11-21, today or yesterday") from None


def select(runs: Sequence[Record], wanted: Selection) -> list[Record]:
    """The summaries that are wanted, in the wanted order; `runs` are newest first.

    Raises UserError for the name of an experiment that none has.
    """
    names = sorted({str(run["name"]) for run in runs if run.get("name")})
    if runs and wanted.name not in (None, *names):
        raise UserError(f"--name {wanted.name}: no run is of this experiment{nearest(wanted.name, names)}")
    filters = _filters(wanted).values()
    found = [run for run in runs if all(fits(run) for fits in filters)]
    value, largest_first = ORDERS[wanted.sort]
    valued = [(value(run), run) for run in found]
    with_value = sorted((pair for pair in valued if pair[0] is not None), key=itemgetter(0), reverse=largest_first)
    without = [run for key, run in valued if key is None]
    return ([run for _, run in with_value] + without)[: wanted.limit]


def explain_empty(runs: Sequence[Record], wanted: Selection) -> str:
    """Why none of these runs is listed: how many each option alone would leave."""
    counts = [f"{sum(map(fits, runs))} with {option}" for option, fits in _filters(wanted).items()]
    return f"no run of {len(runs)} is like that: {', '.join(counts)}"


def _filters(wanted: Selection) -> dict[str, Callable[[Record], bool]]:
    """What is asked of a run by each option that was given, as it would be typed."""
    question = (wanted.question or "").casefold()
    filters: dict[str, Callable[[Record], bool]] = {
        "status": lambda run: effective_status(run) == wanted.status,
        "outcome": lambda run: _outcome(run) == wanted.outcome,
        "name": lambda run: run.get("name") == wanted.name,
        "stage": lambda run: run.get("stage") == wanted.stage,
        "question": lambda run: question in (run.get("question") or "").casefold(),
        "since": lambda run: wanted.since is not None and _day(run) >= wanted.since,
    }
    given = {name: value for name in filters if (value := getattr(wanted, name)) is not None}
    return {f"--{name} {value}": filters[name] for name, value in given.items()}


def _outcome(run: Record) -> str | None:
    """What a run was closed as, or that it is open; None while it is under way, and if its record is unreadable."""
    if run.get("closed"):
        return str(run["closed"]["outcome"])
    status = effective_status(run)
    return None if is_live(status) or status == "unreadable" else "open"


def _day(run: Record) -> date:
    """When the run started, in this machine's time zone."""
    return datetime.fromtimestamp(timestamp(run.get("started"))).date()


def _number(value: Any) -> float | None:
    """None also for the strings that stand for NaN and infinity: they have no place in an order."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None
