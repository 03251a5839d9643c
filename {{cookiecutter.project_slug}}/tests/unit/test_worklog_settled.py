"""What a killed process, or a damaged page, left undone in the rows of runs is put right by the next command."""

import shutil
import time
from datetime import timedelta

import pytest
from project import SOURCE
from worklog_examples import MONDAY, TUESDAY, WEDNESDAY, archived, ended, ids, record, rows

from repro.reading import UserError
from repro.worklog import carry, entries, pages
from repro.worklog.rows import CRASHED

THURSDAY = WEDNESDAY + timedelta(days=1)
RUN = "2026-11-24_moving-dot_7f3a"
DEAD = {"process_start": "tick 1"}  # a process that is gone


def where(root):
    """(day, log) of each row in the whole log, with its run."""
    return [
        (path.stem[-2:], name, run)
        for path in pages.list_pages(root)
        for name in ("runs", "results")
        for run in ids(path, name)
    ]


@pytest.mark.parametrize(
    "content, log, status",
    [
        (record(RUN, **DEAD), "runs", CRASHED),
        (record(RUN, status="queued"), "runs", "queued"),
        (ended(RUN), "results", "finished"),
    ],
)
def test_a_run_that_never_got_a_row_gets_it(tmp_path, content, log, status):
    """It was killed before it entered the log, on a day that has no page."""
    entries.open_page(tmp_path, MONDAY)
    archived(tmp_path, content, returns=[1, 2])
    for _ in range(2):
        page = entries.open_page(tmp_path, WEDNESDAY)
        assert where(tmp_path) == [("25", log, RUN)]
    assert rows(page, log)[0].endswith(f" | {status} |")


def test_a_run_that_started_while_the_page_was_damaged_gets_its_row(tmp_path, capsys):
    monday, tuesday = entries.open_page(tmp_path, MONDAY), entries.open_page(tmp_path, TUESDAY)
    whole = tuesday.read_text()
    archived(tmp_path, record(RUN))
    tuesday.write_text("")
    wednesday = entries.open_page(tmp_path, WEDNESDAY)
    assert ids(monday, "runs") == [] and ids(wednesday, "runs") == [RUN]
    tuesday.write_text(whole)
    entries.open_page(tmp_path, WEDNESDAY)
    assert where(tmp_path) == [("25", "runs", RUN)]


def test_a_row_on_a_damaged_page_is_not_made_again(tmp_path):
    tuesday = entries.open_page(tmp_path, TUESDAY)
    entries.enter_result(tmp_path, archived(tmp_path, ended(RUN, ended="2026-11-24T12:00:00")))
    whole = tuesday.read_text()
    tuesday.write_text(whole.replace("<!-- runs:end -->", ""))
    assert ids(entries.open_page(tmp_path, WEDNESDAY), "results") == []
    tuesday.write_text(whole)
    entries.open_page(tmp_path, WEDNESDAY)
    assert where(tmp_path) == [("24", "results", RUN)]


def test_runs_of_long_ago_of_other_projects_and_unreadable_ones_get_none(tmp_path):
    shutil.copy(SOURCE / "pyproject.toml", tmp_path)
    entries.open_page(tmp_path, TUESDAY)
    archived(tmp_path, record("2026-11-23_moving-dot_0001", **DEAD))
    archived(tmp_path, record("2026-11-24_moving-dot_0002", project="another", **DEAD))
    (tmp_path / "runs/2026-11-24_moving-dot_0003").mkdir()
    entries.open_page(tmp_path, WEDNESDAY)
    assert where(tmp_path) == []


