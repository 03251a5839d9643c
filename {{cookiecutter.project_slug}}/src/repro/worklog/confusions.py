"""What does not add up, in the log: `- [ ] C3 (2026-11-20) text`, on every page until its box is ticked on one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from repro.worklog.pages import list_pages, page_day, read_damaged

LINE = re.compile(r"[-*+] \[(?P<box>[ xX])\] C(?P<number>\d{1,9}) \((?P<opened>\d{4}-\d\d-\d\d)\)(?: (?P<text>.*))?")


@dataclass(frozen=True)
class Confusion:
    """One of the log's confusions. `text` is as on the latest page that it stands on; of a resolved one, there."""

    number: int
    opened: str  # ISO date
    text: str
    resolved: date | None  # the day of the page on which its box is ticked

    @property
    def name(self) -> str:
        """What it is called: C3."""
        return f"C{self.number}"

    @property
    def line(self) -> str:
        """Its line on a page while it is open."""
        return f"- [ ] {self.name} ({self.opened}) {self.text}".rstrip()


def parse_line(line: str) -> Confusion | None:
    """The confusion on a line, if it holds one; `resolved` is `date.min` where the box is ticked: lines know no day."""
    match = LINE.fullmatch(line.rstrip())
    if match is None:
        return None
    ticked = match["box"] != " "
    return Confusion(int(match["number"]), match["opened"], match["text"] or "", date.min if ticked else None)


def read_confusions(root: Path, before: Path | None = None) -> dict[int, Confusion]:
    """All confusions of the log by number, those on pages earlier than `before`; ticked on any page is resolved.

    Damaged pages are read as well as can be: what does not add up is not to be lost.
    """
    known: dict[int, Confusion] = {}
    ticked: dict[int, Confusion] = {}
    for path in list_pages(root):
        for line in read_damaged(path):
            found = parse_line(line)
            if found is None:
                continue
            if found.resolved:
                ticked.setdefault(found.number, replace(found, resolved=page_day(path)))
            if before is None or path < before:
                known[found.number] = found
    return {number: ticked.get(number, found) for number, found in sorted(known.items())}
