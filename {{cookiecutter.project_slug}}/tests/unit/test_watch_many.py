"""`repro watch` of more runs than there is room for, as those of a launch are."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from types import SimpleNamespace

import pytest
from archive_examples import CONFIG, new_run
from rich.console import Console

from repro.tracking.archive import finish_run, read_run
from repro.tracking.locks import hold_run
from repro.views import watch
from repro.views.follow import Event
from repro.views.watch import Watch


@pytest.fixture
def runs(repository):
    """Of twenty, 100 and 101 have finished, 103 has failed, and 104 and 119 are running."""
    runs = [new_run(repository, config=CONFIG | {"training": {"total_steps": 2560}}, seed=100 + i) for i in range(20)]
    for run in runs:
        run.update(status="queued")
    for index, status in ((0, "finished"), (1, "finished"), (3, "failed")):
        finish_run(runs[index], status, 0)
    for index in (4, 19):
        runs[index].update(status="running")
        rows = [{"env_step": 256 * second, "time/wall": second} for second in (1, 2)]
        (runs[index].path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [read_run(run.path) for run in runs]


def lines(console):
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def seeds(shown):
    return [line.split()[1] for line in shown if line.split()[1:2] and line.split()[1].isdigit()]


def instead_of_sleeping(monkeypatch, do):
    """In this module alone: a thread that another test has left may sleep as well."""
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=time.monotonic, sleep=do))


def test_a_low_terminal_has_those_that_run_then_those_that_need_a_person(repository, runs):
    console = Console(file=io.StringIO(), force_terminal=True, width=90, height=8, no_color=True)
    watching = Watch(repository, runs, None, console)
    console.print(watching.screen(ended=False))
    shown = lines(console)
    assert len(shown) == 7 and seeds(shown[:-1]) == ["102", "103", "104", "105", "119"]
    left = (15 * 2560 + 2 * (2560 - 512)) // 512
    assert shown[-1].startswith("20 runs: ") and shown[-1].endswith(f"· 512/s · {left / 60:.1f} min left")
    console.file = io.StringIO()
    console.print(watching.screen(ended=True))
    assert len(seeds(lines(console)[:-1])) == 20


def test_without_a_terminal_those_that_run_have_a_line_and_at_the_end_all(repository, runs, monkeypatch):
    console = Console(file=io.StringIO(), width=90)
    watching = Watch(repository, runs, None, console)
    looks = []

    def stop_all(seconds):
        looks.append(len(lines(console)))
        for run in runs:
            finish_run(run, "finished", 0)

    instead_of_sleeping(monkeypatch, stop_all)
    assert watching.until_all_end() == 0
    first, last = lines(console)[: looks[0]], lines(console)[-20:]
    assert [line.split(" · ")[0][-3:] for line in first[1:]] == ["104", "119"] and first[0].startswith("20 runs: ")
    assert [line.split(" · ")[0][-3:] for line in last] == [str(100 + i) for i in range(20)]


def test_the_next_look_comes_later_the_longer_a_look_takes_whatever_the_command_took(repository, runs, monkeypatch):
    watching, clock, slept = Watch(repository, [runs[4]], "true", Console(file=io.StringIO())), [0.0], []
    lasts = iter([0.0, 1.0, 0.0])  # seconds that a look takes

    def look():
        clock[0] += next(lasts)
        if len(slept) == 2:
            finish_run(runs[4], "finished", 0)
        return [*watching.followed[runs[4].id].look(), Event(runs[4].id, "unhealthy", "")]

    def command(words, event):
        clock[0] += 30.0

    monkeypatch.setattr(watching, "look", look)
    monkeypatch.setattr(watch, "run_command", command)
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=slept.append))
    assert watching.until_all_end() == 0
    assert slept == [watch.LOOK_SECONDS, watch.LOOK_SHARE * 1.0]


def test_the_copy_of_a_folder_is_not_followed(repository, runs):
    shutil.copytree(runs[4].path, runs[4].path.with_name(f"{runs[4].id}.bak"))
    watching = Watch(repository, [], None, Console(file=io.StringIO()))
    watching.look()
    assert runs[4].id in watching.followed and f"{runs[4].id}.bak" not in watching.followed


def test_nobody_waits_for_a_run_that_another_host_lost(repository, runs, monkeypatch):
    console = Console(file=io.StringIO(), width=90)
    lost = runs[4]
    lost.update(host="another-machine", started="2020-01-01T10:00:00+01:00")
    lock = hold_run(lost.path)
    instead_of_sleeping(monkeypatch, lambda seconds: os.close(lock))
    assert Watch(repository, [lost], None, console).until_all_end() == 1
    assert any(f"crashed: {lost.id}" in line for line in lines(console))
