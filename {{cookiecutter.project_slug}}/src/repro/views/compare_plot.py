"""The plot of `repro compare`: the return of each run over its steps, of the optimal one where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from repro.reading import UserError
from repro.results.plot_files import write_plots
from repro.results.plots import DARK, FEW_POINTS, Theme, plot_form
from repro.terminal.text import cut, plain
from repro.tracking.archive import RunFolder
from repro.tracking.curves import sample_curve
from repro.tracking.difference import differing
from repro.views.compare import Curve, short_names

# Metric -> how its axis is named; the first that any of the runs has is drawn.
METRICS = {
    "return/fraction_of_optimal": "return / optimal return",
    "return/mean": "return, mean of a rollout's episodes",
}
ROWS = 2000  # at most, of each run
# Okabe and Ito (2008): on white without the yellow, on dark without the blue. With the line styles, 24 runs differ.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
DARK_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00")
STYLES = ("-", "--", "-.", ":")
MAX_LABEL = 60  # characters; as much as fits above the axes
HEIGHT, LINE = 3.0, 0.17  # inches: of the axes, and of a line of the legend


def write_plot(path: Path, runs: Sequence[RunFolder]) -> None:
    """Draw the runs' returns to a .png or .svg file, and beside it for dark pages.

    Raises UserError if it is another kind of file, or there is nothing to draw.
    """
    plot_form(path)  # raises for one that will not do
    metric, curves = _curves(runs)
    if not curves:
        raise UserError(f"{path}: nothing to draw: none of these runs has a {metric} yet")
    levels = _levels(runs) if metric == "return/fraction_of_optimal" else {}
    height = HEIGHT + LINE * len(curves)
    write_plots(path, lambda axes, theme: _draw(axes, theme, METRICS[metric], curves, levels), height)


def labels(runs: Sequence[RunFolder]) -> list[str]:
    """Each run's name, and what differs between them."""
    differences = differing([{"seed": run.record["seed"], **run.record["params"]} for run in runs])
    labels = []
    for number, name in enumerate(short_names(runs)):
        values = [f"{key.rpartition('.')[2]} {_value(found[number])}" for key, found in differences.items()]
        labels.append(cut(", ".join([name, *values]), MAX_LABEL))
    return labels


def _value(value: Any) -> str:
    return "-" if value is None else plain(value)


def _curves(runs: Sequence[RunFolder]) -> tuple[str, dict[str, Curve]]:
    """The metric that is drawn, and its curves by label, without the runs that lack it."""
    for metric in METRICS:
        found = {
            label: curve
            for label, run in zip(labels(runs), runs, strict=True)
            if (curve := sample_curve(run.path / "metrics.jsonl", metric, ROWS))
        }
        if found:
            break
    return metric, found


def _levels(runs: Sequence[RunFolder]) -> dict[str, tuple[float, str]]:
    """Shares of the optimal return to compare with, by name, each with its line style.

    The random policy's is known once a run was evaluated; success only if all runs call the same so.
    """
    levels = {"optimal": (1.0, "-")}
    success = {(run.record["params"].get("evaluation") or {}).get("success_score") for run in runs}
    if len(success) == 1 and isinstance(score := success.pop(), int | float):
        levels[f"success {score:g}"] = (score, "--")
    evaluations = [(run.record.get("evaluation") or {}).get("random") or {} for run in runs]
    random = [found["score"] for found in evaluations if isinstance(found.get("score"), int | float)]
    return levels | ({"random": (float(np.mean(random)), ":")} if random else {})


def _draw(axes: Axes, theme: Theme, name: str, curves: dict[str, Curve], levels: dict[str, tuple[float, str]]) -> None:
    colours = DARK_COLOURS if theme is DARK else COLOURS
    for number, (label, curve) in enumerate(curves.items()):
        axes.plot(
            *zip(*curve, strict=True),
            color=colours[number % len(colours)],
            linestyle=STYLES[number // len(colours) % len(STYLES)],
            linewidth=1.4 + 0.8 * min(3, len(curves) - 1 - number),  # those beneath show where they are the same
            marker="o" if len(curve) <= FEW_POINTS else "",
            markersize=3,
            label=label.replace("$", r"\$"),  # which would begin a formula
        )
    axes.set_xlabel("environment steps (agent steps, all environments)")
    axes.set_ylabel(name)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.margins(x=0.02)
    for text, (level, style) in levels.items():
        axes.axhline(level, color=theme.faint, linestyle=style, linewidth=1.1, zorder=1.5)
        axes.text(1.01, level, text, transform=axes.get_yaxis_transform(), fontsize=9.5, va="center")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
