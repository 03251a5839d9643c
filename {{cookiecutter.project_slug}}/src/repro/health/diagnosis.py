"""What all checks saw in a run, from its first row to its last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from repro.health.check import ERROR, Check, Finding
from repro.health.checks import CHECKS, is_due
from repro.health.history import History, Row
from repro.health.subject import Subject

FOUND, SILENT, UNKNOWN, NOT_MADE = "found", "silent", "metrics missing", "does not apply"


@dataclass
class Diagnosis:
    """What one check saw, and when."""

    check: Check
    state: str  # one of the four above
    findings: list[Finding] = field(default_factory=list)  # at each look at which it saw something, oldest first

    @property
    def is_error(self) -> bool:
        """Whether it saw something that no healthy run has."""
        return self.state == FOUND and self.check.severity == ERROR


def diagnose(rows: Iterable[Row], subject: Subject) -> list[Diagnosis]:
    """Make all checks as they are made live; in their order, errors first."""
    history, known = History(), set[str]()
    found: dict[str, list[Finding]] = {check.name: [] for check in CHECKS}
    for row in rows:
        history.add(row)
        known |= row.keys()
        for check in CHECKS:
            if is_due(check, history) and (finding := check(history, subject)):
                found[check.name].append(finding)
    diagnoses = [Diagnosis(check, _state(check, subject, known, found), found[check.name]) for check in CHECKS]
    return sorted(diagnoses, key=lambda one: not one.is_error)


def _state(check: Check, subject: Subject, known: set[str], found: dict[str, list[Finding]]) -> str:
    if not check.applies(subject):
        return NOT_MADE
    if found[check.name]:
        return FOUND
    there = [metric in known for metric in check.reads]
    return SILENT if (all(there) if check.needs_all else any(there)) else UNKNOWN
