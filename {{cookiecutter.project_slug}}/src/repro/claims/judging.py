"""`repro claims`: each claim of the paper beside what the tracked cells say of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.claims.deviations import find_deviations, registration_text
from repro.claims.preregistration import read_registrations
from repro.config import Config
from repro.results.claims import SUCCESS_RATE, read_claims
from repro.results.pipeline import read_pipeline
from repro.results.records import find_cells
from repro.results.verdicts import Judged, judge, plan_seeds
from repro.terminal.tables import Column, format_table, wrap

LEGEND = "ours: estimate [95% interval]; tuning: runs on other seeds before the final ones, of each side."


@dataclass(frozen=True)
class Verdicts:
    """All that there is to say of the claims."""

    judged: list[Judged]
    plans: dict[str, str]  # claim id -> how many seeds it will take, of those without any yet
    registered: str  # when, and at which commit
    deviations: list[str]  # from what was registered


def judge_claims(root: Path, config: Config) -> Verdicts:
    """The verdict on each claim, from tracked files alone; `config` is params.yaml. Raises UserError."""
    seeds, cells = config.seeds, find_cells(root)
    pipeline = read_pipeline(root, config)
    judged = [judge(claim, cells, pipeline) for claim in read_claims(root, seeds.tuning, seeds.final)]
    plans = {one.claim.id: plan_seeds(one.claim, cells, seeds.tuning) for one in judged if not one.seeds}
    registered = registration_text(read_registrations(root))
    deviations = find_deviations(root, config, cells)
    return Verdicts(judged, {name: text for name, text in plans.items() if text}, registered, deviations)


def format_claims(verdicts: Verdicts, width: int | None) -> str:
    """A table, and below it what is claimed, why a verdict is open, the runs behind it, and what --check minds."""
    judged = verdicts.judged
    columns = [
        Column("claim", [one.claim.id for one in judged], text=True),
        Column("paper", [paper_text(one) for one in judged]),
        Column("must reach", [number(one.claim.threshold) for one in judged]),
        Column("ours", [ours_text(one) for one in judged]),
        Column("seeds", [str(len(one.seeds)) for one in judged]),
        Column("tuning", [tuning_text(one) for one in judged], optional=1),
        Column("verdict", [one.verdict for one in judged], text=True),
    ]
    lines = [LEGEND, ""]
    for one in judged:
        lines += _details(one, verdicts.plans.get(one.claim.id))
    lines += ["", verdicts.registered, *(f"  deviation: {text}" for text in verdicts.deviations)]
    return "\n".join([*format_table(columns, width), *wrap(lines, width)])


def claims_json(verdicts: Verdicts) -> dict[str, Any]:
    """The same for other programs, unrounded."""
    claims = [
        {
            "id": one.claim.id,
            "claim": one.claim.claim,
            "metric": one.claim.metric,
            "paper_value": one.claim.paper_value,
            "threshold": one.claim.threshold,
            "estimate": one.estimate,
            "interval": one.interval,
            "method": one.method,
            "seeds": one.seeds,
            "min_seeds": one.claim.min_seeds,
            "tuning_runs": one.tuning_runs,
            "verdict": one.verdict,
            "reason": one.reason,
            "runs": [cell.run for cell in one.cells],
            "problems": one.problems,
        }
        for one in verdicts.judged
    ]
    return {"claims": claims, "registered": verdicts.registered, "deviations": verdicts.deviations}


def paper_text(one: Judged) -> str:
    return "–" if one.claim.paper_value is None else number(one.claim.paper_value)


def ours_text(one: Judged) -> str:
    """Estimate and interval."""
    if one.estimate is None:
        return "–"
    if one.interval is None:
        return f"{rounded(one.estimate)} (no interval)"
    return f"{rounded(one.estimate)} [{rounded(one.interval[0])}, {rounded(one.interval[1])}]"


def tuning_text(one: Judged) -> str:
    """Runs spent on choosing, of each group of the claim; – where no cell says."""
    counts = ["–" if count is None else str(count) for count in one.tuning_runs.values()]
    return " : ".join(counts) or "–"


def rounded(value: float) -> str:
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3f}"


def number(value: float) -> str:
    """One that somebody wrote, as they may have written it."""
    return f"{value:,g}" if abs(value) < 1e5 else f"{value:,.0f}"


def _details(one: Judged, plan: str | None) -> list[str]:
    claim = one.claim
    what = "share of seeds with success" if claim.metric == SUCCESS_RATE else claim.metric
    if claim.against:
        what += f", less that of {claim.against.name} seed by seed"
    lines = [f"{claim.id}: {claim.claim} ({claim.where}; {what})"]
    if one.reason:
        lines.append(f"  {one.verdict}: {one.reason}")
    if plan:
        lines.append(f"  {plan}")
    if one.cells:
        lines.append(f"  runs: {', '.join(cell.run for cell in one.cells)}")
    return lines + [f"  check: {problem}" for problem in one.problems]
