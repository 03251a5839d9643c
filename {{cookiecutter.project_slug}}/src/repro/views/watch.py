"""`repro watch`: progress of the runs that are running, and word when one ends or needs a person."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from repro.reading import UserError
from repro.terminal.text import describe_steps, format_count, plain
from repro.tracking.archive import RunFolder, effective_status, is_live
from repro.tracking.durations import format_hours
from repro.tracking.index import list_summaries, without_copies
from repro.views.follow import Event, FollowedRun

LOOK_SECONDS = 0.5  # between looks at the runs that are followed
RESCAN_SECONDS = 5.0  # ... and at all runs, for those that have been started since
LOOK_SHARE = 20  # ... and so many times what a look took, so that many runs are not slowed down by it
LINES_SECONDS = 15.0  # between lines without a terminal
FEW = 12  # runs; of more than these, without a terminal, those that run have a line
SHOWN_FIRST = {"running": 0, "queued": 2, "finished": 3}  # by status, where there is no room for all; 1: of the others
COMMAND_SECONDS = 30.0  # for the user's command
WIDE = 120  # columns


class Watch:
    """Runs that are followed; without `runs`, all that are running, and those that will."""

    def __init__(self, root: Path, runs: Sequence[RunFolder], command: str | None, console: Console) -> None:
        self.root, self.console = root, console
        self.command = split_command(command) if command is not None else None
        self.followed = {run.id: FollowedRun(run.path) for run in runs}
        self.all = not runs
        self.next_scan = 0.0

    def look(self) -> list[Event]:
        """What has happened to any of the runs since the last look."""
        if self.all and time.monotonic() >= self.next_scan:
            for summary in without_copies(list_summaries(self.root)):
                known = summary["id"] in self.followed or summary["status"] == "unreadable"
                if not known and is_live(effective_status(summary)):
                    with suppress(UserError):  # deleted this very moment
                        self.followed[summary["id"]] = FollowedRun(self.root / "runs" / summary["id"])
            self.next_scan = time.monotonic() + RESCAN_SECONDS
        return [event for run in self.followed.values() for event in run.look()]

    def until_all_end(self, going_on: Callable[[], bool] = lambda: False) -> int:
        """Show progress and tell of events until no run is live. Returns 0 if all have finished, else 1.

        While something is `going_on`, more of them may be started, or started again.
        """
        next_lines = 0.0
        with Live(console=self.console, auto_refresh=False) if self.console.is_terminal else nullcontext() as live:
            while True:
                more, began = going_on(), time.monotonic()
                events = self.look()
                took = time.monotonic() - began  # before anybody is told: the user's command takes as long as it likes
                self._tell(events)
                ended = not more and not any(run.live for run in self.followed.values())
                if live:
                    live.update(self.screen(ended), refresh=True)
                elif ended or time.monotonic() >= next_lines:
                    few = ended or len(self.followed) <= FEW
                    self.print_lines([run for run in self.followed.values() if few or run.status == "running"])
                    next_lines = time.monotonic() + LINES_SECONDS
                if ended:
                    return 0 if all(run.status == "finished" for run in self.followed.values()) else 1
                time.sleep(max(LOOK_SECONDS, LOOK_SHARE * took))

    def show_once(self) -> int:
        """Show how things stand. Returns 0."""
        self.look()
        if self.console.is_terminal and self.followed:
            self.console.print(self.table(list(self.followed.values())))
        else:
            self.print_lines(list(self.followed.values()))
        return 0

    def print_lines(self, runs: Sequence[FollowedRun]) -> None:
        """A line for each of `runs`, after one for all if they are many: without a terminal."""
        if len(self.followed) > FEW:
            self.console.print(self._all_in_a_line(), soft_wrap=True)
        for run in runs:
            steps = f"{describe_steps(run.step, run.total_steps)} ({_share(run)})"
            parts = [f"{run.id}: seed {run.record['seed']}", steps]
            if run.live and run.steps_per_second:
                parts += [f"{run.steps_per_second:,.0f}/s", f"{_left(run)} left"]
            if "return/mean" in run.latest:
                parts.append(f"return {run.latest['return/mean']:.4g}")
            parts += [run.status, _health(run)]
            self.console.print(Text(" · ".join(parts)), soft_wrap=True)

    def screen(self, ended: bool) -> Group:
        """All runs once they have `ended`; before, those that there is room for, and a line for all."""
        runs = list(self.followed.values())
        if not ended:
            room = max(1, self.console.height - 3)  # the table's head, the line for all, and the cursor's
            shown = sorted(runs, key=lambda run: SHOWN_FIRST.get(run.status, 1))[:room]  # in their order otherwise
            runs = [run for run in runs if run in shown]
        return Group(self.table(runs), *([self._all_in_a_line()] if len(self.followed) > 1 else []))

    def _all_in_a_line(self) -> Text:
        """How many runs there are of each status, and how long those that are left take at the present pace."""
        runs = list(self.followed.values())
        counts = Counter(run.status for run in runs)
        parts = [f"{len(runs)} runs: " + ", ".join(f"{count} {status}" for status, count in counts.items())]
        steps = sum(max(0, run.total_steps - run.step) for run in runs if run.live)
        if rate := sum(run.steps_per_second or 0 for run in runs if run.status == "running"):
            parts += [f"{rate:,.0f}/s", f"{format_hours(steps / rate / 3600)} left"]
        return Text(" · ".join(parts))

    def table(self, runs: Sequence[FollowedRun]) -> Table:
        """These runs, for a terminal of any width."""
        wide = self.console.width >= WIDE
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("run", no_wrap=True)
        for column in ("seed", "steps", "%", "steps/s", "left", "return"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("health", overflow="fold")
        if wide:
            table.add_column("question", no_wrap=True, overflow="ellipsis")
        for run in runs:
            health = _health(run)
            cells: list[Text | str] = [
                Text(run.id if wide else run.id.rpartition("_")[2]),  # either is enough for other commands
                str(run.record["seed"]),
                f"{format_count(run.step)}/{format_count(run.total_steps)}",
                _share(run),
                f"{run.steps_per_second:,.0f}" if run.live and run.steps_per_second else "",
                _left(run) if run.live else run.status,
                f"{run.latest['return/mean']:.4g}" if "return/mean" in run.latest else "",
                Text(health, style="" if health == "ok" else "bold red"),
            ]
            if wide:
                cells.append(Text(plain(run.record.get("question") or "")))
            table.add_row(*cells)
        return table

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            bad = event.name != "finished"
            line = f"{datetime.now():%H:%M:%S} {event.name}: {event.run}: {event.text}"
            self.console.print(Text(line, style="bold red" if bad else "bold green"), soft_wrap=True)
            if self.console.is_terminal:
                self.console.bell()
            if self.command and (problem := run_command(self.command, event)):
                self.console.print(Text(f"warning: --command: {problem}"), soft_wrap=True)


def split_command(command: str) -> list[str]:
    """The words of a command; no shell is involved. Raises UserError if there is no such program."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"--command {command}: {error}; close the quotes") from None
    if not words:
        raise UserError('--command: is empty; write a command, e.g. --command "notify-send training"')
    if shutil.which(words[0]) is None:
        raise UserError(f"--command {command}: no program {words[0]!r} is found; give its path, and no shell syntax")
    return words


def run_command(words: Sequence[str], event: Event) -> str | None:
    """Run the user's command for an event, which it finds in its environment. Returns what went wrong, if anything."""
    environment = os.environ | {"REPRO_RUN": event.run, "REPRO_EVENT": event.name, "REPRO_TEXT": event.text}
    try:
        done = subprocess.run(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {COMMAND_SECONDS:.0f} s and was stopped"
    except OSError as error:
        return f"could not be started: {error.strerror}"
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        return f"failed with exit code {done.returncode}: {plain(last)}"
    return None


def _share(run: FollowedRun) -> str:
    return f"{min(1.0, run.step / run.total_steps):.0%}"


def _left(run: FollowedRun) -> str:
    if run.status == "queued":
        return "queued"
    return "?" if run.seconds_left is None else format_hours(run.seconds_left / 3600)


def _health(run: FollowedRun) -> str:
    problems = list(run.findings)
    if run.live and run.labels_awaited:
        problems.append(f"waits for {run.labels_awaited} labels")
    elif run.live and run.stalled:
        problems.append("stalled")
    return ", ".join(problems) or "ok"
