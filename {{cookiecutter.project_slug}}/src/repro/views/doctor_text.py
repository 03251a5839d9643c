"""What `repro doctor` says of a run, as text."""

from __future__ import annotations

from repro.health.diagnosis import NOT_MADE, SILENT, UNKNOWN, Diagnosis
from repro.terminal.sparkline import sparkline
from repro.terminal.text import PIPED, counted, describe_steps, hang, plain
from repro.views.doctor import BROKEN, Examination, curve_of

PLOT = 30  # columns
INDENT = 8  # columns, for the names of entries


def format_examination(examination: Examination, width: int | None) -> str:
    """The run, what is unhealthy in it, and what was looked for in vain."""
    width = width or PIPED
    blocks = [_summary(examination, width)]
    if examination.status in BROKEN:
        blocks.append(_broken(examination, width))
    blocks += [_finding(one, examination, width) for one in examination.found]
    return "\n\n".join("\n".join(lines) for lines in blocks)


def _summary(examination: Examination, width: int) -> list[str]:
    states = [one.state for one in examination.diagnoses]
    steps = describe_steps(examination.env_step, examination.total_steps)
    made = len(states) - states.count(NOT_MADE) - states.count(UNKNOWN)
    health = f"{counted(examination.errors, 'error')}, {counted(examination.warnings, 'warning')}"
    if not (examination.errors or examination.warnings):
        health = "nothing unhealthy was seen" if examination.rows else "there are no metrics yet"
    made_or_not = [f"{made} made, {states.count(SILENT)} of them silent"]
    made_or_not += [f"not for this run: {states.count(NOT_MADE)}"] if NOT_MADE in states else []
    made_or_not += [f"{states.count(UNKNOWN)} find no metrics to look at"] if UNKNOWN in states else []
    return [
        _entry(
            "run",
            f"{examination.id}: {examination.status}, {steps}, {counted(len(examination.rows), 'row')} of metrics",
            width,
        ),
        _entry("health", health, width),
        _entry("checks", "; ".join(made_or_not), width),
    ]


def _broken(examination: Examination, width: int) -> list[str]:
    seen = examination.result or "its process is gone, and did not say why"
    return [
        f"ERROR {examination.status}",
        _entry("  seen", plain(seen), width),
        _entry("  try", f"the end of output.log in its folder; then: repro resume {examination.id}", width),
    ]


def _finding(diagnosis: Diagnosis, examination: Examination, width: int) -> list[str]:
    check, last = diagnosis.check, diagnosis.findings[-1]
    lines = [hang(f"{check.severity.upper()} {check.name}: {check.about}", 4, width)]
    if plot := _plot(diagnosis, examination):
        lines.append(plot)
    return lines + [
        _entry("  seen", f"{last.seen}; {_when(diagnosis, examination)}", width),
        _entry("  why", check.meaning, width),
        _entry("  try", check.remedy, width),
    ]


def _plot(diagnosis: Diagnosis, examination: Examination) -> str | None:
    """The metric over the run, with its least and greatest value; None where it hardly has any."""
    metric, points = curve_of(diagnosis, examination.rows)
    if len(points) < 2:
        return None
    values = [value for _, value in points]
    curve = sparkline(points, examination.env_step, PLOT)
    return f"  {curve} {min(values):.3g} to {max(values):.3g} {metric}"


def _when(diagnosis: Diagnosis, examination: Examination) -> str:
    first, last = diagnosis.findings[0].env_step, diagnosis.findings[-1].env_step
    if last == first:
        return f"at step {first:,}"
    return f"from step {first:,} to " + ("the end" if last == examination.env_step else f"{last:,}")


def _entry(name: str, text: str, width: int) -> str:
    return hang(f"{name:<{INDENT}}{text}", INDENT, width)
