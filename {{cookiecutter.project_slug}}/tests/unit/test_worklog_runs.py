"""The rows of runs in the work log: they enter and leave by themselves, once in the whole log, with their curve."""

import os
from datetime import date, datetime

import pytest
from worklog_examples import MONDAY, TUESDAY, WEDNESDAY, archived, ended, ids, record, rows

from repro.tracking.locks import hold_run
from repro.worklog import entries, pages
from repro.worklog.rows import CRASHED

LINK = "[2026-11-23_moving-dot_7f3a](../runs/2026-11-23_moving-dot_7f3a)"
DEAD = {"process_start": "tick 1"}  # a process that is gone
LOST = {"host": "elsewhere", "started": "2020-01-01T10:00:00+01:00"}  # whether it is gone, its lock tells


def test_a_run_enters_log_3_and_leaves_for_log_4(tmp_path):
    page = entries.open_page(tmp_path, MONDAY)
    entries.enter_run(tmp_path, archived(tmp_path, record()), MONDAY)
    assert rows(page, "runs") == [f"| {LINK} | 100 | Does it learn? | 2026-11-23 14:03 | running |"]
    assert rows(page, "results") == []
    for _ in range(2):
        entries.enter_result(tmp_path, archived(tmp_path, ended(), returns=range(24)), MONDAY)
    assert rows(page, "runs") == []
    assert rows(page, "results") == [
        f"| moving-dot | {LINK} | 100 | Does it learn? | 91% of optimal | ▁▁▂▃▃▄▅▆▆▇██ | finished |"
    ]


def test_a_record_without_an_environment_is_entered_all_the_same(tmp_path):
    run = archived(tmp_path, ended(params={"env": None}))
    entries.enter_result(tmp_path, run)
    assert ids(pages.page_path(tmp_path), "results") == [run["id"]]


def test_odd_metrics_do_not_keep_the_log_from_being_written(tmp_path):
    run = archived(tmp_path, ended(), returns=range(24))
    with open(tmp_path / "runs" / run["id"] / "metrics.jsonl", "a") as file:
        file.write('{"env_step":"x","return/mean":1}\n{"env_step":24,"return/mean":{}}\n')
    entries.enter_result(tmp_path, run, MONDAY)
    assert "▁▁▂▃▃▄▅▆▆▇██" in rows(pages.page_path(tmp_path, MONDAY), "results")[0]


def test_the_mirror_is_linked_as_soon_as_it_is_known(tmp_path):
    entries.enter_run(tmp_path, archived(tmp_path, record()), MONDAY)
    page = pages.page_path(tmp_path, MONDAY)
    archived(tmp_path, record(wandb={"url": "https://wandb.ai/a b/p|q/runs/x(1)"}))
    entries.open_page(tmp_path, MONDAY)
    (row,) = rows(page, "runs")
    assert row.startswith(f"| {LINK} · [W&B](https://wandb.ai/a%20b/p%7Cq/runs/x%281%29) | 100 |")
    entries.enter_result(tmp_path, archived(tmp_path, ended(wandb={"url": "javascript:alert(1)"})), MONDAY)
    assert rows(page, "runs") == [] and LINK + " |" in rows(page, "results")[0]


def test_a_run_that_ends_on_a_later_day_leaves_the_earlier_page(tmp_path):
    entries.enter_run(tmp_path, record(), MONDAY)
    entries.enter_run(tmp_path, record("2026-11-23_moving-dot_7f3ab"), MONDAY)
    for _ in range(2):
        entries.enter_result(tmp_path, ended(ended="2026-11-24T01:00:00+01:00"))
    monday, tuesday = (pages.page_path(tmp_path, day) for day in (MONDAY, TUESDAY))
    assert ids(monday, "runs") == [] and ids(tuesday, "runs") == ["2026-11-23_moving-dot_7f3ab"]  # came along
    assert len(rows(tuesday, "results")) == 1
    assert sorted((tmp_path / "worklog").glob("20*.md")) == [monday, tuesday]  # and none of today


def test_a_run_may_end_before_it_started_when_the_clock_went_back(tmp_path):
    entries.enter_run(tmp_path, archived(tmp_path, record()), TUESDAY)
    entries.enter_result(tmp_path, archived(tmp_path, ended(ended="2026-11-23T01:00:00+01:00")))
    monday, tuesday = (pages.page_path(tmp_path, day) for day in (MONDAY, TUESDAY))
    assert (len(ids(monday, "results")), ids(tuesday, "runs")) == (1, [])
    entries.open_page(tmp_path, WEDNESDAY)
    assert len(ids(monday, "results")) == 1 and ids(pages.page_path(tmp_path, WEDNESDAY), "results") == []


