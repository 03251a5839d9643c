"""The form of the work log: one Markdown page a day, `worklog/YYYY-MM-DD.md`, with the four logs under fixed headings.

The pages belong to people. The tool writes rows between its HTML-comment markers (a region: `<!-- runs:start -->` to
`<!-- runs:end -->`), and a note at the end of log 2 when it is asked to; everything else is kept byte for byte.

Writers are serialised by a lock on `worklog/.lock` and replace pages atomically: concurrent writers lose no
rows, and a killed process leaves the old page or the new one.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

from repro.files import storage_error, write_atomic
from repro.reading import UserError
from repro.tracking import locks

HEADINGS = (
    "## 1 Output I am working on",
    "## 2 Thinking aloud",
    "## 3 Runs in progress and the question each answers",
    "## 4 Results, by environment",
)
# The tables the tool keeps: columns by name of the region. A fourth region, `confused`, holds a list.
COLUMNS = {
    "hours": ("stage", "hours", "what"),
    "runs": ("run", "seed", "question", "started", "status"),
    "results": ("environment", "run", "seed", "question", "result", "curve", "status"),
}
RUNS = re.compile(r"^<!-- (runs|results):start -->.*?^<!-- \1:end -->", re.DOTALL | re.MULTILINE)  # their regions
CELL = r"(?:\\.|[^\\|])*"  # the text of a cell: a pipe in it is escaped


def page_path(root: Path, day: date | None = None) -> Path:
    """Where the page of a day (default: today) is, whether or not it exists yet."""
    return root / "worklog" / f"{day or date.today()}.md"


def list_pages(root: Path) -> list[Path]:
    """All pages, oldest first."""
    found = []
    for path in sorted((root / "worklog").glob("????-??-??.md")):
        with contextlib.suppress(ValueError):  # a file of the user's that looks like a page
            page_day(path)
            found.append(path)
    return found


def page_day(path: Path) -> date:
    """The day of a page."""
    return date.fromisoformat(path.stem)


def read_page(path: Path) -> str:
    """The text of a page, line endings as they are. Raises UserError if it is missing or not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start}); save the page as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def read_damaged(path: Path) -> list[str]:
    """The lines of a page without their endings, read as well as can be. Raises UserError if it is missing."""
    try:
        return path.read_bytes().decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a page with their endings. Raises UserError as `read_page` does."""
    return read_page(path).splitlines(keepends=True)


def replace_page(path: Path, lines: Sequence[str]) -> None:
    """Write a page, whole or not at all. Raises UserError."""
    write_atomic(path, "".join(lines).encode("utf-8"))


def locked(root: Path) -> AbstractContextManager[None]:
    """Hold the work log's lock; other processes wait. Raises UserError if the folder cannot be written."""
    folder = root / "worklog"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from None
    return locks.locked(folder / ".lock", leftovers=".*.md.*.tmp")


def empty_page(day: date, output: Sequence[str] = (), confused: Sequence[str] = ()) -> str:
    """The page of a day with its headings and regions; lines for log 1 and for the list of what does not add up."""
    parts = [
        f"# {day}",
        HEADINGS[0],
        *(["\n".join(output)] if output else []),
        "\n".join(_markers("hours")),
        HEADINGS[1],
        "\n".join(_markers("confused", *confused)),
        HEADINGS[2],
        "\n".join(_markers("runs", *_table_head("runs"))),
        HEADINGS[3],
        "\n".join(_markers("results", *_table_head("results"))),
    ]
    return "\n\n".join(parts) + "\n"


def find_line(page: Sequence[str], wanted: str, path: Path) -> int:
    """The number of a line that must stand there once. Raises UserError if the page has not kept it."""
    found = [number for number, line in enumerate(page) if line.rstrip() == wanted]
    if len(found) != 1:
        problem = "is missing" if not found else f"stands there {len(found)} times"
        raise UserError(f"{path}: the line '{wanted}' {problem}; put it back once (worklog/README.md shows a page)")
    return found[0]


