"""Processes that write to a work log at once, or are killed while they do. A program: forking needs no threads.

python worklog_processes.py kill FOLDER TIMES      python worklog_processes.py together FOLDER PROCESSES
"""

import json
import os
import random
import re
import signal
import sys
import time
from datetime import date, datetime, timedelta
from pathlib import Path

from worklog_examples import archived, ended, ids, record, region

from repro.worklog import entries
from repro.worklog.confusions import read_confusions
from repro.worklog.pages import list_pages, page_path

FIRST = date(2026, 11, 23)


def write_things(root: Path, name: str, day: date, rounds: int, done) -> None:
    """Some of everything, under names of its own; tells what is done after each thing."""
    for number in range(rounds):
        own = f"{name}.{number}"
        entries.add_note(root, f"note {own} end", datetime(day.year, day.month, day.day, 9))
        done("note", own)
        run = f"run_{own}"
        entries.enter_run(root, archived(root, record(run)), day)
        done("entered", own)
        entries.add_confusion(root, f"odd {own} end", day)
        done("confused", own)
        entries.add_hours(root, 0.01, "debugging", f"hours {own} end", day)
        done("hours", own)
        if number % 2:
            entries.enter_result(root, archived(root, ended(run, ended=f"{day}T10:00:00")), day)
            done("finished", own)


def start(root: Path, name: str, day: date, rounds: int) -> tuple[int, int]:
    """A process that writes things, and the end of a pipe on which it tells what is done."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            write_things(root, name, day, rounds, lambda *what: os.write(writer, json.dumps(what).encode() + b"\n"))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    return pid, reader


def read_done(reader: int) -> set[tuple[str, str]]:
    with os.fdopen(reader) as pipe:
        return {tuple(json.loads(line)) for line in pipe}


def check(root: Path, done: set[tuple[str, str]]) -> None:
    """All that was done stands in the log, once; nothing else does twice."""
    pages = list_pages(root)
    text = "\n".join(path.read_text() for path in pages)
    written = re.findall(r"^- 09:00 note (\S+) end$", text, re.M)
    booked = [row for path in pages for row in region(path, "hours") if "hours " in row and " end |" in row]
    assert len(written) == len(set(written)) and {own for what, own in done if what == "note"} <= set(written)
    hours = [re.search(r"hours (\S+) end", row)[1] for row in booked]
    assert len(hours) == len(set(hours)) and {own for what, own in done if what == "hours"} <= set(hours)
    assert len(entries.read_hours(root)) == len(hours)

    running = [run for path in pages for run in ids(path, "runs")]
    results = [run for path in pages for run in ids(path, "results")]
    assert len(set(running + results)) == len(running + results)
    assert not any(ids(path, "runs") for path in pages[:-1])  # they came along
    entered = {f"run_{own}" for what, own in done if what == "entered"}
    over = {f"run_{own}" for what, own in done if what == "finished"}
    assert entered - set(results) <= set(running) and over <= set(results)
    for run in running + results:
        status = json.loads((root / "runs" / run / "run.json").read_text())["status"]
        assert (status == "finished") == (run in results), run

    known = read_confusions(root)
    odd = [re.fullmatch(r"odd (\S+) end", found.text)[1] for found in known.values()]
    assert len(odd) == len(set(odd)) and {own for what, own in done if what == "confused"} <= set(odd)
    for path in pages:
        numbers = re.findall(r"^- \[.\] (C\d+) ", path.read_text(), re.M)
        assert len(numbers) == len(set(numbers))
    assert list(known) == list(range(1, len(known) + 1))
    opened = [found.line for found in known.values() if not found.resolved]
    assert region(pages[-1], "confused") == opened


def kill(root: Path, times: int) -> None:
    """Kill a writer at random moments; after each, a command as a user would give it, and all is as it should be."""
    moments = random.Random(0)
    done: set[tuple[str, str]] = set()
    for attempt in range(times):
        day = FIRST + timedelta(days=attempt // 5)
        pid, reader = start(root, str(attempt), day, 10_000)
        time.sleep(moments.uniform(0, 0.06))
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
        done |= read_done(reader)
        assert entries.open_page(root, day) == page_path(root, day)
        check(root, done)
        assert sorted(path.name for path in (root / "worklog").glob(".*")) == [".lock"]
    print(len(done))


def together(root: Path, processes: int) -> None:
    """Let many write at once."""
    children = [start(root, str(number), FIRST, 2) for number in range(processes)]
    done = set().union(*(read_done(reader) for _, reader in children))
    assert [os.waitpid(pid, 0)[1] for pid, _ in children] == [0] * processes
    assert len(done) == 9 * processes
    entries.open_page(root, FIRST)
    check(root, done)
    print(len(done))


if __name__ == "__main__":
    {"kill": kill, "together": together}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
