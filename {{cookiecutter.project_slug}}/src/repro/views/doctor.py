"""`repro doctor`: what all health checks say of a run, whether it is running, has finished, or was cut off."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from repro.health.check import WARNING
from repro.health.diagnosis import FOUND, Diagnosis, diagnose
from repro.health.subject import Subject
from repro.reading import UserError
from repro.tracking.archive import RunFolder, effective_status
from repro.tracking.metrics import Row, read_metrics

BROKEN = ("failed", "crashed")  # how no healthy run ends


@dataclass(frozen=True)
class Examination:
    """A run, and what was found out about it."""

    id: str
    status: str
    result: str | None  # what its end says
    total_steps: int
    rows: list[Row]
    diagnoses: list[Diagnosis]  # of all checks, errors first

    @property
    def env_step(self) -> int:
        """Agent steps done, as far as there are metrics."""
        return int(self.rows[-1]["env_step"]) if self.rows else 0

    @property
    def found(self) -> list[Diagnosis]:
        """What is unhealthy."""
        return [one for one in self.diagnoses if one.state == FOUND]

    @property
    def errors(self) -> int:
        """How many errors there are; that the run is broken is one too."""
        return sum(one.is_error for one in self.found) + (self.status in BROKEN)

    @property
    def warnings(self) -> int:
        """How many checks warn."""
        return sum(one.check.severity == WARNING for one in self.found)


def examine(run: RunFolder) -> Examination:
    """Make all checks that apply. Raises UserError if the run's files are damaged."""
    try:
        subject = Subject.of(run.record["params"])
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{run.path / 'run.json'}: its parameters cannot be read: {error!r}") from None
    metrics = run.path / "metrics.jsonl"
    rows = read_metrics(metrics) if metrics.exists() else []
    return Examination(
        id=run.id,
        status=effective_status(run.record, run.path),
        result=run.record.get("result"),
        total_steps=subject.total_steps,
        rows=rows,
        diagnoses=diagnose(rows, subject),
    )


def as_json(examination: Examination) -> dict[str, Any]:
    """Everything, for other programs."""
    return {
        "run": examination.id,
        "status": examination.status,
        "result": examination.result,
        "env_step": examination.env_step,
        "rows": len(examination.rows),
        "errors": examination.errors,
        "warnings": examination.warnings,
        "checks": [_check_as_json(one) for one in examination.diagnoses],
    }


def _check_as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    check, findings = diagnosis.check, diagnosis.findings
    said = {"name": check.name, "severity": check.severity, "about": check.about, "reads": check.reads}
    said |= {"state": diagnosis.state}
    if not findings:
        return said
    return said | {
        "first_step": findings[0].env_step,
        "last_step": findings[-1].env_step,
        "times": len(findings),
        "seen": findings[-1].seen,
        "meaning": check.meaning,
        "remedy": check.remedy,
    }


def curve_of(diagnosis: Diagnosis, rows: Iterable[Row]) -> tuple[str, list[tuple[float, float]]]:
    """The metric that shows what was found, and its finite values as points (env step, value)."""
    seen, reads = diagnosis.findings[-1].seen, diagnosis.check.reads
    metric = next((name for name in reads if name in seen), reads[0])
    points = [(row["env_step"], row[metric]) for row in rows if math.isfinite(row.get(metric, math.nan))]
    return metric, points
