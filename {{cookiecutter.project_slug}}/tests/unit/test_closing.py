"""Closing a run: what is asked, what is refused, what is stored and shown; by a person or by the criterion."""

from __future__ import annotations

import os
from datetime import date, timedelta

import pytest
from ledger_examples import make_project, prediction, record, write_run

from repro.reading import UserError
from repro.runs.closing import (
    Closing,
    against_criterion,
    close_by_criterion,
    close_run,
    describe_closing,
    read_closing,
    say_withdrawn,
)
from repro.tracking.archive import claim_run, effective_status, read_run
from repro.tracking.locks import hold_run
from repro.tracking.process import process_start
from repro.worklog import entries

# By another machine: that it crashed, the lock in its folder tells.
LOST = {"status": "running", "host": "elsewhere", "started": "2020-01-01T10:00:00+01:00", "ended": None}


@pytest.fixture
def root(tmp_path):
    return make_project(tmp_path)


def scripted(*typed):
    """`ask` with these answers, then the end of the input."""
    rest = list(typed)

    def ask(prompt):
        if not rest:
            raise EOFError
        return rest.pop(0)

    return ask


def read(root, typed=None, outcome=None, cause=None, foreseen=None, **fields):
    """The closing of a new run; `typed` on a terminal, or None without one."""
    said: list[str] = []
    run = write_run(root, **fields)
    closing = read_closing(run, outcome, cause, foreseen, None if typed is None else scripted(*typed), said.append)
    return closing, "\n".join(said)


def rows(root):
    """The run's rows in the whole work log, each with the region it stands in."""
    found, region = [], None
    for page in sorted((root / "worklog").glob("*.md")):
        for line in page.read_text().splitlines():
            region = line[5:-10] if line.endswith(":start -->") else region
            if "7f3a](" in line:
                found.append((region, line))
    return found


class TestReading:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"outcome": "succeeded"}, Closing("succeeded")),
            ({"outcome": "failed", "cause": "lr", "foreseen": "no"}, Closing("failed", "lr", False)),
            ({"cause": " rewards\nwere  flat ", "foreseen": "No"}, Closing("failed", "rewards were flat", False)),
            ({"foreseen": "1"}, Closing("failed", "labels too few", 0)),  # the cause is the predicted one
            ({"foreseen": "2", "cause": "clip"}, Closing("failed", "clip", 1)),
        ],
    )
    def test_without_a_terminal(self, root, given, expected):
        closing, said = read(root, prediction=prediction(), **given)
        assert (closing, said) == (expected, "")
        assert type(closing.foreseen) is type(expected.foreseen)  # 0 is the first cause, False is none

    def test_a_prediction_without_causes_foresaw_none(self, root):
        run = write_run(root, prediction=prediction(causes=()))
        for foreseen in (None, "no"):
            assert read_closing(run, None, "lr", foreseen, None) == Closing("failed", "lr", False)
        with pytest.raises(UserError, match="--foreseen 1: the prediction of this run names no cause; give no, or"):
            read_closing(run, None, "lr", "1", None)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (
                {},
                "no terminal to ask on; give --outcome succeeded, or --outcome failed with --cause TEXT and --foreseen",
            ),
            ({"outcome": "failed"}, "give --cause TEXT and --foreseen NUMBER|no (predicted: 1 labels too few; 2 lear"),
            ({"cause": "lr"}, "give --foreseen NUMBER|no (predicted: 1"),
            ({"foreseen": " No"}, "give --cause TEXT"),
            ({"outcome": "succeded"}, "--outcome succeded: write one of: succeeded, failed"),
            ({"outcome": "succeeded", "cause": "x"}, "--cause and --foreseen are for runs that failed"),
            ({"cause": " \n", "foreseen": "no"}, "--cause: is empty"),
            ({"cause": "x", "foreseen": "3"}, "--foreseen 3: give no, or the number of a predicted cause: 1 labels"),
            ({"cause": "x", "foreseen": "0"}, "--foreseen 0: give no, or"),
            ({"cause": "x", "foreseen": "-1"}, "--foreseen -1: give no, or"),
            ({"cause": "x", "foreseen": "²"}, "--foreseen ²: give no, or"),
        ],
    )
    def test_what_is_missing_or_wrong_is_one_line(self, root, given, message):
        with pytest.raises(UserError) as caught:
            read(root, prediction=prediction(), **given)
        assert message in str(caught.value) and "\n" not in str(caught.value)

    def test_foreseen_without_a_prediction(self, root):
        run = write_run(root)
        assert read_closing(run, None, "lr", None, None).foreseen is None  # nobody can say
        for foreseen in ("no", "1"):
            message = f"--foreseen {foreseen}: nothing was predicted for {run.id}, so it is not closed; leave it out"
            with pytest.raises(UserError, match=message):
                read_closing(run, None, "x", foreseen, None)

    def test_who_is_asked_is_told_that_a_run_of_another_machine_crashed(self, root):
        _, said = read(root, ["s"], **LOST)
        assert said.startswith("2026-11-21_moving-dot_7f3a: crashed\n")

    def test_nothing_is_said_where_nothing_is_missing(self, root):
        assert read(root, [], foreseen="1", prediction=prediction()) == (Closing("failed", "labels too few", 0), "")

    def test_a_terminal_is_asked_for_what_is_missing_only(self, root):
        closing, said = read(root, ["", "f", "3", "", "2"], prediction=prediction())
        assert closing == Closing("failed", "learning rate too high", 1)
        assert "fails with probability 0.2" in said and "1 labels too few (accepted: that is the question)" in said
        assert said.count("give no, or the number of a predicted cause") == 2
        assert "Does it learn?" in said and "91% of optimal" in said

    @pytest.mark.parametrize(
        ("typed", "given", "expected"),
        [
            (["s"], {}, Closing("succeeded")),
            (["failed", "no", " ", "a bug"], {}, Closing("failed", "a bug", False)),
            (["no", "a bug"], {"outcome": "failed"}, Closing("failed", "a bug", False)),
            (["1"], {"cause": "a bug"}, Closing("failed", "a bug", 0)),
            ([], {"cause": "a bug", "foreseen": "no"}, Closing("failed", "a bug", False)),
            ([], {"outcome": "succeeded"}, Closing("succeeded")),
        ],
    )
    def test_answers(self, root, typed, given, expected):
        assert read(root, typed, prediction=prediction(), **given)[0] == expected

    def test_a_closed_terminal_closes_nothing(self, root):
        with pytest.raises(UserError, match="broken off; the run is not closed"):
            read(root, ["failed", "no"], prediction=prediction())

    def test_control_characters_do_not_reach_the_terminal(self, root):
        evil = {"cause": "a\x1b[2J\nb", "response": "fixed", "reason": "c\r"}
        _, said = read(root, ["s"], prediction=prediction(causes=(evil,)), question="\x1b]0;x\x07?")
        assert "\x1b" not in said and "\r" not in said and "  1 a[2J b (fixed: c)" in said


