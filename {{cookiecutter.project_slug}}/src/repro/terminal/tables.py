"""Plain tables for the terminal: the first column to the left, texts too, numbers to the right."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from repro.terminal.text import PIPED, cut, pad, plain
from repro.terminal.text import width as width_of

GAP = "  "
SHORTEST = 10  # characters that a text is cut to at most


@dataclass(frozen=True)
class Column:
    """A column of texts or numbers; where there is no room, those with the highest `optional` are left out first."""

    head: str
    cells: Sequence[str]
    text: bool = False
    optional: int = 0


def format_table(columns: Sequence[Column], width: int | None = None, last: int = 0) -> list[str]:
    """The lines of a table with a rule below its head, and above its `last` rows, the totals.

    `width` in characters; None: as much as is needed. Where even that is too much, the longest texts are cut.
    """
    columns = list(columns)
    while width is not None and _needed(columns) > width and (highest := max(c.optional for c in columns)):
        columns = [column for column in columns if column.optional != highest]
    sizes = [_size(column) for column in columns]
    if width is not None and (excess := _needed(columns) - width) > 0:
        longest = max((i for i, column in enumerate(columns) if column.text), key=lambda i: sizes[i])
        sizes[longest] = max(SHORTEST, sizes[longest] - excess)
    rows = [[column.head for column in columns]]
    rows += [list(row) for row in zip(*(column.cells for column in columns), strict=True)]
    lines = [
        GAP.join(_pad(text, size, column) for text, size, column in zip(row, sizes, columns, strict=True))
        for row in rows
    ]
    rule = GAP.join("-" * size for size in sizes)
    lines.insert(1, rule)
    if last:
        lines.insert(len(lines) - last, rule)
    return [line.rstrip() if width is None else cut(line.rstrip(), width) for line in lines]


def wrap(lines: Iterable[str], width: int | None) -> list[str]:
    """Sentences in lines of at most `width` characters (None: PIPED); what goes on is indented."""
    wrapper = textwrap.TextWrapper(
        width or PIPED, subsequent_indent="    ", break_on_hyphens=False, break_long_words=width is not None
    )
    return [part for line in lines for part in wrapper.wrap(line) or [""]]


def _needed(columns: Sequence[Column]) -> int:
    return sum(map(_size, columns)) + len(GAP) * (len(columns) - 1)


def _size(column: Column) -> int:
    return max(width_of(plain(text)) for text in (column.head, *column.cells))


def _pad(text: str, size: int, column: Column) -> str:
    text = plain(text)
    return pad(text, size) if column.text else " " * (size - width_of(text)) + text
