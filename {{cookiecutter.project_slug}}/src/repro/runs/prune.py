"""What may be deleted of old runs to make room: checkpoints to resume from, and videos.

Only runs that finished, and to which nothing refers: no claim, no tracked result, nothing that a person wrote into the
work log. Everything else of a run stays: run.json, metrics.jsonl, its labels, the final networks.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.files import storage_error
from repro.reading import UserError
from repro.terminal.text import counted
from repro.tracking.archive import CHECKPOINT, Record, read_run
from repro.tracking.durations import timestamp
from repro.tracking.locks import hold_run
from repro.worklog.pages import without_rows_of_runs

VIDEOS = "videos"


@dataclass(frozen=True)
class Prunable:
    """Files of one run that may be deleted, relative to its folder, and the bytes that this frees."""

    path: Path
    files: tuple[str, ...]
    size: int


def find_prunable(root: Path, summaries: Iterable[Record], older_than: float) -> list[Prunable]:
    """What may be deleted of those of the runs that finished more than so many days ago; the largest first.

    Raises UserError if what may refer to a run cannot be read.
    """
    before = time.time() - 86400 * older_than
    words = _words_of_people(root)
    found = []
    for run in summaries:
        old = run["status"] == "finished" and 0 < timestamp(run["ended"]) < before
        if old and not _words(run["id"].rpartition("_")[2]) <= words:
            found += _prunable(root / "runs" / run["id"])
    return sorted(found, key=lambda each: (-each.size, each.path))


def format_proposal(found: Sequence[Prunable], older_than: float) -> str:
    """The proposal as text: size, run and files of each, and the total."""
    if not found:
        return f"nothing to delete: no checkpoints or videos of runs that finished more than {older_than:g} days ago"
    lines = [f"{format_size(each.size):>9}  {each.path.name}  {', '.join(each.files)}" for each in found]
    return "\n".join([*lines, f"{format_size(sum(each.size for each in found)):>9}  in all"])


def delete(found: Sequence[Prunable]) -> str:
    """Delete the files; run.json says which under `pruned`. Returns what was freed. Raises UserError."""
    for each in found:
        lock = hold_run(each.path)
        try:
            run = read_run(each.path)
            run.update(pruned=sorted({*run.record.get("pruned", []), *each.files}))  # first: it is never a riddle
            for name in each.files:
                (each.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(Path(error.filename or each.path), error) from None
        finally:
            os.close(lock)
    return f"{format_size(sum(each.size for each in found))} of {counted(len(found), 'run')}"


def format_size(size: float) -> str:
    """1.2 GB, in powers of a thousand as disks are sold."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _prunable(path: Path) -> list[Prunable]:
    """What may be deleted of this run, if anything; links, and all that lies behind one, are left alone."""
    candidates = [path / CHECKPOINT, *sorted((path / VIDEOS).rglob("*"))]
    files = [file for file in candidates if file.is_file() and not _leads_out(path, file)]
    names = tuple(str(file.relative_to(path)) for file in files)
    return [Prunable(path, names, sum(file.stat().st_size for file in files))] if files else []


def _leads_out(folder: Path, file: Path) -> bool:
    """Whether the way from the folder of a run to a file in it goes through a link, or ends in one."""
    parts = file.relative_to(folder).parts
    return any(folder.joinpath(*parts[:depth]).is_symlink() for depth in range(1, len(parts) + 1))


def _words_of_people(root: Path) -> set[str]:
    """All words of claims, tracked results and the work log but for its tables of runs: there a code refers to a run.

    A code that happens to be a number there keeps a run that nobody meant, which does no harm. Raises UserError.
    """
    words: set[str] = set()
    for file in _files_that_refer(root):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror}), and may refer to a run") from None
        words |= _words(without_rows_of_runs(text))
    return words


def _words(text: str) -> set[str]:
    """In small letters. The code of a run is one; a folder that somebody renamed may have several."""
    return set(re.findall(r"[^\W_]+", text.lower()))


def _files_that_refer(root: Path) -> Iterator[Path]:
    if (root / "paper/claims.yaml").exists():
        yield root / "paper/claims.yaml"
    yield from (root / "results/cells").rglob("*.json")
    yield from (root / "worklog").glob("*.md")
