"""Tables of runs: complete where there is room, readable at 80 columns, harmless whatever was typed into them."""

import re
import time
from datetime import datetime, timedelta

import pytest
from archive_examples import record

from repro.tracking.index import summarise
from repro.views.listing import format_runs


def table(*records, columns=None):
    return format_runs([summarise(record) for record in records], columns)


def test_without_a_terminal_a_run_is_one_line_with_everything():
    lines = table(record(), record("8f3a", seed=5)).split("\n")
    assert len(lines) == 3
    assert lines[0].split() == ["run", "status", "seed", "steps", "time", "score", "result", "question"]
    for part in ("2026-11-21_moving-dot_7f3a", "finished", "100", "1.5M", "1.25 h", record()["result"]):
        assert part in lines[1]
    assert lines[1].endswith(record()["question"])
    assert "\x1b" not in lines[1]
    column = lines[0].index("question")
    assert all(line[column:].startswith(("question", "Does")) for line in lines)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width):
    rows = [
        record(),
        record("9f3a", question="長い質問 " * 30, result="🤖" * 80),
        record("af3a", skip_reason="in a hurry", question=None, result=None),
    ]
    lines = table(*rows, columns=width).split("\n")
    columns = [sum(2 if ord(letter) > 0x2E80 else 1 for letter in line) for line in lines]
    assert max(columns) <= width
    text = "\n".join(lines)
    assert "finished" in text and "1.25 h" in text and "gate skipped: in a hurry" in text
    if width != 120:
        assert record()["question"] in text and record()["result"] in text
    if width == 200:
        assert len(lines) == 4


def test_the_steps_done_win_over_those_planned():
    assert " 1.23k " in table(record(result_metrics={"env_step": 1234}))
    assert " 999 " in table(record(result_metrics={"env_step": 999}))


@pytest.mark.parametrize(("minutes", "shown"), [(0.5, "30 s"), (2.5, "2.5 min"), (600, "10.00 h")])
def test_durations(minutes, shown):
    assert f" {shown} " in table(record(minutes=minutes))


def test_a_running_one_counts_from_its_last_start():
    started = (datetime.now().astimezone() - timedelta(days=3)).isoformat()
    resumed = [(datetime.now().astimezone() - timedelta(seconds=3)).isoformat()]
    fields = {"status": "running", "started": started, "resumed": resumed, "exit_code": None}
    text = table(record(minutes=60, **fields))
    assert " running " in text and " 1.00 h " in text
    assert re.search(r" [34](\.\d)? s ", table(record(minutes=0, **fields)))
    future = (datetime.now().astimezone() + timedelta(hours=2)).isoformat()  # the clock was set back
    assert " 2.0 min " in table(record(minutes=2, **fields | {"resumed": [future]}))


def test_crashed_and_far_away():
    crashed = table(record(minutes=1, status="running", process_start="tick 1"))
    assert " crashed " in crashed and " 1.0 min " in crashed
    assert "  running on 3f2a[2J  " in table(record(status="running", host="3f2a\x1b[2J"))


def test_control_characters_reach_no_terminal():
    hostile = "\x1b[2Jcleared\x07\nsecond line\r over \u202egnirts"
    text = table(record(question=hostile, result=hostile))
    assert not set("\x1b\x07\r\u202e") & set(text) and text.count("second line over") == 2
    assert len(text.split("\n")) == 2


def test_an_unreadable_one():
    unreadable = {"id": "2026-11-21_dot_0000", "status": "unreadable"}
    text = format_runs([unreadable, summarise(record())], columns=80)
    assert "2026-11-21_dot_0000" in text and "run.json is missing or damaged" in text


def test_thousands_of_runs_take_less_than_a_second():
    rows = [summarise(record(f"{index:04x}", question="ü" * 50, status="running")) for index in range(5000)]
    start = time.process_time()
    format_runs(rows, columns=200)
    assert time.process_time() - start < 1
