"""The work log: one Markdown page a day, `worklog/YYYY-MM-DD.md`, with the four logs under fixed headings.

The pages belong to people. The tool writes table rows between its HTML-comment markers, and a note at
the end of log 2 when it is asked to; everything else is kept byte for byte. Each run has one row in the
whole log: in log 3 of the page of the day it (re)started while it is in progress, and from then on in log 4 of
the page of the day it ended, beside the question it answers.

Writers are serialised by a lock on `worklog/.lock` and replace pages atomically: concurrent runs lose no
rows, and a killed process leaves the old page or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from repro.config import UserError
from repro.files import write_atomic

HEADINGS = (
    "## 1 Output I am working on",
    "## 2 Thinking aloud",
    "## 3 Runs in progress and the question each answers",
    "## 4 Results, by environment",
)
# The tables the tool keeps: columns by name of the region; a row is known by its run column.
COLUMNS = {
    "runs": ("run", "seed", "question", "started"),
    "results": ("environment", "run", "seed", "question", "result", "status"),
}


def page_path(root: Path, day: date | None = None) -> Path:
    """Where the page of a day (default: today) is, whether or not it exists yet."""
    return Path(root) / "worklog" / f"{day or date.today()}.md"


def open_page(root: Path, day: date | None = None) -> Path:
    """The page of a day (default: today), created if it is missing. Raises UserError."""
    with _locked(root):
        return _ensure_page(root, day)


def read_page(path: Path) -> str:
    """The text of a page, line endings as they are. Raises UserError if it is missing or not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start}); save the page as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def enter_run(root: Path, record: dict[str, Any], day: date | None = None) -> None:
    """Put a run that starts, or is resumed, into log 3 of today's page.

    `record` is the content of its run.json: id, seed, question, started. Raises UserError if today's page has
    lost its markers (it is left as it is); the run itself need not stop for that.
    """
    _move_row(root, "runs", record, day)


def finish_run(root: Path, record: dict[str, Any], day: date | None = None) -> None:
    """Move a run that ended from log 3, on whichever page, to log 4 of the page of the day it ended.

    `record` is the content of its run.json: params.env.id, id, seed, question, result, status, ended.
    Finishing again replaces the row. Raises UserError as `enter_run` does.
    """
    if day is None and record.get("ended"):
        day = datetime.fromisoformat(record["ended"]).date()
    _move_row(root, "results", record, day)


def add_note(root: Path, text: str, now: datetime | None = None) -> Path:
    """Append `- HH:MM text` to log 2 of today's page; further lines are indented. Raises UserError."""
    lines = [_printable(line) for line in text.strip().splitlines()]
    if not any(lines):
        raise UserError('the note is empty; write it as: repro log add "what I am thinking"')
    now = now or datetime.now()
    with _locked(root):
        path = _ensure_page(root, now.date())
        page = read_page(path).splitlines(keepends=True)
        end = _find_line(page, HEADINGS[2], path)
        heading = _find_line(page[:end], HEADINGS[1], path)
        while not page[end - 1].strip():  # stops at the heading at the latest
            end -= 1
        newline = _newline(page[heading])
        note = [f"- {now:%H:%M} {lines[0]}", *(f"  {line}".rstrip() for line in lines[1:])]
        gap = [newline] if end - 1 == heading else []
        _replace(path, page[:end] + gap + [line + newline for line in note] + page[end:])
    return path


def _move_row(root: Path, region: str, record: dict[str, Any], day: date | None) -> None:
    """Write the run's row into one region of one page, then remove it from wherever else it stands."""
    run = record["id"]
    with _locked(root):
        path = _ensure_page(root, day)
        page = read_page(path).splitlines(keepends=True)
        other = next(name for name in COLUMNS if name != region)
        page = _without_row(_with_row(page, region, record, path), other, run, path)
        _replace(path, page)
        # Second, so that a process killed in between leaves the row twice rather than not at all.
        for old in sorted(path.parent.glob("????-??-??.md")):
            if old != path and f"[{run}](".encode() in old.read_bytes():
                page = read_page(old).splitlines(keepends=True)
                if any(_is_row(line, name, run) for line in page for name in COLUMNS):
                    for name in COLUMNS:
                        page = _without_row(page, name, run, old)
                    _replace(old, page)


