"""A run as it is followed from outside: what its files say now, and what has happened since the last look."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.reading import UserError
from repro.terminal.text import plain
from repro.tracking.archive import Record, effective_status, is_live, read_run
from repro.tracking.durations import session_start
from repro.tracking.findings import read_findings
from repro.tracking.metrics import decode_row

if TYPE_CHECKING:
    from repro.preferences.store import PreferenceStore

TAIL = 1 << 18  # bytes of the metrics that are read when a run is first looked at
ROWS = 100  # the latest, from which rate and interval are told
STALLED_INTERVALS = 10  # without a new row; so many times the usual
STALLED_SECONDS = 30.0  # but so long at least: a checkpoint takes its time
UNREADABLE = "unreadable"
DAMAGED = "health.jsonl is damaged"


@dataclass(frozen=True)
class Event:
    """Something that happened to a run.

    `name` is finished, failed, interrupted, crashed, unreadable, unhealthy, stalled, or waiting (for a person's
    labels).
    """

    run: str
    name: str
    text: str


class FollowedRun:
    """A run, from its folder. Reads only what is new in its metrics."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = _read_record(path)
        self.status = effective_status(self.record, path)
        self.latest: dict[str, Any] = {}  # the latest value of each metric
        self.findings: list[str] = []  # names of the checks
        self.stalled = False
        self.labels_awaited = 0  # comparisons that it does not go on without
        self._position = 0
        self._points: deque[tuple[int, float]] = deque(maxlen=ROWS)  # (env step, seconds of training)
        self._last_row: float | None = None  # when it was written
        self._store: PreferenceStore | None = None  # opened once, as that checks the whole of it
        self._read_rows()

    @property
    def id(self) -> str:
        """The name of the folder."""
        return self.path.name

    @property
    def live(self) -> bool:
        """Whether it is running, or about to."""
        return is_live(self.status)

    @property
    def step(self) -> int:
        """Agent steps done."""
        return self.latest.get("env_step", 0)

    @property
    def total_steps(self) -> int:
        """Agent steps to be done."""
        return self.record["params"]["training"]["total_steps"]

    @property
    def steps_per_second(self) -> float | None:
        """Over the latest rows; None with fewer than two."""
        if len(self._points) < 2 or self._points[-1][1] <= self._points[0][1]:
            return None
        return (self._points[-1][0] - self._points[0][0]) / (self._points[-1][1] - self._points[0][1])

    @property
    def seconds_left(self) -> float | None:
        """At this pace; None if it is not known yet."""
        rate = self.steps_per_second
        return max(0, self.total_steps - self.step) / rate if rate else None

    def look(self) -> list[Event]:
        """Read what is new; returns what has happened since the last look, each finding once."""
        was_live, events = self.live, []
        try:
            self.record = _read_record(self.path)
            self.status = effective_status(self.record, self.path)
            self._read_rows()
            self.labels_awaited = self._count_awaited()
            events = self._unhealthy() + self._stalls()
        except UserError as error:
            self.status = UNREADABLE
            if was_live:
                return [self._event(UNREADABLE, str(error))]
        if was_live and not self.live:
            events.append(self._event(self.status, self._ending()))
        return events

    def _count_awaited(self) -> int:
        """How many comparisons wait for an answer, while the run waits for a person's answers.

        Before its first row it waits for them in any case.
        """
        preferences, path = self.record["params"].get("preferences") or {}, self.path / "preferences.db"
        waits = preferences.get("when_unlabelled") == "wait" or self._last_row is None
        if not (preferences.get("annotator") == "person" and waits and self.live and path.exists()):
            return 0
        if self._store is None:
            from repro.preferences.store import PreferenceStore

            self._store = PreferenceStore(path)
        return self._store.waiting()

    def _ending(self) -> str:
        if self.status == "finished":
            return "; ".join(filter(None, (self.record.get("result"), self.record.get("rerun_detail")))) or "finished"
        where = f"at step {self.step:,} of {self.total_steps:,}"
        reason = f": {self.record['result']}" if self.record.get("result") else ""
        return f"{self.status} {where}{reason}; go on with: repro resume {self.id}"

    def _unhealthy(self) -> list[Event]:
        try:
            found = read_findings(self.path)
        except UserError as error:  # the run itself goes on
            told, self.findings = DAMAGED in self.findings, [*dict.fromkeys([*self.findings, DAMAGED])]
            return [] if told else [self._event("unhealthy", str(error))]
        new = [finding for finding in found if finding["check"] not in self.findings]
        self.findings += [finding["check"] for finding in new]
        return [
            self._event("unhealthy", "step {env_step:,}: {check}: {seen}. Try: {remedy}.".format(**finding))
            for finding in new
        ]

    def _stalls(self) -> list[Event]:
        """Word that it stands still, once until it goes on."""
        was, overdue = self.stalled, self._overdue()
        # Labels that are awaited are all that tells before there are two rows.
        self.stalled = overdue is not None or (self.labels_awaited > 0 and len(self._points) < 2)
        if was or not self.stalled:
            return []
        if self.labels_awaited:
            return [self._event("waiting", f"for {self.labels_awaited} labels; give them with: repro label {self.id}")]
        return [self._event("stalled", f"{overdue}; does it hang?")]

    def _overdue(self) -> str | None:
        """For how long there has been no new row, if that is unusual; None before two rows tell what is usual."""
        seconds = [point[1] for point in self._points]
        intervals = [later - earlier for earlier, later in itertools.pairwise(seconds)]
        if not self.live or not intervals or self._last_row is None:
            return None
        since = max(self._last_row, session_start(self.record))  # a resumed run was silent while it lay idle
        silence, usual = time.time() - since, statistics.median(intervals)
        if silence <= max(STALLED_SECONDS, STALLED_INTERVALS * usual):
            return None
        return f"no new row for {silence:.0f} s, where {usual:.2g} s are usual"

    def _read_rows(self) -> None:
        """Whole rows only: the last one may be half-written. Rows of a resumed run may have been taken back."""
        try:
            with open(self.path / "metrics.jsonl", "rb") as file:
                stat = os.fstat(file.fileno())
                if stat.st_size < self._position:
                    self._position = 0
                    self._points.clear()
                    self._last_row = None
                if self._position == 0 and stat.st_size > TAIL:
                    file.seek(stat.st_size - TAIL)
                    file.readline()
                    self._position = file.tell()
                file.seek(self._position)
                lines = file.read().split(b"\n")
        except FileNotFoundError:  # no row yet
            return
        except OSError as error:
            raise UserError(f"{self.path / 'metrics.jsonl'}: cannot be read ({error.strerror})") from None
        self._position += sum(len(line) + 1 for line in lines[:-1])
        for row in map(decode_row, lines[:-1]):
            if row is not None:
                self.latest |= row
                self._points.append((row["env_step"], row.get("time/wall", 0.0)))
                self._last_row = stat.st_mtime

    def _event(self, name: str, text: str) -> Event:
        return Event(self.id, name, plain(text))


def _read_record(path: Path) -> Record:
    """The record of a run that can be followed. Raises UserError."""
    record = read_run(path).record
    total = (record["params"].get("training") or {}).get("total_steps")
    if not isinstance(total, int) or total < 1:
        raise UserError(f"{path / 'run.json'}: params.training.total_steps is {total!r}; this run cannot be followed")
    return record
