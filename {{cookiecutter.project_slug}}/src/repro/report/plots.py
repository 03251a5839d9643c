"""Which plots an experiment gets, from the metrics its curves hold, and their captions."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from repro.preferences.regularisation import LOSS_RATIO
from repro.report import reward_plots, score_plots
from repro.report.predicted_plot import MOST_DOTS, draw_predicted_return
from repro.report.recolouring import for_dark_pages
from repro.results import plots
from repro.results.records import MOST_ROWS, Cell, Columns, Rows, columns
from repro.results.statistics import SEEDS_FOR_INTERVAL

BAND = " Thin: each seed. Thick: their mean, over the steps that all of them cover. Band: "


@dataclass(frozen=True)
class RewardPlot:
    """A plot of metrics of the reward model."""

    name: str
    title: str
    metrics: tuple[str, ...]
    caption: str
    draw: Callable[[Axes, plots.Theme, Mapping[int, Columns]], None]  # seed -> env steps and the metrics
    over_steps: bool = True  # a curve for each seed


REWARD_PLOTS = (
    RewardPlot(
        "reward_model",
        "Accuracy of the reward model",
        ("reward_model/accuracy_train", "reward_model/accuracy_val"),
        "Share of comparisons that the reward model orders as the annotator did, of those it learns from and of those "
        "held out. A tie counts half, so with many ties even a perfect model stays well below 1.",
        reward_plots.draw_accuracies,
    ),
    RewardPlot(
        "reward_losses",
        "Losses of the reward model",
        ("reward_model/loss_train", "reward_model/loss_val", "reward_model/loss_floor"),
        "Cross-entropy on comparisons learned from and held out. Dashed: ln 2, of a model that takes no side. Dotted: "
        "what no model can go below, as ties cost ln 2 each and some answers are assumed to be random.",
        reward_plots.draw_losses,
    ),
    RewardPlot(
        "loss_ratio",
        "Overfitting of the reward model",
        ("reward_model/loss_ratio",),
        "Validation loss by training loss; Christiano et al. (2017) hold it between {} and {}.".format(*LOSS_RATIO),
        reward_plots.draw_loss_ratio,
    ),
    RewardPlot(
        "predicted_return",
        "Predicted against true return",
        ("return/mean", "predicted_return/mean"),
        "Each point is a rollout of one seed: the means over the episodes that end in it; of more than "
        f"{MOST_DOTS:,} some are left out, evenly. Predicted returns have neither a unit nor a fixed zero: they are "
        "normalised over the labelled segments, which get better as the agent does. So their correlation (Pearson's r) "
        "over a run may be low where that of held-out segments is high.",
        draw_predicted_return,
        over_steps=False,
    ),
    RewardPlot(
        "reward_correlation",
        "Predicted against true reward",
        ("reward_model/return_correlation", "reward/correlation"),
        "Pearson's r of predicted and true returns of held-out segments, and of rewards of the rollout's steps. Where "
        "all true rewards of a rollout are equal there is none, and a seed's line joins what lies before and after.",
        reward_plots.draw_correlations,
    ),
    RewardPlot(
        "disagreement",
        "Disagreement of the ensemble",
        ("reward_model/disagreement",),
        "Standard deviation of a step's normalised reward over the members, mean over the steps of a rollout.",
        reward_plots.draw_disagreement,
    ),
)
PLOT_NAMES = ("curves", "seeds", "ablations", *(plot.name for plot in REWARD_PLOTS))
SCORE = "return/score"
UNDEFINED = "reward/correlation"  # in rollouts whose true rewards do not vary
PLOTTED = {SCORE, *(metric for plot in REWARD_PLOTS for metric in plot.metrics)} - {UNDEFINED}


@dataclass(frozen=True)
class Plot:
    """A plot for the reports folder (`png`, `svg`) and for a dark page (`dark`, an SVG)."""

    name: str
    title: str
    caption: str
    png: bytes
    svg: bytes
    dark: bytes


class MissingMetricError(Exception):
    """No curve of the experiment holds what a plot would show, or anything but 0."""


def make_plots(cells: list[Cell], curves: dict[int, Rows]) -> tuple[list[Plot], list[str]]:
    """The plots of one experiment, and for each that its metrics do not allow, a line that says so.

    `curves`: seed -> rows of metrics.jsonl, for the seeds that have them.
    """
    makers = [partial(_learning_curves, cells, curves), partial(_seed_scores, cells)]
    if any(name.startswith("reward_model/") for rows in curves.values() for row in rows for name in row):
        makers += [partial(_reward_plot, plot, cells, curves) for plot in REWARD_PLOTS]  # else nothing was predicted
    made, not_made = [], []
    for make in makers:
        try:
            made.append(make())
        except MissingMetricError as error:
            not_made.append(str(error))
    return made, not_made


def seed_list(seeds: Sequence[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"


def _learning_curves(cells: list[Cell], curves: dict[int, Rows]) -> Plot:
    title = "Learning curves"
    scores = _metrics(title, curves, SCORE)
    draw = partial(
        score_plots.draw_learning_curves, curves=scores, random=_random_score(cells), success=cells[0].success_score
    )
    caption = "Score, by true return, of the episodes that end in a rollout; not smoothed."
    if any(len(rows) == MOST_ROWS for rows in curves.values()):
        caption += f" Of longer curves {MOST_ROWS} rows are drawn, evenly spread."
    return make_plot("curves", title, caption + _seeds_shown(cells, scores), draw)


def _seed_scores(cells: list[Cell]) -> Plot:
    judged = cells[0].judged
    draw = partial(
        score_plots.draw_seed_scores,
        seeds=[cell.seed for cell in cells],
        scores=(
            np.array([cell.judged_score.score for cell in cells]),
            np.array([cell.other_score.score for cell in cells]),
        ),
        names=(f"{judged} (judged)", "greedy" if judged == "sampled" else "sampled"),
        random=_random_score(cells),
        success=cells[0].success_score,
    )
    caption = (
        f"Final score of each seed over {cells[0].evaluation.episodes} full episodes, by {judged} actions, which are "
        "judged, with the others beside."
    )
    few = len(cells) < SEEDS_FOR_INTERVAL
    bars = " Bars: from the lowest to the highest seed." if few else " Bars: 95% t-interval of the mean."
    caption += bars if len(cells) > 1 else " One seed (n=1): no interval."
    return make_plot("seeds", "Score of each seed", caption, draw, score_plots.seed_scores_height(len(cells)))


def _reward_plot(plot: RewardPlot, cells: list[Cell], curves: dict[int, Rows]) -> Plot:
    found = _metrics(plot.title, curves, *plot.metrics)
    if not any(values.any() for _, *metrics in found.values() for values in metrics):  # as of an ensemble of one
        raise MissingMetricError(f"{plot.title}: not drawn, since it is 0 throughout")
    shown = _seeds_shown(cells, found) if plot.over_steps else _left_out(cells, found)
    return make_plot(plot.name, plot.title, plot.caption + shown, lambda axes, theme: plot.draw(axes, theme, found))


def make_plot(name: str, title: str, caption: str, draw: plots.Draw, height: float = plots.HEIGHT) -> Plot:
    """The plot in all the forms that a report needs."""
    png, svg = plots.render_forms(draw, plots.LIGHT, ("png", "svg"), height)
    return Plot(name=name, title=title, caption=caption, png=png, svg=svg, dark=for_dark_pages(svg))


def _metrics(title: str, curves: dict[int, Rows], *names: str) -> dict[int, Columns]:
    """For each seed that has them: its env steps and the metrics `names`, where all are present."""
    found = {seed: columns(rows, "env_step", *names) for seed, rows in curves.items()}
    found = {seed: values for seed, values in found.items() if len(values[0])}
    if not found:
        raise MissingMetricError(f"{title}: not drawn, since no curve holds {' and '.join(names)}")
    return found


def _seeds_shown(cells: list[Cell], drawn: dict[int, Columns]) -> str:
    """What the lines of a curve plot are, and which seeds it lacks."""
    few = len(drawn) < SEEDS_FOR_INTERVAL
    band = BAND + ("from the lowest to the highest." if few else "its pointwise 95% t-interval.")
    return (band if len(drawn) > 1 else " One seed (n=1): no interval.") + _left_out(cells, drawn)


def _left_out(cells: list[Cell], drawn: dict[int, Columns]) -> str:
    missing = [cell.seed for cell in cells if cell.seed not in drawn]
    return f" Left out, for want of the metric: {seed_list(missing)}." if missing else ""


def _random_score(cells: list[Cell]) -> float:
    return statistics.fmean(cell.evaluation.random.score for cell in cells)
