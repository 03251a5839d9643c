"""A plot for dark pages from the same plot for light ones: its colours exchanged, instead of drawn once more."""

from __future__ import annotations

import re

from matplotlib.colors import to_hex

from repro.report.predicted_plot import colour_scale
from repro.results.plots import DARK, LIGHT, Theme


def for_dark_pages(svg: bytes) -> bytes:
    """The SVG, drawn in the colours of LIGHT, in those of DARK."""
    return ANY.sub(lambda found: EXCHANGED[found[0]], svg)


def _colours(theme: Theme) -> list[bytes]:
    named = [theme.background, theme.text, theme.faint, theme.grid, theme.blue, theme.orange]
    scale = colour_scale(theme)
    return [colour.encode() for colour in named + [to_hex(scale(number)) for number in range(scale.N)]]


EXCHANGED = dict(zip(_colours(LIGHT), _colours(DARK), strict=True))
ANY = re.compile(b"|".join(EXCHANGED))
