"""How long a run took: the time that processes spent on it, without the time it lay idle between them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def active_seconds(record: Mapping[str, Any], last_row: Mapping[str, Any] | None = None, *, running: bool) -> float:
    """Seconds that processes spent on the run, up to now if one is `running`.

    A process that was killed recorded no end: what `last_row` of the metrics says of it counts, which is the time spent
    on training since the run began, resumes included.
    """
    known = record.get("active_seconds") or 0.0
    if record["status"] != "running":
        return known
    if running:
        return known + max(0.0, datetime.now().timestamp() - session_start(record))  # the clock may have been set back
    return max(known, (last_row or {}).get("time/wall", 0.0))


def session_start(record: Mapping[str, Any]) -> float:
    """When the run was started, or resumed last, in seconds since 1970; 0 if that is not known."""
    return timestamp((record.get("resumed") or [record.get("started")])[-1])


def timestamp(time: Any) -> float:
    """An ISO time as seconds since 1970; 0 if it is missing or damaged."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return 0.0


def now() -> str:
    """This moment as an ISO time with its zone, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def shown_time(time: str | None) -> str:
    """An ISO time as people read it, to the minute: 2026-11-21 10:00; empty if there is none."""
    return (time or "")[:16].replace("T", " ")


def format_hours(hours: float) -> str:
    """A duration in the unit that shows what was short, too: 1.50 h, 12.5 min, 4 s; 0 h."""
    if hours >= 1:
        return f"{hours:,.2f} h"
    if 60 * hours >= 1:
        return f"{60 * hours:.1f} min"
    return f"{3600 * hours:.2g} s" if hours else "0 h"
