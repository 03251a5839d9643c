"""What the cells say of a claim: estimate, interval, verdict. A pure function of claims and cells.

The rule, with the threshold of `Claim.threshold` and the 95% interval [low, high] of what the claim is about:
reproduced if low >= threshold; not reproduced if high < threshold; else inconclusive, as it is with fewer seeds than
the claim needs. So what is called reproduced has been shown to be no worse than the tolerance allows (at a one-sided
2.5%; up to about twice that where a bootstrap makes the interval, of several experiments with ten seeds each), and bad
luck with few seeds is not called a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

import numpy as np

from repro.results.aggregates import bootstrap_interval, interquartile_mean
from repro.results.claims import SUCCESS_RATE, Claim
from repro.results.pipeline import Pipeline
from repro.results.power import MOST_SEEDS, required_seeds
from repro.results.proportions import wilson_interval
from repro.results.records import Cell
from repro.results.statistics import SEEDS_FOR_INTERVAL, paired_interval, t_interval

Verdict = Literal["reproduced", "not reproduced", "inconclusive"]
RUN_AGAIN = "make them alike: dvc repro"
WRITE_SAME = "write the same for both under evaluation, then: dvc repro"
# What all seeds of a group have in common, and what makes them alike; and the same of both sides of a comparison.
SETTINGS = {
    "code_hash": RUN_AGAIN,
    "params_hash": "make them alike, without auto for training.device and training.precision: dvc repro",
    "judged": RUN_AGAIN,
    "success_score": RUN_AGAIN,
}
COMPARED = {
    "code_hash": RUN_AGAIN,
    "judged": WRITE_SAME,
    "evaluation.seed": WRITE_SAME,
    "evaluation.episodes": WRITE_SAME,
}
OF_ALL_TASKS = ("code_hash", "judged")  # which scores of several tasks must have in common, to be put together
PILOTS = 3  # tuning seeds from which the spread is known well enough to plan with


@dataclass(frozen=True)
class Judged:
    """A claim and what became of it."""

    claim: Claim
    verdict: Verdict
    reason: str  # why it is inconclusive, or nothing
    estimate: float | None  # None: no cells
    interval: tuple[float, float] | None  # None: too few seeds for one
    method: str  # how the interval was made
    seeds: list[int]  # that were used: those of which each group of the claim has a cell
    cells: list[Cell]
    tuning_runs: dict[str, int | None]  # spent on choosing, by group; None: no cell says
    problems: list[str]  # for which `repro claims --check` fails


def judge(claim: Claim, groups: Mapping[str, Sequence[Cell]], pipeline: Pipeline) -> Judged:
    """The verdict on `claim` from all cells, by `Cell.group`; `pipeline` says what makes those that are missing."""
    wanted = claim.seeds(pipeline.seeds.final)
    by_group = {
        group.name: {cell.seed: cell for cell in groups.get(group.name, ()) if cell.seed in wanted}
        for group in claim.groups
    }
    seeds = [seed for seed in wanted if all(seed in found for found in by_group.values())]
    cells = [found[seed] for found in by_group.values() for seed in seeds]
    problems = find_problems(claim, by_group, wanted, pipeline)
    tuning_runs = {name: tuning_runs_of(found.values()) for name, found in by_group.items()}
    if not seeds:
        return Judged(claim, "inconclusive", "no cells yet", None, None, "", [], [], tuning_runs, problems)
    values = [np.array([value_of(found[seed], claim) for seed in seeds]) for found in by_group.values()]
    estimate, low, high, method = _interval(claim, values)
    verdict: Verdict
    if len(seeds) < claim.min_seeds:
        verdict, reason = "inconclusive", f"{len(seeds)} of the {claim.min_seeds} seeds that it needs"
    else:
        verdict = decide(low, high, claim.threshold)
        reason = "the interval holds what it must reach" if verdict == "inconclusive" else ""
    interval = (low, high) if len(seeds) >= SEEDS_FOR_INTERVAL else None
    return Judged(claim, verdict, reason, estimate, interval, method, seeds, cells, tuning_runs, problems)


def decide(low: float, high: float, threshold: float) -> Verdict:
    """The rule above. An interval whose lower end is the threshold reaches it; one whose upper end is, may."""
    if low >= threshold:
        return "reproduced"
    return "not reproduced" if high < threshold else "inconclusive"


def value_of(cell: Cell, claim: Claim) -> float:
    """The claim's metric of one cell; of a success rate 1 or 0."""
    if claim.metric == SUCCESS_RATE:
        return float(cell.success)
    actions, name = claim.metric.split(".")
    return float(getattr(getattr(cell.evaluation, cell.judged if actions == "judged" else actions), name))


