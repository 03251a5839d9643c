"""Looking back: the search, and what a week brought."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from user_files import write_budget
from worklog_examples import MONDAY, TUESDAY, WEDNESDAY, archived, ended, record, write_output

from repro.accounts.week import format_week
from repro.reading import UserError
from repro.worklog import entries, pages
from repro.worklog.search import format_hits, search_log


def texts(root: Path, *words: str) -> list[tuple[str, str, str]]:
    return [(str(hit.day)[-2:], hit.log, hit.text) for hit in search_log(root, words)]


@pytest.fixture
def log(tmp_path):
    """Two days, with something of everything."""
    write_budget(tmp_path)
    write_output(entries.open_page(tmp_path, MONDAY), "A curve of the ENTROPY")
    entries.add_note(tmp_path, "the entropy falls | too fast\nor is it the clock?", datetime(2026, 11, 23, 9, 5))
    entries.add_confusion(tmp_path, "entropy < 0?", MONDAY)
    entries.add_hours(tmp_path, 2, "debugging", "entropy", MONDAY)
    entries.add_hours(tmp_path, 2, "debugging", "entropy", TUESDAY)
    run = ended(question="Does entropy | matter?", started="2026-11-23T10:00:00", ended="2026-11-24T11:30:00")
    run |= {"active_seconds": 25.5 * 3600}
    entries.enter_result(tmp_path, archived(tmp_path, run | {"wandb": {"url": "https://wandb.ai/x"}}))
    return tmp_path


class TestSearch:
    def test_lines_and_rows_that_hold_all_words(self, log):
        assert texts(log, "entropy") == [
            ("23", "log 1", "A curve of the ENTROPY"),
            ("23", "log 1", "debugging | 2 | entropy"),
            ("23", "log 2", "- 09:05 the entropy falls | too fast"),
            ("23", "log 2", "- [ ] C1 (2026-11-23) entropy < 0?"),
            ("24", "log 1", "debugging | 2 | entropy"),
            (
                "24",
                "log 4",
                "moving-dot | 2026-11-23_moving-dot_7f3a · W&B | 100 | Does entropy | matter? "
                "| 91% of optimal | finished",
            ),
        ]
        assert texts(log, "FAST Entropy") == texts(log, "fast", "ENTROPY") == texts(log, "entropy")[2:3]
        assert len(texts(log, "7f3a")) == 1
        assert texts(log, "entropy", "clock") == []

    @pytest.mark.parametrize("word", ["runs:start", "<!--", "environment", "---", "Output", "question", "../runs"])
    def test_the_form_of_a_page_is_not_found(self, log, word):
        assert texts(log, word) == []

    def test_a_damaged_page_is_searched_all_the_same(self, log):
        path = pages.page_path(log, MONDAY)
        path.write_bytes(path.read_bytes().replace(b"<!-- hours:end -->\n", b"\xff\n"))
        assert len(texts(log, "entropy")) == 6

    def test_without_a_word(self, log):
        for words in ([], [" "], ["", "\n"]):
            with pytest.raises(UserError, match="nothing to search for"):
                search_log(log, words)

    def test_shown(self, log):
        hits = search_log(log, ["matter"])
        (line,) = format_hits(hits, ["matter"]).splitlines()
        assert line.startswith("2026-11-24  log 4  moving-dot | 2026")
        narrow = format_hits(hits, ["matter"], 60).splitlines()
        assert len(narrow) == 3 and all(len(line) <= 60 for line in narrow)
        assert all(line.startswith(" " * 19) for line in narrow[1:])
        assert "Does entropy | \x1b[1mmatter\x1b[0m?" in format_hits(hits, ["MATTER"], None, highlight=True)

    def test_wide_letters_stay_within_the_terminal(self, tmp_path):
        entries.add_note(tmp_path, "報酬" * 40 + " 🤖", datetime(2026, 11, 23, 9))
        for line in format_hits(search_log(tmp_path, ["🤖"]), ["🤖"], 80).splitlines():
            assert sum(2 if ord(letter) > 0x2000 else 1 for letter in line) <= 80 and "\0" not in line


class TestWeek:
    def test_a_week_with_something_of_everything(self, log):
        hour = {"active_seconds": 5400.0, "stage": "tuning"}
        for seed in (101, 102):
            at = f"2026-11-25T1{seed - 100}:00:00"
            archived(log, ended(f"b_{seed}", seed=seed, question="Is it luck?", started=at, **hour))
        archived(log, ended("old_1", started="2026-11-18T23:59:59", ended="2026-11-19T00:10:00", result=None))
        archived(
            log, ended("old_2", started="2026-11-01", ended="2026-11-19T00:20", result="return\n3", status="failed")
        )
        (log / "runs" / "damaged").mkdir()
        entries.add_confusion(log, "two losses", TUESDAY)
        entries.resolve_confusion(log, "C1", "of a *density*", TUESDAY)
        assert format_week(log, WEDNESDAY) == (
            "2026-11-19 to 2026-11-25\n"
            "\n"
            "Questions asked: 2\n"
            "  Does entropy | matter?\n"
            "      1 finished; seed 100\n"
            "  Is it luck?\n"
            "      2 finished; seeds 101, 102\n"
            "\n"
            "Questions answered: 2\n"
            "  Does it learn?\n"
            "      no result; finished, old_1\n"
            "  Does entropy | matter?\n"
            "      91% of optimal; finished, 2026-11-23_moving-dot_7f3a\n"
            "\n"
            "Runs that ended without an answer: 1\n"
            "  Does it learn?\n"
            "      return 3; failed, old_2\n"
            "\n"
            "Confusions: 2 opened, 1 resolved, 1 open\n"
            "  resolved  C1 (2026-11-23) entropy < 0? Resolved 2026-11-24: of a *density*\n"
            "  open      C2 (2026-11-24) two losses\n"
            "\n"
            "hours of   person  compute\n"
            "---------  ------  -------\n"
            "debugging  4.00 h      0 h\n"
            "tuning        0 h   3.00 h\n"
            "unknown       0 h  25.50 h\n"
            "---------  ------  -------\n"
            "in all     4.00 h  28.50 h"
        )

    def test_only_runs_that_finished_or_are_closed_answer_a_question(self, tmp_path):
        write_budget(tmp_path)
        closing = {"outcome": "failed", "cause": "a\x1bb", "at": "2026-11-24T09:00:00+01:00"}
        day = {"started": "2026-11-24T08:00:00", "ended": "2026-11-24T08:30:00"}
        gone = {"process_start": "tick 1", "ended": None}
        for run, fields in {
            "a_1": {"question": None},
            "a_2": {"status": "interrupted", "result": None},
            "a_3": {"status": "interrupted", "result": None, "question": None},
            "a_4": {"status": "failed", "question": "Why?", "closed": closing},
            "a_5": {"status": "running", "result": None, "question": "Why not?", "closed": closing} | gone,
            "a_6": {"status": "running", "result": None, "question": "Why not?"} | gone,
        }.items():
            archived(tmp_path, ended(run, **(day | fields)))
        week = format_week(tmp_path, TUESDAY)
        assert "Questions asked: 3\n" in week
        assert week.split("\n\n")[2:4] == [
            "Questions answered: 2\n"
            "  Why?\n"
            "      91% of optimal; failed: ab; failed, closed as failed, a_4\n"
            "  Why not?\n"
            "      failed: ab; crashed, closed as failed, a_5",
            "Runs that ended without an answer: 3\n"
            "  question not stated\n"
            "      91% of optimal; finished, a_1\n"
            "      no result; interrupted, a_3\n"
            "  Does it learn?\n"
            "      no result; interrupted, a_2",
        ]

    def test_the_question_of_a_rerun_is_that_of_its_original(self, log):
        first, day = "2026-11-23_moving-dot_7f3a", {"started": "2026-11-25T10:00:00", "ended": "2026-11-25T11:00:00"}
        archived(log, ended("b_1", question=f"Does {first} come out the same again?", rerun_of=first, **day))
        archived(log, ended("b_2", question="Does b_1 come out the same again?", rerun_of="b_1", **day))
        archived(log, ended("b_3", question="Does gone come out the same again?", rerun_of="gone", **day))
        archived(log, ended("b_4", question="Round and round?", rerun_of="b_4", **day))  # damaged by hand
        week = format_week(log, WEDNESDAY)
        assert "Questions asked: 3\n  Does entropy | matter?\n      3 finished; seed 100\n" in week
        assert "Questions answered: 3\n" in week and f"91% of optimal; finished, b_1 (rerun of {first})\n" in week
        assert "come out the same again?" in week and "Does b_1" not in week and "Round and round?" in week
        for width in (80, 200):
            assert max(map(len, format_week(log, WEDNESDAY, width).splitlines())) <= width

    def test_the_copy_of_a_folder_is_no_further_run(self, log):
        before, (run,) = format_week(log, WEDNESDAY), (log / "runs").glob("*_7f3a")
        shutil.copytree(run, run.with_name(f"{run.name}.bak"))
        assert "1 finished; seed 100" in before and format_week(log, WEDNESDAY) == before

    def test_an_empty_week(self, log):
        week = format_week(log, MONDAY - timedelta(days=7))
        assert week.splitlines()[2::2] == [
            "Questions asked: 0",
            "Questions answered: 0",
            "Confusions: 0 opened, 0 resolved, 0 open",
            "Hours: none",
        ]
        assert (
            "1 open" in format_week(log, WEDNESDAY + timedelta(days=30))
            and not (log / "worklog/2026-11-16.md").exists()
        )

    def test_what_was_open_then(self, log):
        entries.resolve_confusion(log, "C1", "x", WEDNESDAY)
        assert "Confusions: 1 opened, 0 resolved, 1 open" in format_week(log, TUESDAY)
        assert "Confusions: 1 opened, 1 resolved, 0 open" in format_week(log, WEDNESDAY)

    def test_a_clock_that_went_back_takes_no_hours_away(self, tmp_path):
        write_budget(tmp_path)
        archived(tmp_path, ended(started="2026-11-24T12:00:00", ended="2026-11-24T11:00:00"))
        assert "in all       0 h      0 h" in format_week(tmp_path, TUESDAY)

    def test_a_damaged_page_is_named_and_the_rest_counted(self, log, capsys):
        path = pages.page_path(log, MONDAY)
        path.write_text(path.read_text().replace("<!-- hours:end -->\n", ""))
        assert "debugging  2.00 h" in format_week(log, TUESDAY)
        (warning,) = capsys.readouterr().err.splitlines()
        assert warning.startswith(f"warning: hours are not counted: {path}: the line '<!-- hours:end -->' is missing")

    @pytest.mark.parametrize("width", [80, 200])
    def test_it_fits_the_terminal(self, log, width):
        archived(log, record("b_1", question="why? " * 60, started="2026-11-25T10:00:00"))
        lines = format_week(log, WEDNESDAY, width).splitlines()
        assert max(map(len, lines)) <= width
        assert sum("why?" in line for line in lines) == -(-60 // ((width - 2 + 1) // 5))
