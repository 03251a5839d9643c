"""Text for a terminal: one line, harmless, and of a known width."""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys
import textwrap
import unicodedata
from pathlib import Path
from typing import Any

JOINERS = "\u200c\u200d"  # within words of some scripts, and within emoji
NARROWEST = 40  # columns that texts are wrapped to at least
PIPED = 80  # columns that they are wrapped to where there is no terminal


def plain(value: Any) -> str:
    """One line without control characters: questions and results are typed or computed by anyone."""
    words = " ".join(str(value).split())
    if words.isprintable():
        return words
    return "".join(letter for letter in words if letter in JOINERS or unicodedata.category(letter)[0] != "C")


def width(text: str) -> int:
    """Columns in a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def counted(number: int, what: str) -> str:
    """1 run, 2 runs."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def format_count(number: Any) -> str:
    """1.5M for 1,500,000; empty for what is no count."""
    if not isinstance(number, int):
        return ""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= 0.9995 * size:  # else three digits would make 1e+03 of it
            return f"{number / size:.3g}{letter}"
    return str(number)


def describe_steps(done: int, planned: int) -> str:
    """512 of 60,000 steps; more than all of them where the last rollout, which is never cut short, went beyond."""
    return f"{done:,} of {planned:,} steps" + (", the last rollout being whole" if done > planned else "")


def format_score(score: Any) -> str:
    """0.913; empty if there is none."""
    return f"{score:.3f}" if isinstance(score, int | float) else ""


def cut(text: str, size: int) -> str:
    """At most `size` columns of the text, with an ellipsis if that is not all."""
    if width(text) <= size:
        return text
    kept, columns = [], 1
    for letter in text:
        columns += _columns(letter)
        if columns > size:
            break
        kept.append(letter)
    return "".join(kept) + "…"


def pad(text: str, size: int) -> str:
    """The text in exactly `size` columns."""
    if text.isascii() and len(text) <= size:
        return text.ljust(size)
    text = cut(text, size)
    return text + " " * (size - width(text))


def terminal_width() -> int | None:
    """Columns of the terminal, or COLUMNS; None without either: sentences have PIPED then, and no table is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else None


def shown_path(path: Path) -> str:
    """A path as short as it can be written from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.split(os.sep)[0] == os.pardir else relative


def shorten(text: str) -> str:
    """The text with the paths in it as short as they can be written from here."""
    try:
        here = os.getcwd()
    except FileNotFoundError:  # the folder was deleted
        return text
    return re.sub(rf"(?<![\w./~-]){re.escape(here + os.sep)}", "", text)


def wrap_after(prefix: str, text: str, size: int | None) -> list[str]:
    """Lines of at most `size` columns of a terminal (None: one line), the later ones indented as the first."""
    if size is None:
        return [prefix + text]
    return _fill(text, max(size, NARROWEST), " " * len(prefix), initial_indent=prefix).splitlines()


def hang(line: str, indent: int, size: int | None) -> str:
    """The line, broken between words where it has more than `size` columns (None: PIPED); what goes on is indented."""
    return _fill(line, size or PIPED, " " * indent, break_long_words=False)  # such as an id or an address


def print_wrapped(text: str) -> None:
    """Print a line, wrapped at words and indented as it starts where there is a terminal; whole where there is none."""
    if not sys.stdout.isatty():
        print(text)
        return
    import typer

    blank, line = text[: len(text) - len(text.lstrip("\n"))], text.strip("\n")
    word = re.match(r"(ok|warning|FAILED)? *", line)
    indent = " " * (word.end() if word else 0)
    wrapped = _fill(line, shutil.get_terminal_size().columns - 1, indent)
    for state, colour in (("ok", "green"), ("warning", "yellow"), ("FAILED", "red")):
        if line.startswith(f"{state} ") and "NO_COLOR" not in os.environ:
            wrapped = typer.style(state, fg=colour, bold=True) + wrapped.removeprefix(state)
    print(blank + wrapped + text[len(blank) + len(line) :])


def _fill(text: str, size: int, indent: str, **options: Any) -> str:
    """Lines of at most `size` columns, the later ones indented.

    A wide character takes two: a placeholder stands for the second while lines are filled, and may come to stand in the
    next one.
    """
    filled = "".join(letter + "\0" * (width(letter) - 1) for letter in text)
    wide = filled != text
    filled = textwrap.fill(filled, size - wide, subsequent_indent=indent, break_on_hyphens=False, **options)
    return filled.replace("\0", "")


@functools.cache
def _columns(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
