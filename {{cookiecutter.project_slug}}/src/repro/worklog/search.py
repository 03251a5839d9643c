"""Looking back in the work log: the lines that hold some words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from repro.reading import UserError
from repro.terminal.text import wrap_after
from repro.worklog.confusions import parse_line
from repro.worklog.pages import COLUMNS, HEADINGS, list_pages, page_day, printable, read_cells, read_damaged


@dataclass(frozen=True)
class Hit:
    """A line of the log that was searched for."""

    day: date
    log: str  # "log 2", or "" above the first heading
    text: str


def search_log(root: Path, words: Sequence[str]) -> list[Hit]:
    """The lines and table rows that hold all words, in any case, oldest first; what was carried over stands once.

    Raises UserError if there is no word.
    """
    wanted = [word.casefold() for word in " ".join(words).split()]
    if not wanted:
        raise UserError("WORDS: nothing to search for; write e.g.: repro log search entropy seed")
    bare = [word.replace("\\", "") for word in wanted]
    hits, carried = [], set()
    for path in list_pages(root):
        log = ""
        for line in read_damaged(path):
            if line.rstrip() in HEADINGS:
                log = f"log {HEADINGS.index(line.rstrip()) + 1}"
                continue
            if "](" not in line and not all(word in line.casefold().replace("\\", "") for word in bare):
                continue  # most lines; those with links are read as they are seen
            text = _visible(line)
            if text in carried or not all(word in text.casefold() for word in wanted):
                continue
            if parse_line(line) or (log == "log 1" and not line.lstrip().startswith("|")):
                carried.add(text)
            hits.append(Hit(page_day(path), log, text))
    return hits


def format_hits(hits: Iterable[Hit], words: Sequence[str], width: int | None = None, highlight: bool = False) -> str:
    """A line a hit: day, log, text; wrapped to `width` columns, with the words in bold if `highlight`."""
    lines = [line for hit in hits for line in wrap_after(f"{hit.day}  {hit.log:<5}  ", hit.text, width)]
    if highlight:
        any_word = "|".join(re.escape(word) for word in sorted(" ".join(words).split(), key=len, reverse=True))
        lines = [re.sub(any_word, lambda match: f"\x1b[1m{match[0]}\x1b[0m", line, flags=re.I) for line in lines]
    return "\n".join(lines)


def _visible(line: str) -> str:
    """What a reader of the rendered page sees of a line; nothing of markers and the lines under a table's head."""
    if re.fullmatch(r"\s*(<!--.*-->|\|[\s:|-]+\||)\s*", line):
        return ""
    if line.lstrip().startswith("|"):
        cells = read_cells(line)
        line = "" if tuple(cells) in COLUMNS.values() else " | ".join(cell for cell in cells if cell)
    return printable(re.sub(r"\[([^\[\]]*)\]\([^()\s]*\)", r"\1", line)).rstrip()
