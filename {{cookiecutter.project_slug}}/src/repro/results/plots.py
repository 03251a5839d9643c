"""Plots, each drawn on given axes and rendered to bytes; what several of them have in common.

Colours are those of Okabe and Ito (2008), which stay apart for colour-blind readers; lines and markers
also differ in style, so that a grey print can be read. The same input gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from repro.files import write_atomic
from repro.reading import UserError
from repro.results.records import Columns
from repro.results.statistics import align_curves, curve_spread, spread_name

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

WIDTH, HEIGHT = 5.0, 3.2  # inches; small, so that the text stays readable on a phone
FEW_POINTS = 12  # shorter curves get markers, or a single point would be invisible


@dataclass(frozen=True)
class Theme:
    """Colours of a page, the two that carry data, and the part of viridis that shows on the background."""

    background: str
    text: str
    faint: str
    grid: str
    blue: str
    orange: str
    viridis: tuple[float, float]


LIGHT = Theme("#ffffff", "#24292f", "#6b7280", "#e5e7eb", "#0072b2", "#d55e00", (0.88, 0.0))
DARK = Theme("#161b22", "#e6edf3", "#9aa4b0", "#30363d", "#56b4e9", "#e69f00", (0.3, 1.0))

Draw = Callable[[Axes, Theme], None]
Form = Literal["png", "svg"]
LAYOUT_PAD = 0.04  # inches around all that is drawn
PNG_OPTIONS: dict[str, Any] = {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 1}}


def plot_form(path: Path) -> Form:
    """The form that a name given with --plot asks for. Raises UserError."""
    if not path.parent.is_dir():
        raise UserError(f"--plot {path}: the folder {path.parent} does not exist; make it first")
    ending = path.suffix.lower()
    if ending == ".png":
        return "png"
    if ending == ".svg":
        return "svg"
    raise UserError(f"--plot {path}: {path.suffix or 'no ending'} will not do; let the name end in .png or .svg")


def render(draw: Draw, theme: Theme, form: Form, height: float = HEIGHT) -> bytes:
    """Draw one figure, `WIDTH` x `height` inches, as PNG (200 dpi) or SVG; reads no matplotlibrc."""
    return render_forms(draw, theme, (form,), height)[0]


def render_forms(draw: Draw, theme: Theme, forms: Sequence[Form], height: float = HEIGHT) -> list[bytes]:
    """The same figure in several forms: it is drawn and laid out once, which takes longer than writing it."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_style(theme))
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure.add_subplot(), theme)
        if len(figure.axes) > 1 or figure.legends:
            figure.get_layout_engine().execute(figure)  # type: ignore[union-attr]
        else:
            _fill(figure)
        figure.set_layout_engine(None)  # else each form is drawn twice, and laid out anew
        return [_saved(figure, form) for form in forms]


def write_plots(path: Path, draw: Draw, height: float = HEIGHT) -> None:
    """Draw to a .png or .svg file, and to `dark_path` beside it; `height` in inches. Raises UserError."""
    form = plot_form(path)
    for file, theme in ((path, LIGHT), (dark_path(path), DARK)):
        write_atomic(file, render(draw, theme, form, height))


def dark_path(path: Path) -> Path:
    """Where a plot for dark pages lies: returns-dark.png beside returns.png."""
    return path.with_stem(f"{path.stem}-dark")


def _fill(figure: Figure) -> None:
    """Give the only axes the room that its labels leave: as the layout engine does, in half the time."""
    (axes,) = figure.axes
    around, inner, page = axes.get_tightbbox(), axes.get_window_extent(), figure.bbox
    assert around is not None  # axes are visible
    pad = LAYOUT_PAD * figure.dpi
    left, bottom = (inner.x0 - around.x0 + pad) / page.width, (inner.y0 - around.y0 + pad) / page.height
    right, top = (around.x1 - inner.x1 + pad) / page.width, (around.y1 - inner.y1 + pad) / page.height
    axes.set_position((left, bottom, 1 - left - right, 1 - bottom - top))


def _saved(figure: Figure, form: Form) -> bytes:
    buffer = io.BytesIO()
    # Without these entries the file would hold the date, and the version of matplotlib.
    options = {"metadata": {"Date": None, "Creator": None}} if form == "svg" else PNG_OPTIONS
    figure.savefig(buffer, format=form, dpi=200, **options)
    return buffer.getvalue()


def _style(theme: Theme) -> dict[RcKeyType, Any]:
    return {
        "svg.hashsalt": "repro",  # else the ids in an SVG are random
        "font.size": 10.5,
        "axes.labelsize": 10.5,
        "xtick.labelsize": 9.5,
        "ytick.labelsize": 9.5,
        "legend.fontsize": 9.5,
        "figure.facecolor": theme.background,
        "savefig.facecolor": theme.background,
        "axes.facecolor": theme.background,
        "text.color": theme.text,
        "axes.labelcolor": theme.text,
        "axes.edgecolor": theme.faint,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.text,
        "ytick.labelcolor": theme.text,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
    }


def draw_group(axes: Axes, curves: Sequence[Columns], color: str, style: str, prefix: str) -> None:
    """Each curve thin; if there are several with steps in common, their mean and its interval, or range."""
    several = len(curves) > 1
    for number, (steps, values) in enumerate(curves):
        axes.plot(
            steps,
            values,
            color=color,
            linestyle=style,
            linewidth=0.8 if several else 1.6,
            alpha=0.55 if several else 1,
            marker="o" if len(steps) <= FEW_POINTS else "",
            markersize=3,
            label=None if number else f"{prefix}{'each seed' if several else 'one seed (n=1)'}",
            zorder=2,
        )
    if not several:
        return
    try:
        grid, matrix = align_curves(curves)
    except ValueError:  # no steps in common: there is no mean to draw
        return
    mean, low, high = curve_spread(matrix)
    axes.fill_between(
        grid, low, high, color=color, alpha=0.18, linewidth=0, label=f"{prefix}{spread_name(len(curves))}", zorder=1.8
    )
    axes.plot(grid, mean, color=color, linestyle=style, linewidth=2.2, label=f"{prefix}mean, n={len(curves)}", zorder=3)


def step_axis(axes: Axes) -> None:
    axes.set_xlabel("environment steps (agent steps, all environments)")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.margins(x=0.02)


def label_levels(axes: Axes, theme: Theme, labels: dict[float, str]) -> None:
    """Name horizontal levels at the right edge; labels that would overlap are pushed upwards."""
    low, high = axes.get_ylim()
    gap = 0.06 * (high - low)
    below = -np.inf
    for level, text in sorted(labels.items()):
        below = max(level, below + gap)
        axes.text(
            1.0,
            below,
            text,
            transform=axes.get_yaxis_transform() + ScaledTranslation(0.06, 0, axes.figure.dpi_scale_trans),
            color=theme.text,
            fontsize=9.5,
            va="center",
        )


def legend_above(axes: Axes, columns: int = 3) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        columnspacing=1.2,
        handlelength=1.8,
        handletextpad=0.5,
    )
