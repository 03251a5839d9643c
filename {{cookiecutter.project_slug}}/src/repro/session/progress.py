"""How training goes, for a person: a progress bar on a terminal, a line now and then without one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column
from rich.text import Text

from repro.terminal.text import describe_steps

SECONDS_BETWEEN_LINES = 15.0

# What is shown of a row, if it is there: metric, label, format.
SHOWN = (
    ("return/score", "score", ".2f"),
    ("return/mean", "return", ".1f"),
    ("reward_model/accuracy_val", "accuracy", ".0%"),
    ("preferences/labels", "labels", ".0f"),
    ("policy/entropy", "entropy", ".2f"),
)


class _WholeEntries:
    """As many of the first entries as there is room for; none is cut in two."""

    def __init__(self, entries: list[str]) -> None:
        self.texts = [" · ".join(entries[:count]) for count in range(len(entries) + 1)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text([text for text in self.texts if len(text) <= options.max_width][-1], no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(0, len(self.texts[-1]))


class _EntriesColumn(ProgressColumn):
    def render(self, task: Task) -> Any:
        return _WholeEntries(task.fields["shown"])


class Progress:
    """Agent steps done of `total`, with rate, time left and a few metrics."""

    def __init__(self, total: int, done: int):
        self.total, self.first = total, done
        self.shown: dict[str, str] = {}
        self.started = time.monotonic()
        self.next_line = self.started + SECONDS_BETWEEN_LINES
        self.bar: Bar | None = None
        if sys.stdout.isatty():
            columns = (
                TextColumn("{task.fields[done]}", table_column=Column(min_width=len(f"{total:,}/{total:,}"))),
                BarColumn(bar_width=12),
                TextColumn("{task.fields[rate]}", table_column=Column(min_width=7)),
                TimeRemainingColumn(compact=True, table_column=Column(min_width=5)),
                _EntriesColumn(table_column=Column(ratio=1)),
            )
            self.bar = Bar(*columns, console=Console(file=sys.stdout), expand=True)
            self.task = self.bar.add_task(
                "", total=total, completed=done, done=self._steps(done), rate="", shown=["starting"]
            )

    def __enter__(self) -> Progress:
        if self.bar:
            self.bar.start()
        else:
            print(f"training: {self.first:,} of {self.total:,} steps", flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def update(self, row: dict[str, Any]) -> None:
        """Show the state after a rollout."""
        for name, label, form in SHOWN:
            if name in row:
                self.shown[label] = f"{label} {row[name]:{form}}"
        done = row["env_step"]  # the last rollout may go beyond the total
        rate = (done - self.first) / max(time.monotonic() - self.started, 1e-9)
        shown = [self.shown[label] for _, label, _ in SHOWN if label in self.shown]
        if self.bar:
            self.bar.update(self.task, completed=done, done=self._steps(done), rate=f"{rate:,.0f}/s", shown=shown)
        elif time.monotonic() >= self.next_line or done >= self.total:
            left = max(0, self.total - done) / max(rate, 1e-9)
            print(
                f"{describe_steps(done, self.total)} · {rate:,.0f}/s · {left:,.0f} s left · {' · '.join(shown)}",
                flush=True,
            )
            self.next_line = time.monotonic() + SECONDS_BETWEEN_LINES

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Say on the bar what else takes its time, while it lasts."""
        if not self.bar:
            yield
            return
        before = self.bar.tasks[self.task].fields["shown"]
        self.bar.update(self.task, shown=[what], refresh=True)
        yield
        self.bar.update(self.task, shown=before)

    def _steps(self, done: int) -> str:
        return f"{done:,}/{self.total:,}"

    def note(self, text: str) -> None:
        """Print a line without disturbing the bar."""
        if self.bar:
            self.bar.console.print(text, highlight=False, markup=False)
        else:
            print(text, flush=True)
