"""What a report says before its experiments: claims, preregistration, compute spent, deviations from the paper."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from repro.claims.judging import Verdicts, judge_claims, number, ours_text, paper_text, tuning_text
from repro.claims.preregistration import REGISTERED
from repro.config import Config
from repro.reading import UserError
from repro.report.content import NOTHING, Table
from repro.results.claims import PATH
from repro.results.records import Cell
from repro.results.verdicts import Judged, tuning_runs_of
from repro.tracking.durations import format_hours

DEVIATIONS = "paper/deviations.md"
SAME = ("the same", "does not arise", "never")  # how a row says that nothing differs
SIGNS = {"reproduced": "✓", "not reproduced": "✗", "inconclusive": "?"}


@dataclass(frozen=True)
class Overview:
    """Tables, and sentences without markup."""

    compute: Table
    paper: Table  # details in which this differs from the paper; no rows if none are listed
    claims: Table | None = None  # None: there are no claims
    details: list[str] = field(default_factory=list)  # of each claim
    registered: str = ""
    deviations: list[str] = field(default_factory=list)  # from what was preregistered
    left_out: list[str] = field(default_factory=list)  # seeds that were run, other than for tuning, of each group


def make_overview(root: Path, config: Config, groups: Mapping[str, Sequence[Cell]], left_out: list[str]) -> Overview:
    """`config`: params.yaml. Without any in claims.yaml, nothing is said of claims.

    Raises UserError, also where claims that were preregistered are gone.
    """
    overview = Overview(compute_table(groups), paper_table(root), left_out=left_out)
    if not ((root / PATH).exists() or (root / REGISTERED).exists()):
        return overview
    verdicts = judge_claims(root, config)
    if not verdicts.judged:
        return overview
    return replace(
        overview,
        claims=claims_table(verdicts),
        details=[claim_text(one, verdicts.plans.get(one.claim.id)) for one in verdicts.judged],
        registered=verdicts.registered,
        deviations=verdicts.deviations,
    )


def claims_table(verdicts: Verdicts) -> Table:
    """A row for each claim."""
    header = ["claim", "paper", "must reach", "ours", "seeds", "tuning runs", "verdict"]
    rows = [
        [
            one.claim.id,
            paper_text(one),
            number(one.claim.threshold),
            ours_text(one),
            f"{len(one.seeds)} of {one.claim.min_seeds} needed"
            if len(one.seeds) < one.claim.min_seeds
            else str(len(one.seeds)),
            tuning_text(one),
            f"{SIGNS[one.verdict]} {one.verdict}",
        ]
        for one in verdicts.judged
    ]
    return Table(header, rows)


def claim_text(one: Judged, plan: str | None) -> str:
    """The claim in words, why it is open, and the runs it rests on."""
    claim = one.claim
    compared = f" less that of {claim.against.name}, seed by seed" if claim.against else ""
    parts = [f"{claim.id}: {claim.claim}", f"In the paper: {claim.where}.", f"Judged by {claim.metric}{compared}."]
    if one.reason:
        parts.append(f"Inconclusive, because: {one.reason}.")
    if plan:
        parts.append(f"{plan}.")
    if one.cells:
        parts.append(f"Runs: {', '.join(cell.run for cell in one.cells)}.")
    return " ".join(parts + [f"Missing: {problem}." for problem in one.problems])


def compute_table(groups: Mapping[str, Sequence[Cell]]) -> Table:
    """What training took, by experiment and ablation, and the tuning runs before it."""
    header = ["experiment", "seeds", "env steps", "labels", "training", "a seed", "tuning runs"]
    rows = [_compute_row(name, cells) for name, cells in groups.items()]
    everything = [cell for cells in groups.values() for cell in cells]
    if len(rows) > 1:
        rows.append(_compute_row("all", everything)[:-1] + [NOTHING])
    return Table(header, rows, emphasis=frozenset({len(groups)}))


def _compute_row(name: str, cells: Sequence[Cell]) -> list[str]:
    hours = sum(cell.wall_seconds for cell in cells) / 3600
    labels = [cell.labels for cell in cells if cell.labels is not None]
    tuning = tuning_runs_of(cells)
    return [
        name,
        str(len(cells)),
        f"{sum(cell.env_steps for cell in cells):,}",
        f"{sum(labels):,}" if labels else NOTHING,
        format_hours(hours),
        format_hours(hours / len(cells)),
        NOTHING if tuning is None else str(tuning),
    ]


def paper_table(root: Path) -> Table:
    """The rows of paper/deviations.md that say something else than that it is the same. Raises UserError."""
    rows = []
    path = root / DEVIATIONS
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{DEVIATIONS}: cannot be read: {error}") from None
    for line in lines:
        cells = [_plain(cell) for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if (
            len(cells) == 4
            and cells[0] != "detail"
            and not set(cells[0]) <= set("-: ")
            and cells[2].partition(":")[0] not in SAME
        ):
            rows.append([cell or NOTHING for cell in cells])
    return Table(["detail", "the paper", "here", "why"], rows)


def _plain(markdown: str) -> str:
    """Text without the marks of links, code and emphasis."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown.strip())
    return re.sub(r"\\(.)", r"\1", re.sub(r"[`*]", "", text))