def test_a_broken_pyproject_is_one_line_and_the_run_that_ends_has_its_row(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project\n")
    archived(tmp_path, record(RUN, project="p"))
    with pytest.raises(UserError, match=r"pyproject\.toml: not valid TOML: "):
        entries.enter_result(tmp_path, archived(tmp_path, ended()), TUESDAY)
    assert where(tmp_path) == [("24", "results", ended()["id"])]


def test_on_an_earlier_page_than_the_last_none_is_entered(tmp_path):
    """As when a run of some days ago is closed."""
    for day in (MONDAY, TUESDAY):
        entries.open_page(tmp_path, day)
    archived(tmp_path, ended(RUN))
    entries.enter_result(tmp_path, ended("a_1"), MONDAY)
    assert where(tmp_path) == [("23", "results", "a_1")]


def test_a_renamed_folder_gets_the_row_that_it_never_had(tmp_path):
    monday = entries.open_page(tmp_path, MONDAY)
    entries.enter_run(tmp_path, archived(tmp_path, record("2026-11-23_dot_0001", **DEAD)), MONDAY)
    archived(tmp_path, record("2026-11-23_dot_0002", **DEAD))
    archived(tmp_path, record("2026-11-22_dot_0003", started="2026-11-22T10:00:00+01:00", **DEAD))
    for number in (1, 2, 3):
        (found,) = (tmp_path / "runs").glob(f"*_000{number}")
        found.rename(found.with_name(f"best-{number}"))
    (tmp_path / "runs/notes").mkdir()
    entries.open_page(tmp_path, MONDAY)
    assert ids(monday, "runs") == ["2026-11-23_dot_0001", "best-2"]  # the third is older than the log


@pytest.mark.parametrize("name", ["best [old]", "a](b", "50%5B", "x|y", "ü (1)", "_a\\_"])
def test_a_folder_of_any_name_has_one_row(tmp_path, name):
    archived(tmp_path, record(name, started="2026-11-24T10:00:00+01:00", **DEAD))
    for _ in range(3):
        page = entries.open_page(tmp_path, TUESDAY)
    assert len(rows(page, "runs")) == 1
    entries.enter_result(tmp_path, archived(tmp_path, ended(name)), WEDNESDAY)
    assert rows(page, "runs") == [] and len(rows(pages.page_path(tmp_path, WEDNESDAY), "results")) == 1


def test_so_many_at_once_that_a_command_stays_quick(tmp_path):
    for number in range(carry.AT_ONCE + 5):
        archived(tmp_path, record(f"2026-11-25_dot_{number:04}", **DEAD))
    page = entries.open_page(tmp_path, WEDNESDAY)
    assert ids(page, "runs") == [f"2026-11-25_dot_{number:04}" for number in range(carry.AT_ONCE)]
    entries.open_page(tmp_path, WEDNESDAY)
    assert len(ids(page, "runs")) == carry.AT_ONCE + 5


def test_a_resumed_run_that_was_killed_before_it_moved_its_row(tmp_path):
    entries.enter_result(tmp_path, archived(tmp_path, ended(RUN, status="interrupted")), TUESDAY)
    archived(tmp_path, record(RUN, **DEAD))
    page = entries.open_page(tmp_path, WEDNESDAY)
    assert where(tmp_path) == [("25", "runs", RUN)] and rows(page, "runs")[0].endswith(f"{CRASHED} |")


@pytest.mark.parametrize("closed", [{"outcome": "failed", "cause": "a | b"}, {"outcome": "succeeded", "cause": None}])
def test_a_closing_that_was_killed_before_it_wrote_its_row(tmp_path, closed):
    entries.enter_result(tmp_path, archived(tmp_path, ended(RUN)), TUESDAY)
    archived(tmp_path, ended(RUN, closed=closed))
    entries.open_page(tmp_path, WEDNESDAY)
    (row,) = rows(pages.page_path(tmp_path, TUESDAY), "results")
    assert row.endswith(f" | finished, closed as {closed['outcome']} |")
    assert ("| 91% of optimal; failed: a \\| b |" in row) == (closed["outcome"] == "failed")
    entries.enter_result(tmp_path, ended(RUN, closed=closed), TUESDAY)  # as when it is evaluated again
    assert rows(pages.page_path(tmp_path, TUESDAY), "results") == [row]


def test_what_was_killed_is_put_right_on_a_page_of_any_age(tmp_path):
    """A closing and a resume of runs whose rows stand on an older page than the last two."""
    closed, resumed = "2026-11-23_moving-dot_0001", "2026-11-23_moving-dot_0002"
    for run in (closed, resumed):
        entries.enter_result(tmp_path, archived(tmp_path, ended(run, status="interrupted")), MONDAY)
    for day in (TUESDAY, WEDNESDAY):
        entries.open_page(tmp_path, day)
    archived(tmp_path, ended(closed, closed={"outcome": "failed", "cause": "lr"}))
    archived(tmp_path, record(resumed))
    entries.open_page(tmp_path, THURSDAY)
    assert where(tmp_path) == [("23", "results", closed), ("26", "runs", resumed)]
    (row,) = rows(pages.page_path(tmp_path, MONDAY), "results")
    assert "failed: lr" in row and row.endswith(" | finished, closed as failed |")


@pytest.mark.parametrize("log, first", [("results", ended(RUN, status="interrupted")), ("runs", record(RUN))])
def test_an_old_page_that_is_damaged_does_not_keep_a_row_out(tmp_path, log, first):
    """The row that it keeps meanwhile is removed once it is mended."""
    archived(tmp_path, first)
    (entries.enter_result if log == "results" else entries.enter_run)(tmp_path, first, MONDAY)
    monday = pages.page_path(tmp_path, MONDAY)
    assert where(tmp_path) == [("23", log, RUN)]
    whole = monday.read_text()
    monday.write_text(whole.replace("<!-- results:end -->\n", ""))
    damaged = monday.read_bytes()
    for status in ("running", "finished"):
        content = archived(tmp_path, record(RUN, status=status))
        (entries.enter_result if status == "finished" else entries.enter_run)(tmp_path, content, WEDNESDAY)
        assert monday.read_bytes() == damaged
    wednesday = pages.page_path(tmp_path, WEDNESDAY)
    assert (ids(wednesday, "runs"), ids(wednesday, "results")) == ([], [RUN])
    monday.write_text(whole)
    entries.open_page(tmp_path, WEDNESDAY)
    assert where(tmp_path) == [("25", "results", RUN)]


def test_ten_thousand_runs_do_not_slow_it_down(tmp_path):
    entries.open_page(tmp_path, MONDAY)
    for number in range(10_000):
        (tmp_path / f"runs/2026-11-{1 + number % 22:02}_dot_{number:04}").mkdir(parents=True)
    archived(tmp_path, record(RUN))
    start = time.perf_counter()
    page = entries.open_page(tmp_path, TUESDAY)
    assert time.perf_counter() - start < 0.3
    assert ids(page, "runs") == [RUN]
