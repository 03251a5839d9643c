"""What a health check is: a function that sees an illness in a run's metrics, and what it is to people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from repro.health.history import History
from repro.health.subject import Subject

ERROR, WARNING = "error", "warning"  # a run with an error has failed, or will; a warning is to be looked into

Look = Callable[[History, Subject], str | None]  # what was seen of late, or None


@dataclass(frozen=True)
class Finding:
    """Something unhealthy: what was seen, what it may mean, what to try."""

    check: str
    env_step: int
    seen: str
    meaning: str
    remedy: str
    severity: str = WARNING

    def __str__(self) -> str:
        return f"step {self.env_step:,}: {self.check}: {self.seen}. {self.meaning} Try: {self.remedy}."


@dataclass(frozen=True)
class Check:
    """A named check; `check` makes it of a function."""

    look: Look
    reads: tuple[str, ...]  # the metrics that it looks at; the first is what people are shown
    needs_all: bool  # whether it can see nothing without one of them, or looks at whatever is there
    meaning: str
    remedy: str
    severity: str
    applies: Callable[[Subject], bool]

    @property
    def name(self) -> str:
        """That of the function."""
        return self.look.__name__

    @property
    def about(self) -> str:
        """The illness, in a sentence."""
        return (self.look.__doc__ or "").splitlines()[0]

    def __call__(self, history: History, subject: Subject) -> Finding | None:
        """What is unhealthy in the latest rows, if anything is."""
        seen = self.look(history, subject) if self.applies(subject) else None
        return None if seen is None else self.finding(history, seen)

    def finding(self, history: History, seen: str) -> Finding:
        """What was seen in the latest rows, with what it means."""
        return Finding(self.name, history.env_step, seen, self.meaning, self.remedy, self.severity)


def check(
    *reads: str,
    meaning: str,
    remedy: str,
    severity: str = WARNING,
    applies: Callable[[Subject], bool] = lambda subject: True,
    needs_all: bool = True,
) -> Callable[[Look], Check]:
    """Make a check of a function of history and subject; its docstring names the illness."""
    return lambda look: Check(look, reads, needs_all, meaning, remedy, severity, applies)
