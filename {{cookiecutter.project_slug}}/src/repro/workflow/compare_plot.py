"""The plot of `repro compare`: the return of each run over its steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from repro.config import UserError
from repro.files import write_atomic
from repro.results.plots import FEW_POINTS, LIGHT, Theme, plot_form, render
from repro.tracking.archive import RunFolder
from repro.tracking.curves import sample_curve
from repro.tracking.text import cut, plain
from repro.workflow.compare import Curve, short_names
from repro.workflow.difference import differing

METRIC = "return/mean"
ROWS = 2000  # at most, of each run
# Okabe and Ito (2008), the yellow left out: it is hard to see on white. With the line styles, 24 runs differ.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
STYLES = ("-", "--", "-.", ":")
MAX_LABEL = 60  # characters; as much as fits above the axes
HEIGHT, LINE = 3.0, 0.17  # inches: of the axes, and of a line of the legend


def write_plot(path: Path, runs: Sequence[RunFolder]) -> None:
    """Draw the runs' returns to a .png or .svg file. Raises UserError if it is another, or there is nothing to draw."""
    form = plot_form(path)
    curves = {}
    for label, run in zip(labels(runs), runs, strict=True):
        if curve := sample_curve(run.path / "metrics.jsonl", METRIC, ROWS):
            curves[label] = curve
    if not curves:
        raise UserError(f"{path}: nothing to draw: none of these runs has a {METRIC} yet")
    height = HEIGHT + LINE * len(curves)
    write_atomic(path, render(lambda axes, theme: _draw(axes, theme, curves), LIGHT, form, height))


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


def _draw(axes: Axes, theme: Theme, curves: dict[str, Curve]) -> None:
    for number, (label, curve) in enumerate(curves.items()):
        axes.plot(
            *zip(*curve, strict=True),
            color=COLOURS[number % len(COLOURS)],
            linestyle=STYLES[number // len(COLOURS) % len(STYLES)],
            linewidth=1.4 + 0.8 * min(3, len(curves) - 1 - number),  # those beneath show where they are the same
            marker="o" if len(curve) <= FEW_POINTS else "",
            markersize=3,
            label=label.replace("$", r"\$"),  # which would begin a formula
        )
    axes.set_xlabel("environment steps (agent steps, all environments)")
    axes.set_ylabel("return, mean of a rollout's episodes")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.margins(x=0.02)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