def tuning_runs_of(cells: Iterable[Cell]) -> int | None:
    """The most that a cell says: one that was trained where the runs are not may have seen fewer."""
    return max((cell.tuning_runs for cell in cells if cell.tuning_runs is not None), default=None)


def find_problems(
    claim: Claim, by_group: Mapping[str, Mapping[int, Cell]], wanted: Sequence[int], pipeline: Pipeline
) -> list[str]:
    """Why these cells are no evidence that others could check, each with what to do."""
    problems = []
    for group in claim.groups:
        name, found = group.name, by_group[group.name]
        if missing := [seed for seed in wanted if seed not in found]:
            how = pipeline.how_to_make(group, missing)
            problems.append(f"results/cells/{name}: lacks seeds {_listed(missing)}; {how}")
        dirty = [seed for seed, cell in found.items() if cell.dirty]
        if dirty:
            problems.append(
                f"results/cells/{name}: seeds {_listed(dirty)} are of uncommitted code; commit, then: dvc repro -f"
            )
        others = [seed for seed, cell in found.items() if cell.evaluation.code_hash not in (None, cell.code_hash)]
        if others:
            problems.append(
                f"results/cells/{name}: seeds {_listed(others)} were evaluated by other code than trained them; "
                "make them anew: dvc repro"
            )
        for setting, remedy in SETTINGS.items():
            if len({getattr(cell, setting) for cell in found.values()}) > 1:
                problems.append(f"results/cells/{name}: {setting} differs among seeds; {remedy}")
    if len(by_group) > 1:
        cells = [cell for found in by_group.values() for cell in found.values()]
        for setting in COMPARED if claim.against else OF_ALL_TASKS:
            if len(set(map(attrgetter(setting), cells))) > 1:
                names = " and ".join(by_group)
                problems.append(f"results/cells: {setting} differs between {names}; {COMPARED[setting]}")
    return problems


def plan_seeds(claim: Claim, groups: Mapping[str, Sequence[Cell]], tuning: Sequence[int]) -> str | None:
    """How many seeds the claim needs if final seeds are like the tuning ones; None where too little is known.

    Of means and paired differences; the tuning seeds are a pilot study, and no evidence.
    """
    if claim.metric == SUCCESS_RATE or len(claim.cells.groups) > 1:
        return None
    by_group = [{cell.seed: cell for cell in groups.get(group.name, ())} for group in claim.groups]
    pilots = [seed for seed in tuning if all(seed in found for found in by_group)]
    if len(pilots) < PILOTS:
        return None
    values = [np.array([value_of(found[seed], claim) for seed in pilots]) for found in by_group]
    sample = values[0] - values[1] if claim.against else values[0]
    effect = float(sample.mean()) - claim.threshold
    needed = required_seeds(effect, float(sample.std(ddof=1)))
    seen = f"{len(pilots)} tuning seeds have {sample.mean():.3g}, deviation {sample.std(ddof=1):.2g}"
    if needed is None:
        many = f"not even {MOST_SEEDS:,}" if effect > 0 else "no number of"
        return f"{seen}: if final ones are like them, {many} seeds will show {claim.threshold:g}"
    needed = max(needed, claim.min_seeds)
    return f"{seen}: if final ones are like them, {needed} seeds show {claim.threshold:g} with at least 80% chance"


def _interval(claim: Claim, values: Sequence[np.ndarray]) -> tuple[float, float, float, str]:
    """Estimate, low, high, and what the interval is called. `values`: for each group of the claim (seeds,)."""
    if claim.metric == SUCCESS_RATE:
        (outcomes,) = values
        return float(outcomes.mean()), *wilson_interval(int(outcomes.sum()), len(outcomes)), "Wilson"
    if claim.against:
        return *paired_interval(*values), "t, paired"
    if len(values) > 1:
        return float(interquartile_mean(values)), *bootstrap_interval(interquartile_mean, values), "IQM, bootstrap"
    return *t_interval(values[0]), "t"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))