class TestClosing:
    def test_it_is_stored_and_the_row_says_so(self, root):
        run = write_run(root, prediction=prediction())
        assert close_run(root, run, Closing("failed", "a | b", False)) is None
        stored = read_run(run.path).record
        assert {**stored["closed"], "at": ""} == {
            "outcome": "failed",
            "cause": "a | b",
            "foreseen": False,
            "by": "person",
            "at": "",
        }
        assert {**stored, "closed": None} == record(prediction=prediction())  # nothing else changed
        ((region, line),) = rows(root)
        assert region == "results" and (root / "worklog/2026-11-21.md").exists()  # the day it ended
        assert "| 91% of optimal; failed: a \\| b |" in line and "| finished, closed as failed |" in line

    def test_closing_again_replaces_and_says_what(self, root):
        run = write_run(root, prediction=prediction())
        close_run(root, run, Closing("failed", None, 1))
        replaced = close_run(root, run, Closing("succeeded"))
        assert describe_closing(run.record, replaced).startswith(
            "failed (foreseen as 2 learning rate too high), by a p"
        )
        assert describe_closing(run.record).startswith("succeeded, by a person on 20")
        close_run(root, run, Closing("failed", "a\x1b[2J", False))
        assert describe_closing(run.record).startswith("failed: a[2J (not foreseen), by a person on 20")

    def test_a_crashed_run_leaves_log_3(self, root):
        run = write_run(root, status="running", ended=None, result=None, question="why?")
        entries.enter_run(root, run.record)
        assert [region for region, _ in rows(root)] == ["runs"]
        close_run(root, run, Closing("failed", "out of memory"))
        ((region, line),) = rows(root)
        assert region == "results"
        assert "| failed: out of memory |" in line and "| crashed, closed as failed |" in line

    def test_a_run_in_progress_is_refused_and_unchanged(self, root):
        mine = {"pid": os.getpid(), "process_start": process_start(os.getpid())}
        for code, fields in (("aaaa", {"status": "running", **mine}), ("bbbb", {"status": "queued", **mine})):
            run = write_run(root, code, **fields)
            before = (run.path / "run.json").read_bytes()
            for attempt in (
                lambda run=run: read_closing(run, "succeeded", None, None, None),
                lambda run=run: close_run(root, run, Closing("succeeded")),
            ):
                with pytest.raises(UserError, match=f"is still {fields['status']}.*close it when it has ended"):
                    attempt()
            assert (run.path / "run.json").read_bytes() == before
        assert not (root / "worklog").exists()

    def test_a_launch_that_was_killed_before_its_run_began(self, root):
        run = write_run(root, status="queued", ended=None)
        close_run(root, run, read_closing(run, None, "killed by hand", None, None))
        assert read_run(run.path).record["closed"]["cause"] == "killed by hand"

    def test_a_run_that_another_machine_lost(self, root):
        run = write_run(root, status="running", host="elsewhere", ended=None)
        close_run(root, run, Closing("failed", "power cut"))  # nobody holds its lock
        assert read_run(run.path).record["closed"]["cause"] == "power cut"

    def test_the_row_of_a_run_that_another_machine_lost_stays_in_log_4_on_the_page_that_closing_it_makes(self, root):
        run = write_run(root, **LOST)
        entries.enter_run(root, run.record, date.today() - timedelta(days=1))
        close_run(root, run, Closing("failed", "power cut"))
        ((region, row),) = rows(root)
        assert region == "results" and row.endswith(" | crashed, closed as failed |")

    def test_a_job_that_was_cancelled_while_it_waited_is_waited_for_no_longer(self, root):
        run = write_run(root, status="queued", host="SLURM, job 7_0", slurm_job="7_0", ended=None)
        assert effective_status(run.record, run.path) == "queued"
        lock = hold_run(run.path)  # it begins this moment
        with pytest.raises(UserError, match="is still queued; close it when it has ended"):
            close_run(root, run, Closing("failed", "cancelled"))
        os.close(lock)
        close_run(root, run, Closing("failed", "cancelled"))
        assert effective_status(read_run(run.path).record, run.path) == "crashed"

    def test_a_run_that_goes_on_is_not_closed_any_more(self, root, capsys):
        run = write_run(root, status="interrupted")
        close_run(root, run, Closing("failed", "too slow"))
        say_withdrawn(run.record)
        said = capsys.readouterr().out
        assert said.startswith(f"{run.id}: was closed as failed: too slow, by a person on 20")
        assert "; that is withdrawn" in said and said.count("\n") == 1
        claim_run(run)
        say_withdrawn(run.record)
        assert read_run(run.path).record["closed"] is None and not capsys.readouterr().out

    def test_a_damaged_page_is_said_and_left_and_the_run_is_closed(self, root):
        run = write_run(root)
        page = entries.open_page(root, date(2026, 11, 21))
        page.write_text("mine\n")
        with pytest.raises(UserError, match=r"is closed, but its row in the work log is not: .*2026-11-21\.md"):
            close_run(root, run, Closing("succeeded"))
        assert page.read_text() == "mine\n" and read_run(run.path).record["closed"]["outcome"] == "succeeded"


