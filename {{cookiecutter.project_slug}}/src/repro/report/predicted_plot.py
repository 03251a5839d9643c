"""The plot of predicted against true returns: does the reward model still mean what the annotator does?"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.ticker import EngFormatter, MaxNLocator

from repro.correlation import correlation
from repro.results.plots import Theme
from repro.results.records import Columns

MOST_DOTS = 600  # more hide each other


def draw_predicted_return(axes: Axes, theme: Theme, points: Mapping[int, Columns]) -> None:
    """Mean predicted return against mean true return of the same episodes, one point a rollout, by env step.

    Of more than MOST_DOTS every second, third or further one; the correlation is of all.
    `points`: seed -> (env steps, true returns, predicted returns).
    """
    every = -(-sum(len(steps) for steps, *_ in points.values()) // MOST_DOTS)
    thinned = [[values[::every] for values in columns] for columns in points.values()]
    steps, true, predicted = (np.concatenate(columns) for columns in zip(*thinned, strict=True))
    dots = axes.scatter(true, predicted, c=steps, cmap=colour_scale(theme), s=16, alpha=0.8, linewidths=0)
    axes.set_xlabel("true return, mean of a rollout's episodes")
    axes.set_ylabel("predicted return")
    axes.set_title(correlation_text(points), fontsize=9.5, loc="left")
    bar = axes.figure.colorbar(dots, ax=axes, pad=0.02, aspect=28)
    bar.outline.set_visible(False)
    bar.set_label("environment steps")
    bar.ax.yaxis.set_major_locator(MaxNLocator(5))
    bar.ax.yaxis.set_major_formatter(EngFormatter(sep=""))


def colour_scale(theme: Theme) -> ListedColormap:
    """Of so few colours that an SVG holds no picture of it."""
    return ListedColormap(matplotlib.colormaps["viridis"](np.linspace(*theme.viridis, 32)))


def correlation_text(points: Mapping[int, Columns]) -> str:
    """Pearson's r of true and predicted return within each seed, summarised in words."""
    found = list(correlations(points).values())
    if not found:
        return "correlation undefined: too few rollouts"
    if len(found) == 1:
        return f"correlation {found[0]:.2f} (one seed)"
    return (
        f"correlation within a seed: median {np.median(found):.2f} "
        f"({min(found):.2f} to {max(found):.2f}, n={len(found)})"
    )


def correlations(points: Mapping[int, Columns]) -> dict[int, float]:
    """Pearson's r of true and predicted return within each seed; without those where it is undefined.

    Within, because seeds that differ in level would show a correlation where no run has one.
    """
    found = {seed: correlation(true, predicted) for seed, (_, true, predicted) in points.items()}
    return {seed: value for seed, value in found.items() if not np.isnan(value)}
