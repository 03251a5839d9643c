"""What a report says about each experiment: warnings, tables and plots, before any markup."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from repro.health.of_rewards import first_hacking
from repro.report.plots import PLOTTED, Plot, make_plots, seed_list
from repro.report.videos import Film
from repro.results.proportions import wilson_interval
from repro.results.records import Cell, Rows
from repro.results.statistics import SEEDS_FOR_INTERVAL, spread
from repro.tracking.durations import format_hours

NOTHING = "–"
# That all seeds of an experiment have in common.
COMMON = ("code_hash", "params_hash", "success_score", "env_steps", "labels", "evaluation.episodes", "evaluation.seed")


@dataclass(frozen=True)
class Table:
    """Cells are plain text; `code` names the columns that hold identifiers and paths."""

    header: list[str]
    rows: list[list[str]]
    code: frozenset[str] = frozenset()
    emphasis: frozenset[int] = frozenset()  # rows that sum up the others


@dataclass(frozen=True)
class Section:
    """All about one experiment."""

    experiment: str
    cells: list[Cell]
    explanation: str
    results: Table
    sources: Table
    warnings: list[str]
    plots: list[Plot]
    not_made: list[str]  # plots, each with the reason
    films: list[Film]
    ablations: Table | None = None  # this experiment beside its ablations


def make_section(experiment: str, cells: list[Cell], curves: dict[int, Rows], films: list[Film]) -> Section:
    """Everything the report says about one experiment, from its cells and the curves and videos that exist."""
    plots, not_made = make_plots(cells, curves)
    return Section(
        experiment=experiment,
        cells=cells,
        explanation=(
            f"The score places the sum of true returns over {cells[0].evaluation.episodes} full episodes from fixed "
            "starts on a scale where 0 is about random and 1 the best possible or known from the same starts. Judged "
            f"are {cells[0].judged} actions: a seed succeeds if that score reaches {cells[0].success_score:g}. "
            + _spread_explained(len(cells))
        ),
        results=_results_table(cells),
        sources=_sources_table(cells, curves),
        warnings=_warnings(cells, curves),
        plots=plots,
        not_made=not_made,
        films=films,
    )


def make_summary(sections: Sequence[Section]) -> Table:
    """A row for each experiment and its ablations, with the random policy and the best known return below them."""
    header = ["experiment", "seeds", "sampled score", "greedy score", "success rate"]
    header += ["env steps", "labels", "time, median"]
    table = Table(header, [])
    experiments: dict[str, list[Section]] = {}
    for section in sections:
        experiments.setdefault(section.cells[0].experiment, []).append(section)
    for variants in experiments.values():
        table.rows.extend(_summary_row(section) for section in variants)
        random = _baseline_text([cell.evaluation.random.score for section in variants for cell in section.cells])
        table.rows.append(["random policy", NOTHING, random, *[NOTHING] * 5])
        table.rows.append(["best known", NOTHING, "1.000", "1.000", *[NOTHING] * 4])
    return table


def _summary_row(section: Section) -> list[str]:
    cells = section.cells
    scores = {
        "sampled": mean_text([cell.evaluation.sampled.score for cell in cells]),
        "greedy": mean_text([cell.evaluation.greedy.score for cell in cells]),
    }
    scores[cells[0].judged] += ", judged"
    return [
        section.experiment,
        str(len(cells)),
        scores["sampled"],
        scores["greedy"],
        success_text(cells),
        _common([_count(cell.env_steps) for cell in cells]),
        _common([_count(cell.labels) for cell in cells]),
        format_hours(statistics.median(cell.wall_seconds / 3600 for cell in cells)),
    ]


def mean_text(values: Sequence[float], digits: int = 3) -> str:
    """`mean [low, high]` with the 95% t-interval; of few values `mean (low to high)`, their range."""
    mean, low, high = spread(values)
    if len(values) == 1:
        return f"{mean:,.{digits}f} (n=1, no interval)"
    if len(values) < SEEDS_FOR_INTERVAL:
        return f"{mean:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"
    return f"{mean:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]"


def _spread_explained(seeds: int) -> str:
    if seeds >= SEEDS_FOR_INTERVAL:
        means = "Intervals are 95% Student t-intervals over seeds"
    else:
        means = f"In parentheses: the lowest and the highest seed; fewer than {SEEDS_FOR_INTERVAL} make no interval"
    return f"{means}. Intervals of success rates are 95% Wilson score intervals."


def _baseline_text(values: Sequence[float], digits: int = 3) -> str:
    """A baseline that came out the same beside every seed is one number, not a mean of several."""
    return f"{values[0]:,.{digits}f}" if len(set(values)) == 1 else mean_text(values, digits)


def success_text(cells: list[Cell]) -> str:
    """Successes of seeds, and the rate's 95% Wilson interval."""
    successes = sum(cell.success for cell in cells)
    low, high = wilson_interval(successes, len(cells))
    return f"{successes}/{len(cells)} [{low:.2f}, {high:.2f}]"


