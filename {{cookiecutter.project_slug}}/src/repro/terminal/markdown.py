"""A page of Markdown, drawn for a terminal."""

from __future__ import annotations

import re

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown, TableElement
from rich.table import Table

COMMENTS = re.compile(r"^<!-- .* -->\n", re.MULTILINE)


class FoldedTable(TableElement):
    """A table that cuts nothing: of two names of runs, the ends differ."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            assert isinstance(table, Table)
            for column in table.columns:
                column.overflow = "fold"
            yield table


class Page(Markdown):
    """Markdown with such tables."""

    elements = Markdown.elements | {"table_open": FoldedTable}


def print_markdown(text: str) -> None:
    """Print Markdown as a person reads it, as wide as the terminal; comments are left out."""
    Console(highlight=False).print(Page(COMMENTS.sub("", text)))