def test_a_resumed_run_returns_to_log_3(tmp_path):
    entries.enter_result(tmp_path, ended(status="interrupted"), MONDAY)
    entries.enter_run(tmp_path, record(), TUESDAY)
    monday, tuesday = (pages.page_path(tmp_path, day) for day in (MONDAY, TUESDAY))
    assert (rows(monday, "results"), len(rows(tuesday, "runs"))) == ([], 1)


def test_results_of_one_environment_stand_together(tmp_path):
    for run, env in (("a_1", "dot"), ("a_2", "pong"), ("a_3", "dot")):
        entries.enter_result(tmp_path, ended(run, params={"env": {"id": env}}), MONDAY)
    assert ids(pages.page_path(tmp_path, MONDAY), "results") == ["a_1", "a_3", "a_2"]


@pytest.mark.parametrize(
    "changes, log, status",
    [
        ({}, "runs", "running"),
        ({"status": "queued"}, "runs", "queued"),
        (DEAD, "runs", CRASHED),
        (LOST, "runs", CRASHED),
        (DEAD | {"closed": {"outcome": "failed", "cause": "a | b"}}, "results", "crashed, closed as failed"),
        (LOST | {"closed": {"outcome": "failed", "cause": "a | b"}}, "results", "crashed, closed as failed"),
        ({"status": "finished"}, "results", "finished"),
        ({"status": "interrupted"}, "results", "interrupted"),
    ],
)
def test_the_next_command_brings_an_unfinished_row_up_to_date(tmp_path, changes, log, status):
    """Its process was killed, or the page damaged, so it did not say so itself."""
    entries.enter_run(tmp_path, archived(tmp_path, record()), MONDAY)
    archived(tmp_path, record(**changes))
    for day in (MONDAY, TUESDAY, WEDNESDAY, WEDNESDAY):
        entries.add_note(tmp_path, "next", datetime(day.year, day.month, day.day, 9))
    monday, tuesday, wednesday = (pages.page_path(tmp_path, day) for day in (MONDAY, TUESDAY, WEDNESDAY))
    where = wednesday if log == "runs" else monday
    assert [len(rows(path, name)) for path in (monday, tuesday, wednesday) for name in ("runs", "results")] == [
        int((path, name) == (where, log)) for path in (monday, tuesday, wednesday) for name in ("runs", "results")
    ]
    assert rows(where, log)[0].endswith(f" | {status} |")
    assert ("| failed: a \\| b |" in rows(where, log)[0]) == ("closed" in changes)


def test_a_run_of_another_host_is_running_while_its_lock_is_held_and_crashed_after(tmp_path):
    content = archived(tmp_path, record(**LOST))
    lock = hold_run(tmp_path / "runs" / content["id"])
    entries.enter_run(tmp_path, content, MONDAY)
    for day, status in ((TUESDAY, "running"), (WEDNESDAY, CRASHED)):
        (row,) = rows(entries.open_page(tmp_path, day), "runs")
        assert row.endswith(f" | {status} |")
        if status == "running":
            os.close(lock)


def test_a_row_that_a_killed_process_left_twice_is_repaired(tmp_path, monkeypatch):
    """Killed between the two pages that a move concerns; in either direction."""
    run = record()["id"]
    monday, tuesday = (pages.page_path(tmp_path, day) for day in (MONDAY, TUESDAY))
    entries.enter_run(tmp_path, archived(tmp_path, record()), MONDAY)
    old = monday.read_bytes()
    entries.enter_result(tmp_path, archived(tmp_path, ended()), TUESDAY)
    monday.write_bytes(old)
    entries.open_page(tmp_path, WEDNESDAY)
    assert (ids(monday, "runs"), ids(tuesday, "results")) == ([], [run])
    old = tuesday.read_bytes()
    entries.enter_run(tmp_path, archived(tmp_path, record()), WEDNESDAY)
    tuesday.write_bytes(old)
    entries.open_page(tmp_path, WEDNESDAY)
    assert (ids(tuesday, "results"), ids(pages.page_path(tmp_path, WEDNESDAY), "runs")) == ([], [run])


def test_a_run_of_another_machine_keeps_its_row(tmp_path):
    entries.enter_run(tmp_path, record("2026-11-23_moving-dot_7f3a1"), MONDAY)
    archived(tmp_path, ended("2026-11-23_moving-dot_7f3a12"))  # no more than a longer name
    (row,) = rows(pages.page_path(tmp_path, MONDAY), "runs")
    page = entries.open_page(tmp_path, date(2026, 12, 1))
    assert rows(page, "runs") == [row]
    assert rows(pages.page_path(tmp_path, MONDAY), "runs") == []
