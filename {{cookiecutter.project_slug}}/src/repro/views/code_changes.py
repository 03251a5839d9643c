"""Which files differ between the code of two runs, as their snapshots have it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from repro.terminal.text import plain
from repro.tracking.snapshot import read_code, snapshot_path


@dataclass(frozen=True)
class FileChange:
    """A file that differs. `diff` is a unified one; empty for what is not text."""

    name: str
    diff: list[str]

    def __str__(self) -> str:
        if not self.diff:
            return "not text"
        before, after, *lines = self.diff
        added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
        kind = "new, " if before.endswith("/dev/null") else "deleted, " if after.endswith("/dev/null") else ""
        return f"{kind}+{added} -{removed}"


def changed_files(root: Path, one: str, other: str) -> list[FileChange]:
    """The files that differ between the snapshots with these code hashes. Raises UserError if one is gone."""
    before, after = (read_code(snapshot_path(root, code)) for code in (one, other))
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return [FileChange(plain(name), _diff(name, before.get(name), after.get(name))) for name in names]


def _diff(name: str, before: bytes | None, after: bytes | None) -> list[str]:
    try:
        old, new = ((content or b"").decode().splitlines() for content in (before, after))
    except UnicodeDecodeError:
        return []
    old_name = "/dev/null" if before is None else f"a/{name}"
    new_name = "/dev/null" if after is None else f"b/{name}"
    return list(difflib.unified_diff(old, new, old_name, new_name, lineterm=""))
