"""Plots of scores: while training, in the end, and of a method beside its ablations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from repro.results.plots import Theme, draw_group, label_levels, legend_above, step_axis
from repro.results.records import Columns
from repro.results.statistics import spread, spread_name


def draw_learning_curves(
    axes: Axes, theme: Theme, curves: Mapping[int, Columns], random: float, success: float
) -> None:
    """Scores while training, unsmoothed: every seed, their mean and its interval, or range.

    `curves`: seed -> (env steps, scores). `random` and `success` are scores too; the best known return's is 1.
    """
    draw_group(axes, list(curves.values()), theme.blue, "-", "")
    for level, style in ((1.0, "-"), (success, "--"), (random, ":")):
        axes.axhline(level, color=theme.faint, linestyle=style, linewidth=1.1, zorder=1.5)
    step_axis(axes)
    axes.set_ylabel("score (1: best known return)")
    low = min(random, min(values.min() for _, values in curves.values()))
    high = max(1.0, max(values.max() for _, values in curves.values()))
    axes.set_ylim(low - 0.06 * (high - low), high + 0.04 * (high - low))
    label_levels(axes, theme, {1.0: "best known", success: f"success {success:g}", random: "random"})
    legend_above(axes)


def draw_seed_scores(
    axes: Axes,
    theme: Theme,
    seeds: Sequence[int],
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    names: tuple[str, str],
    random: float,
    success: float,
) -> None:
    """The score of each seed, a row each: the judged actions and the others beside; below, their mean.

    `scores`: judged and other, each (seeds,); `names`: what they are called. Bars: 95% t-intervals, or ranges.
    """
    rows = np.arange(len(seeds))
    styles: tuple[dict[str, Any], ...] = (
        {"color": theme.blue, "marker": "o", "markersize": 7, "zorder": 4},
        {"color": theme.orange, "marker": "D", "markersize": 6, "markerfacecolor": theme.background, "zorder": 3},
    )
    axes.hlines(rows, *np.sort(np.stack(scores), axis=0), color=theme.faint, alpha=0.5, linewidth=1.5, zorder=1.5)
    for values, name, style in zip(scores, names, styles, strict=True):
        axes.plot(values, rows, linestyle="none", label=name, **style)
    if len(seeds) == 1:
        axes.set_yticks([0], [f"seed {seeds[0]} (n=1)"])
        axes.set_ylim(0.7, -0.7)
    else:
        mean_row = len(seeds) + 0.4
        for values, style, shift in zip(scores, styles, (-0.2, 0.2), strict=True):
            mean, low, high = spread(values)
            bar = [[mean - low], [high - mean]]
            axes.errorbar(mean, mean_row + shift, xerr=bar, capsize=3, linewidth=1.6, **style)
        axes.axhline(len(seeds) - 0.3, color=theme.faint, linewidth=0.8)
        axes.set_yticks(
            [*rows, mean_row],
            [
                *(f"seed {seed}" for seed in seeds),
                f"mean, {spread_name(len(seeds)).removesuffix('-interval')}\n(n={len(seeds)})",
            ],
        )
        axes.set_ylim(mean_row + 0.7, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, random - 0.05), max(high, 1.03))
    axes.set_xlabel("score (1: best known return)")
    above = ScaledTranslation(0, 0.05, axes.figure.dpi_scale_trans)
    for level, line, name, side in (
        (random, ":", "random", "center"),
        (success, "--", f"success {success:g}", "right"),
        (1.0, "-", "best known", "left"),
    ):
        axes.axvline(level, color=theme.faint, linestyle=line, linewidth=1.1, zorder=1)
        axes.text(level, 1, name, transform=axes.get_xaxis_transform() + above, ha=side, va="bottom", fontsize=9.5)
    axes.figure.legend(loc="outside upper left", ncols=2, borderaxespad=0.2)


def seed_scores_height(seeds: int) -> float:
    """Inches that give each of so many seeds a row of its own."""
    return 1.7 + 0.28 * seeds


def draw_ablations(
    axes: Axes, theme: Theme, names: Sequence[str], scores: Sequence[NDArray[np.float64]], random: float
) -> None:
    """A row for each of `names`, the whole method first: the score of each seed, their mean, and its `spread`.

    `scores`: of each row (seeds,). `random` is a score too; the best known return's is 1.
    """
    for row, values in enumerate(scores):
        color, marker = (theme.blue, "o") if row == 0 else (theme.orange, "D")
        axes.plot(values, np.full(len(values), row), marker, color=color, markersize=4, alpha=0.45, linestyle="none")
        mean, low, high = spread(values)
        bar = [[mean - low], [high - mean]] if len(values) > 1 else None
        axes.errorbar(mean, row, xerr=bar, marker=marker, markersize=7, color=color, capsize=3, linewidth=1.6)
    axes.axvline(spread(scores[0])[0], color=theme.blue, linestyle="--", linewidth=1.1, zorder=1)
    axes.axvline(random, color=theme.faint, linestyle=":", linewidth=1.1, zorder=1)
    axes.set_yticks(
        range(len(names)), [f"{name} (n={len(values)})" for name, values in zip(names, scores, strict=True)]
    )
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("score (1: best known return; dotted: random)")


def ablations_height(rows: int) -> float:
    """Inches that give each of so many rows a place of its own."""
    return 1.0 + 0.34 * rows