def _count(number: int | None) -> str:
    return NOTHING if number is None else f"{number:,}"


def _common(texts: list[str]) -> str:
    return texts[0] if len(set(texts)) == 1 else "differ"


def _warnings(cells: list[Cell], curves: dict[int, Rows]) -> list[str]:
    warnings = []
    dirty = [cell.seed for cell in cells if cell.dirty]
    if dirty:
        warnings.append(
            f"dirty: {seed_list(dirty)} ran on uncommitted changes, so no commit holds the code behind them"
        )
    for name in COMMON:
        seeds: dict[object, list[int]] = {}
        for cell in cells:
            seeds.setdefault(attrgetter(name)(cell), []).append(cell.seed)
        if len(seeds) > 1:
            found = "; ".join(f"{value} ({seed_list(members)})" for value, members in seeds.items())
            warnings.append(f"{name} differs among seeds, so their mean mixes different experiments: {found}")
    missing = [cell.seed for cell in cells if cell.seed not in curves]
    if missing:
        warnings.append(f"no learning curve of {seed_list(missing)} in results/curves; the curve plots leave them out")
    for cell in (cell for cell in cells if cell.seed in curves):
        rows = curves[cell.seed]
        if not rows or rows[-1]["env_step"] != cell.env_steps:
            warnings.append(f"{cell.curve_path} does not end at the {cell.env_steps:,} steps of {cell.path}")
        bad = [name for name in sorted(PLOTTED) if any(not math.isfinite(row.get(name, 0)) for row in rows)]
        if hacking := first_hacking(rows):
            warnings.append(f"seed {cell.seed}: {hacking}")
        if bad:
            warnings.append(f"{cell.curve_path} holds NaN or infinity in rows that are drawn, in: {', '.join(bad)}")
    return warnings


def _results_table(cells: list[Cell]) -> Table:
    judged = cells[0].judged
    names = {name: f"{name} score (judged)" if name == judged else f"{name} score" for name in ("sampled", "greedy")}
    header = ["", *names.values(), "success", "return", "env steps", "labels", "time"]
    rows = [
        [
            f"seed {cell.seed}",
            f"{cell.evaluation.sampled.score:.3f}",
            f"{cell.evaluation.greedy.score:.3f}",
            "yes" if cell.success else "no",
            f"{cell.judged_score.return_mean:,.1f}",
            _count(cell.env_steps),
            _count(cell.labels),
            format_hours(cell.wall_seconds / 3600),
        ]
        for cell in cells
    ]
    evaluations = [cell.evaluation for cell in cells]
    mean = [
        "mean [95% interval]" if len(cells) >= SEEDS_FOR_INTERVAL else "mean (range)",
        mean_text([evaluation.sampled.score for evaluation in evaluations]),
        mean_text([evaluation.greedy.score for evaluation in evaluations]),
        success_text(cells),
        mean_text([cell.judged_score.return_mean for cell in cells], 1),
        *[NOTHING] * 2,
        format_hours(statistics.fmean(cell.wall_seconds / 3600 for cell in cells)),
    ]
    random_score = _baseline_text([evaluation.random.score for evaluation in evaluations])
    random_return = _baseline_text([evaluation.random.return_mean for evaluation in evaluations], 1)
    best_return = _baseline_text([evaluation.optimal.return_mean for evaluation in evaluations], 1)
    random = ["random policy", random_score, *[NOTHING] * 2, random_return, *[NOTHING] * 3]
    best = ["best known", "1.000", "1.000", NOTHING, best_return, *[NOTHING] * 3]
    return Table(header, [*rows, mean, random, best], emphasis=frozenset({len(rows)}))


def _sources_table(cells: list[Cell], curves: dict[int, Rows]) -> Table:
    """Which file each number came from, and the run and the code behind it."""
    rows = [
        [
            str(cell.seed),
            cell.path,
            cell.curve_path if cell.seed in curves else NOTHING,
            cell.run,
            cell.code_hash,
            "yes" if cell.dirty else "no",
        ]
        for cell in cells
    ]
    header = ["seed", "scores", "curves", "run", "code hash", "dirty"]
    return Table(header, rows, code=frozenset(header[1:-1]))
