"""The plot of `repro compare`: the return of each run over its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from repro.reading import UserError
from repro.results.plots import DARK, FEW_POINTS, Theme, legend_above, step_axis, write_plots
from repro.terminal.text import cut
from repro.tracking.archive import RunFolder
from repro.tracking.curves import sample_curve
from repro.tracking.difference import differing
from repro.views.compare import Curve, short_names, shown_value

RETURN = "return/mean"
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
    found = [sample_curve(run.path / "metrics.jsonl", RETURN, ROWS) for run in runs]
    curves = {label: curve for label, curve in zip(labels(runs), found, strict=True) if curve}
    if not curves:
        raise UserError(f"{path}: nothing to draw: none of these runs has a {RETURN} yet")
    write_plots(path, lambda axes, theme: _draw(axes, theme, curves), HEIGHT + LINE * len(curves))


def labels(runs: Sequence[RunFolder]) -> list[str]:
    """Each run's name, and what differs between them."""
    differences = differing([{"seed": run.record["seed"], **run.record["params"]} for run in runs])
    labels = []
    for number, name in enumerate(short_names(runs)):
        values = [f"{key.rpartition('.')[2]} {shown_value(found[number])}" for key, found in differences.items()]
        labels.append(cut(", ".join([name, *values]), MAX_LABEL))
    return labels


def _draw(axes: Axes, theme: Theme, curves: Mapping[str, Curve]) -> None:
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
    step_axis(axes)
    axes.set_ylabel("return, mean of a rollout's episodes")
    legend_above(axes, columns=1)