def find_region(page: Sequence[str], region: str, path: Path) -> tuple[int, int]:
    """The line numbers of a region's two markers. Raises UserError if the page has not kept them."""
    start = find_line(page, f"<!-- {region}:start -->", path)
    end = find_line(page, f"<!-- {region}:end -->", path)
    between = page[start + 1 : end]
    if end < start or any(re.match(r"<!-- (hours|confused|runs|results):(start|end) -->", line) for line in between):
        raise UserError(f"{path}: <!-- {region}:end --> does not follow its start; put the markers back in order")
    return start, end


def with_row(
    page: list[str],
    region: str,
    row: str,
    path: Path,
    same: Callable[[str], bool] = lambda line: False,
    near: str | None = None,
) -> list[str]:
    """The page with a row in a region: in the place of the `same` one, after the last that starts with `near`, or last.

    Raises UserError if the region is damaged.
    """
    start, end = find_region(page, region, path)
    newline = newline_of(page[start])
    rows = page[start + 1 : end]
    if region in COLUMNS and not any(line.lstrip().startswith("|") for line in rows):
        rows += [line + newline for line in _table_head(region)]
    if any(same(line) for line in rows):
        rows = [row + newline if same(line) else line for line in rows]
    else:
        alike = [i for i, line in enumerate(rows) if near and line.startswith(near)]
        filled = [i for i, line in enumerate(rows) if line.strip()]
        rows.insert((alike or filled or [-1])[-1] + 1, row + newline)
    return page[: start + 1] + rows + page[end:]


def without_rows(page: list[str], region: str, path: Path, same: Callable[[str], bool]) -> list[str]:
    """The page without the `same` rows of a region. Raises UserError if the region is damaged."""
    start, end = find_region(page, region, path)
    return page[: start + 1] + [line for line in page[start + 1 : end] if not same(line)] + page[end:]


def without_rows_of_runs(text: str) -> str:
    """The text of a page without the rows that the tool writes for runs: what people wrote is left."""
    return RUNS.sub(_without_table, text)


def _without_table(region: re.Match[str]) -> str:
    return "\n".join(line for line in region[0].splitlines() if not line.lstrip().startswith("|"))


def read_cells(row: str) -> list[str]:
    """The texts of a table row's cells, as they were before `escape`."""
    cells = re.findall(rf"({CELL})\|", row.strip())[1:]
    return [re.sub(r"(\\+)([|<])", lambda match: match[1][: len(match[1]) // 2] + match[2], c.strip()) for c in cells]


def table_row(texts: Sequence[str]) -> str:
    """A row of cells, which were escaped."""
    return "| " + " | ".join(texts) + " |"


def escape(text: str) -> str:
    """One line that stays within its Markdown table cell: no bare pipes, no HTML."""
    return _backslash(r"\|", one_line(text))


def one_line(text: str) -> str:
    """One line without HTML, which could reach beyond it."""
    return _backslash(r"<(?=[/?a-zA-Z])", " ".join(printable(text).split()))


def printable(text: str) -> str:
    """Without control characters, lone surrogates, and HTML comments, which would hide the page's rest."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _backslash("<(?=!--)", re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text))


def _backslash(pattern: str, text: str) -> str:
    """A backslash before each match; those that stand before it already are doubled, as they would take it away."""
    return re.sub(rf"(\\*)({pattern})", lambda match: match[1] * 2 + "\\" + match[2], text)


def newline_of(line: str) -> str:
    """The line ending that the page uses."""
    return "\r\n" if line.endswith("\r\n") else "\n"


def _markers(region: str, *lines: str) -> list[str]:
    return [f"<!-- {region}:start -->", *lines, f"<!-- {region}:end -->"]


def _table_head(region: str) -> list[str]:
    columns = COLUMNS[region]
    return [table_row(columns), table_row(["---"] * len(columns))]
