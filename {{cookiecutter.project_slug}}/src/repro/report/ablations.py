"""What a report says of ablations: each beside the whole method, and beside what the paper found."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import partial

import numpy as np

from repro.config.ablations import ABLATIONS, WHOLE
from repro.report.content import NOTHING, Table, mean_text, success_text
from repro.report.plots import Plot, make_plot
from repro.report.score_plots import ablations_height, draw_ablations
from repro.results.aggregates import SEEDS_FOR_BOOTSTRAP, bootstrap_interval, probability_of_improvement
from repro.results.records import Cell
from repro.results.statistics import SEEDS_FOR_INTERVAL, difference_interval, paired_interval
from repro.results.verdicts import tuning_runs_of


def compare_ablations(groups: Mapping[str | None, list[Cell]]) -> tuple[Table, Plot]:
    """A table and a plot; `groups` maps each ablation to its cells, and None to those of the whole method."""
    order = [name for name in (None, *ABLATIONS) if name in groups]
    order += sorted(name for name in groups if name is not None and name not in ABLATIONS)  # of earlier code
    scores = {name: [cell.judged_score.score for cell in groups[name]] for name in order}
    seeds = {name: [cell.seed for cell in groups[name]] for name in order}
    header = ["ablation", "seeds", "judged score", "difference", "better", "success", "tuning runs", "the paper"]
    rows = []
    for name in order:
        finding = ABLATIONS[name].finding if name in ABLATIONS else NOTHING
        paired = seeds[name] == seeds[None]
        difference = NOTHING if name is None else difference_text(scores[name], scores[None], paired)
        better = NOTHING if name is None else better_text(scores[name], scores[None])
        tuning = tuning_runs_of(groups[name])
        row = [name or WHOLE, str(len(scores[name])), mean_text(scores[name]), difference, better]
        rows.append([*row, success_text(groups[name]), NOTHING if tuning is None else str(tuning), finding])
    random = statistics.fmean(cell.evaluation.random.score for cell in groups[None])
    draw = partial(
        draw_ablations,
        names=[name or "the whole method" for name in order],
        scores=[np.array(scores[name]) for name in order],
        random=random,
    )
    caption = (
        "Judged score of each seed, their mean and its 95% t-interval; of fewer seeds than "
        f"{SEEDS_FOR_INTERVAL} their range. Dashed: the mean of the whole method."
    )
    return Table(header, rows), make_plot("ablations", "Ablations", caption, draw, ablations_height(len(order)))


def difference_text(ablated: list[float], whole: list[float], paired: bool) -> str:
    """The difference of two mean scores, and its 95% interval where there are seeds enough.

    `paired`: both are of the same seeds, in the same order, so that these are compared, as `repro claims` does;
    otherwise the interval is Welch's.
    """
    mean, low, high = paired_interval(ablated, whole) if paired else difference_interval(ablated, whole)
    fewest = min(len(ablated), len(whole))
    if fewest < SEEDS_FOR_INTERVAL:
        return f"{mean:+.3f} (n={fewest}, no interval)"
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]{'' if paired else ' (Welch)'}"


def better_text(ablated: list[float], whole: list[float]) -> str:
    """How likely a seed of the ablation scores higher than one of the whole method, with its bootstrap interval.

    Without one where it would be much too narrow: of few seeds, and where all of one side are above all of the other,
    since every resample has them so as well.
    """
    samples = [np.array(ablated)], [np.array(whole)]
    share = float(probability_of_improvement(*samples))
    if min(len(ablated), len(whole)) < SEEDS_FOR_BOOTSTRAP or share in (0, 1):
        return f"{share:.2f}"
    low, high = bootstrap_interval(probability_of_improvement, *samples)
    return f"{share:.2f} [{low:.2f}, {high:.2f}]"