class TestCriterion:
    def evaluation(self, sampled, greedy=1.0):
        return {"sampled": {"score": sampled}, "greedy": {"score": greedy}}

    def test_by_the_judged_score(self, root):
        run = write_run(root, prediction=prediction())
        assert run.record["params"]["evaluation"]["success_score"] == 0.9
        assert close_by_criterion(root, run, self.evaluation(0.9)) == "closed as succeeded"
        said = close_by_criterion(root, run, self.evaluation(0.8999))
        assert said == f'closed as failed; say what went wrong: repro close {run.id} --cause "…" --foreseen NUMBER|no'
        stored = read_run(run.path).record["closed"]
        assert (stored["outcome"], stored["cause"], stored["foreseen"], stored["by"]) == (
            "failed",
            None,
            None,
            "success criterion",
        )

    def test_it_replaces_nothing_that_a_person_said(self, root):
        run = write_run(root)
        close_run(root, run, Closing("failed", "score is a fluke"))
        before = (run.path / "run.json").read_bytes()
        assert "failed: score is a fluke, by a person" in close_by_criterion(root, run, self.evaluation(1.0))
        assert (run.path / "run.json").read_bytes() == before

    def test_not_while_it_goes_on(self, root):
        run = write_run(root, status="running", pid=os.getpid(), process_start=process_start(os.getpid()))
        assert close_by_criterion(root, run, self.evaluation(1.0)) is None
        assert read_run(run.path).record["closed"] is None


@pytest.mark.parametrize(
    ("outcome", "fields", "said"),
    [
        ("failed", {"evaluation": 0.994}, "it succeeded: its score is 0.99 (evaluated), and 0.9 is wanted"),
        (
            "failed",
            {"training": 0.9},
            "it succeeded: its score is 0.90 (at the end of training; not evaluated yet), and",
        ),
        (
            "succeeded",
            {"evaluation": 0.5, "training": 0.9},
            "it failed: its score is 0.50 (evaluated), and 0.9 is wanted",
        ),
        ("succeeded", {"evaluation": 0.9}, None),
        ("failed", {"training": 0.89}, None),
        ("failed", {"training": "NaN"}, None),
        ("failed", {}, None),
    ],
)
def test_what_the_score_says_otherwise_is_told(root, outcome, fields, said):
    evaluation = {"sampled": {"score": fields["evaluation"]}} if "evaluation" in fields else None
    metrics = {"return/score": fields["training"]} if "training" in fields else None
    run = write_run(root, evaluation=evaluation, result_metrics=metrics)
    close_run(root, run, Closing(outcome, None if outcome == "succeeded" else "lr"))
    told = against_criterion(run.record)
    assert told is None if said is None else f"note: by the success criterion {said}" in told