def _with_row(page: list[str], region: str, record: dict[str, Any], path: Path) -> list[str]:
    """The page with the run's row in a region, in its old place if it had one."""
    start, end = _region(page, region, path)
    newline = _newline(page[start])
    cells = _cells(record)
    row = "| " + " | ".join(cells[column] for column in COLUMNS[region]) + " |" + newline
    rows = page[start + 1 : end]
    if not any(line.lstrip().startswith("|") for line in rows):
        rows += [line + newline for line in _table_head(region)]
    if any(_is_row(line, region, record["id"]) for line in rows):
        rows = [row if _is_row(line, region, record["id"]) else line for line in rows]
    else:
        alike = [i for i, line in enumerate(rows) if line.startswith(f"| {cells['environment']} |")]
        last = max(i for i, line in enumerate(rows) if line.lstrip().startswith("|"))
        rows.insert((alike[-1] if region == "results" and alike else last) + 1, row)
    return page[: start + 1] + rows + page[end:]


def _without_row(page: list[str], region: str, run: str, path: Path) -> list[str]:
    start, end = _region(page, region, path)
    kept = [line for line in page[start:end] if not _is_row(line, region, run)]
    return page[:start] + kept + page[end:]


def _region(page: list[str], region: str, path: Path) -> tuple[int, int]:
    """The line numbers of a region's two markers. Raises UserError if the page has not kept them."""
    start = _find_line(page, f"<!-- {region}:start -->", path)
    end = _find_line(page, f"<!-- {region}:end -->", path)
    if end < start or any(re.match(r"<!-- (runs|results):(start|end) -->", line) for line in page[start + 1 : end]):
        raise UserError(f"{path}: <!-- {region}:end --> does not follow its start; put the markers back in order")
    return start, end


def _find_line(page: list[str], wanted: str, path: Path) -> int:
    found = [number for number, line in enumerate(page) if line.rstrip() == wanted]
    if len(found) != 1:
        problem = "is missing" if not found else f"stands there {len(found)} times"
        raise UserError(f"{path}: the line '{wanted}' {problem}; put it back once (worklog/README.md shows a page)")
    return found[0]


def _is_row(line: str, region: str, run: str) -> bool:
    """Whether a line is the run's row: its run column links to the run; a pipe in a cell is escaped."""
    before = r"(?:\\.|[^\\|])*\|" * COLUMNS[region].index("run")
    return re.match(rf"\s*\|{before}\s*\[{re.escape(run)}\]\(", line) is not None


def _cells(record: dict[str, Any]) -> dict[str, str]:
    """The text of every column for a run."""
    run = record["id"]
    texts = {
        "seed": record.get("seed"),
        "question": record.get("question") or "not stated",
        "started": (record.get("started") or "")[:16].replace("T", " "),
        "environment": (record.get("params") or {}).get("env", {}).get("id", "unknown"),
        "result": record.get("result"),
        "status": record.get("status"),
    }
    cells = {name: _escape("" if text is None else str(text)) for name, text in texts.items()}
    return cells | {"run": f"[{run}](../runs/{run})"}


def _escape(text: str) -> str:
    """One line that stays within its Markdown table cell: no bare pipes, no HTML."""
    text = re.sub(r"<(?=[/?a-zA-Z])", r"\\<", " ".join(_printable(text).split()))
    return re.sub(r"(\\*)\|", lambda match: match[1] * 2 + r"\|", text)


def _printable(text: str) -> str:
    """Without control characters, lone surrogates, and HTML comments, which would hide the page's rest."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text).replace("<!--", r"\<!--")


def _table_head(region: str) -> list[str]:
    columns = COLUMNS[region]
    return ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]


def _ensure_page(root: Path, day: date | None) -> Path:
    path = page_path(root, day)
    if not path.exists():
        parts = [f"# {path.stem}", *HEADINGS[:3], _empty_table("runs"), HEADINGS[3], _empty_table("results")]
        _replace(path, ["\n\n".join(parts) + "\n"])
    return path


def _empty_table(region: str) -> str:
    return "\n".join([f"<!-- {region}:start -->", *_table_head(region), f"<!-- {region}:end -->"])


def _newline(line: str) -> str:
    return "\r\n" if line.endswith("\r\n") else "\n"


def _replace(path: Path, lines: list[str]) -> None:
    write_atomic(path, "".join(lines).encode("utf-8"))


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the work log's lock; other processes wait."""
    folder = Path(root) / "worklog"
    try:
        folder.mkdir(exist_ok=True)
        with open(folder / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in folder.glob(".*.md.*.tmp"):  # half-written by a killed process: nobody else writes now
                leftover.unlink()
            yield
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror}; the work log needs a writable folder") from None
