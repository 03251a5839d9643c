"""The plot that compares a method with its ablations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from repro.results.plots import Theme
from repro.results.statistics import spread


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
