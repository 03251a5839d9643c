"""A plot as two files: the one that was asked for, and one like it for dark pages."""

from __future__ import annotations

from pathlib import Path

from repro.files import write_atomic
from repro.results.plots import DARK, HEIGHT, LIGHT, Draw, plot_form, render


def write_plots(path: Path, draw: Draw, height: float = HEIGHT) -> None:
    """Draw to a .png or .svg file, and to `dark_path` beside it; `height` in inches. Raises UserError."""
    form = plot_form(path)
    for file, theme in ((path, LIGHT), (dark_path(path), DARK)):
        write_atomic(file, render(draw, theme, form, height))


def dark_path(path: Path) -> Path:
    """Where a plot for dark pages lies: returns-dark.png beside returns.png."""
    return path.with_stem(f"{path.stem}-dark")
