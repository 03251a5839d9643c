"""The ledger: hours, cost, sums that agree however they are made, estimates; and runs whose records tell little."""

from __future__ import annotations

import math
import os
import random
import re
from datetime import date, datetime, timedelta

import pytest
from ledger_examples import make_project, record, write_run

from repro.accounts.budget import read_budget
from repro.accounts.ledger import add_up, book_runs, total_of
from repro.accounts.ledger_text import format_ledger
from repro.terminal.text import width as columns_of
from repro.tracking.process import process_start


@pytest.fixture
def root(tmp_path):
    return make_project(tmp_path)


@pytest.fixture
def budget(root):
    return read_budget(root)


def book(root, budget, **fields):
    (booked,) = book_runs(root, [record(**fields)], budget)
    return booked


class TestBooking:
    def test_hours_and_cost(self, root, budget):
        booked = book(root, budget, active_seconds=5400.0, device="cuda", stage="final")
        assert (booked.hours, booked.cost, booked.machine, booked.stage) == (1.5, 1.5 * 1.5, "gpu", "final")
        assert (booked.month, booked.estimate, booked.ratio, booked.problem) == ("2026-11", 0.5, 3.0, None)
        assert book(root, budget).cost == pytest.approx(0.1)

    def test_the_month_is_that_of_the_place_where_it_ran(self, root, budget):
        for started, month in (
            ("2026-12-01T00:30:00+14:00", "2026-12"),  # still November in London
            ("2026-11-30T23:30:00-11:00", "2026-11"),  # December there
            ("2026-11-30T23:59:59", "2026-11"),
            ("yesterday", "unknown"),
            (None, "unknown"),
        ):
            assert book(root, budget, started=started).month == month

    def test_a_crashed_run_counts_what_its_metrics_tell(self, root, budget):
        fields = {"status": "running", "ended": None, "active_seconds": 60.0}
        run = write_run(root, **fields)
        (run.path / "metrics.jsonl").write_text('{"env_step":1,"time/wall":7200.0}\n{"env_step":2,"time/wa')
        booked = book(root, budget, **fields)
        assert (booked.status, booked.hours, booked.ratio, booked.problem) == ("crashed", 2.0, None, None)
        write_run(root, "aaaa", status="running", ended=None, active_seconds=0.0)
        booked = book(root, budget, code="aaaa", status="running", ended=None, active_seconds=0.0)
        assert booked.hours == 0 and booked.problem == "crashed before its first metrics; its hours are not known"

    def test_a_run_in_progress_counts_up_to_now(self, root, budget):
        mine = {"status": "running", "ended": None, "pid": os.getpid(), "process_start": process_start(os.getpid())}
        now = datetime.now().astimezone()
        booked = book(root, budget, **mine, started=str(now - timedelta(hours=2)), active_seconds=0.0)
        assert booked.hours == pytest.approx(2, abs=0.01) and booked.ratio is None
        booked = book(root, budget, **mine, started=str(now + timedelta(hours=2)), active_seconds=0.0)
        assert booked.hours == 0 and "as if a clock went back" in booked.problem

    def test_a_run_on_another_host_counts_what_its_metrics_tell(self, root, budget):
        fields = {"status": "running", "ended": None, "active_seconds": 0.0, "host": "elsewhere"}
        booked = book(root, budget, **fields)
        assert (booked.status, booked.hours) == ("running", 0)
        assert booked.problem == "runs on elsewhere, without metrics yet; counted as 0 hours"
        run = write_run(root, **fields)
        (run.path / "metrics.jsonl").write_text('{"env_step":1,"time/wall":7200.0}\n')
        booked = book(root, budget, **fields)
        assert (booked.status, booked.hours, booked.ratio, booked.problem) == ("running", 2.0, None, None)

    def test_a_record_that_tells_little(self, root, budget):
        booked = book(root, budget, active_seconds=0.0, started=None, stage=None, device=None, estimate_minutes=None)
        assert (booked.hours, booked.stage, booked.machine, booked.month) == (0, "unknown", "cpu", "unknown")
        assert book_runs(root, [{"id": "x", "status": "unreadable"}], budget) == []
        assert book(root, budget, status="queued", active_seconds=0.0).problem is None

    def test_a_machine_without_a_price(self, root, budget):
        cheap = budget.model_copy(update={"prices_per_hour": {"cpu": 0.1}})
        booked = book_runs(root, [record("a", device="cuda"), record("b")], cheap)
        total = total_of(booked)
        assert booked[0].cost is None and (total.hours, total.cost) == (2.0, 0.1)


@pytest.mark.parametrize("seed", range(5))
def test_sums_by_stage_month_and_run_agree(root, budget, seed):
    rng = random.Random(seed)
    records = [
        record(
            f"{number:x}",
            stage=rng.choice([None, "reading", "final", "gone"]),
            device=rng.choice(["cpu", "cuda", None]),
            status=rng.choice(["finished", "failed", "interrupted", "queued"]),
            started=f"20{rng.randint(25, 27)}-{rng.randint(1, 12):02}-03T10:00:00+0{rng.randint(0, 9)}:00",
            active_seconds=rng.choice([0.0, rng.expovariate(1e-4)]),
        )
        for number in range(200)
    ]
    booked = book_runs(root, records, budget)
    by_stage, by_month = add_up(booked, lambda run: run.stage), add_up(booked, lambda run: run.month)
    for groups in ({"all": total_of(booked)}, by_stage, by_month):
        assert sum(total.runs for total in groups.values()) == 200
        for name in ("hours", "cost"):
            by_group = math.fsum(getattr(total, name) for total in groups.values())
            assert by_group == pytest.approx(math.fsum(getattr(run, name) for run in booked), rel=1e-12)


def test_short_runs_show_in_minutes_and_seconds_and_small_costs_are_not_nothing(root, budget):
    records = [record("a", active_seconds=90.0), record("b", active_seconds=4.7, estimate_minutes=0.05)]
    text = format_ledger(book_runs(root, records, budget), [], [], budget, False, None)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "debugging 2 1.6 min 100 h <0.01 10 0 h 120 h",
        "2026-11-21_moving-dot_a debugging finished cpu 1.5 min <0.01 30.0 min 0.05",
        "2026-11-21_moving-dot_b debugging finished cpu 4.7 s <0.01 3 s 1.57",
    ):
        assert line in lines
    assert "estimated at 30.1 min, took 1.6 min" in text
    assert "(1.00 h, what experience recommends to plan with)" in text.replace("\n   ", "")


def test_estimates_against_what_finished_runs_took(root, budget):
    records = [
        record("a", active_seconds=900.0),  # of 1800 estimated
        record("b", active_seconds=3600.0),  # exactly the doubled estimate
        record("c", active_seconds=5400.0),
        record("d", active_seconds=9e9, status="failed"),
        record("e", active_seconds=9e9, estimate_minutes=None),
        record("f", active_seconds=9e9, estimate_minutes=0.0),
    ]
    text = format_ledger(book_runs(root, records, budget), [], [], budget, False, None)
    assert "estimates: 3 finished runs, estimated at 1.50 h, took 2.75 h\n" in text
    assert "  actual / estimated: median 2.00, from 0.50 to 3.00\n" in text
    words = " ".join(text.split())
    assert "within the estimate: 1 of 3; within the doubled estimate (3.00 h, what experience recommends" in words
    assert "to plan with): 2" in words
    none = format_ledger(book_runs(root, records[3:], budget), [], [], budget, False, None)
    assert "estimates: no finished run has one yet" in none


def test_a_run_that_waited_for_a_person_says_nothing_of_estimates(root, budget):
    slow = record("b", active_seconds=9e6, person_labels=700)
    booked = book_runs(root, [record("a"), slow, slow | {"id": "c", "status": "failed"}], budget)
    assert [run.ratio for run in booked] == [2.0, None, None]
    text = format_ledger(booked, [], [], budget, False, None)
    assert "\n  left out: 1 finished run that waited for a person's labels\n" in text
    assert "estimates: 1 finished run, estimated at 30.0 min, took 1.00 h\n" in text
    assert total_of(booked).hours == 1 + 2 * 2500  # the machine was busy all the same


class TestText:
    def text(self, root, budget, records, work=(), every_run=False, width=None, unreadable=()):
        return format_ledger(book_runs(root, records, budget), unreadable, work, budget, every_run, width)

    def line(self, text, start):
        (found,) = [line.split() for line in text.splitlines() if line.startswith(start)]
        return found

    def test_an_empty_archive(self, root, budget):
        text = self.text(root, budget, [])
        assert text.startswith("prices in USD an hour: cpu 0.1, gpu 1.5 (budget.yaml)")
        assert self.line(text, "total") == ["total", "0", "0", "h", "410", "h", "0.00", "41", "0", "h", "250", "h"]
        assert "no runs yet" in text and "month" not in text
        heads = re.split("  +", text.splitlines()[2])
        assert heads == ["stage", "runs", "compute", "compute plan", "USD", "USD plan", "work", "work plan"]

    def test_stages_months_and_work_against_the_plan(self, root, budget):
        records = [
            record("a", stage="implementing", active_seconds=11 * 3600.0),
            record("b", stage="final", device="cuda", started="2026-12-01T00:00:00+01:00"),
            record("c", stage="gone"),
        ]
        work = [
            (date(2026, 10, 5), "reading", 20.5),
            (date(2026, 12, 5), "final", 1.25),
            (date(2026, 12, 6), "new", 1.0),
        ]
        text = self.text(root, budget, records, work, unreadable=["2026-01-01_x_1234"])
        assert self.line(text, "implementing") == [
            "implementing",
            "1",
            "11.00",
            "h",
            "10",
            "h",
            "1.10",
            "1",
            "0",
            "h",
            "60",
            "h",
        ]
        assert self.line(text, "final") == ["final", "1", "1.00", "h", "200", "h", "1.50", "20", "1.25", "h", "10", "h"]
        assert self.line(text, "gone") == ["gone", "1", "1.00", "h", "0.10", "0", "h"]
        assert self.line(text, "2026-10 ") == ["2026-10", "0", "0", "h", "0.00", "20.50", "h"]
        assert self.line(text, "2026-12 ") == ["2026-12", "1", "1.00", "h", "1.50", "2.25", "h"]
        totals = [line.split() for line in text.splitlines() if line.startswith("total")]
        assert totals[0] == ["total", "3", "13.00", "h", "410", "h", "2.70", "41", "22.75", "h", "250", "h"]
        assert totals[1] == ["total", "3", "13.00", "h", "2.70", "22.75", "h"]
        for note in (
            "over plan: reading, 20.50 h of work, planned 20 h",
            "over plan: implementing, 11.00 h of compute, planned 10 h",
            "not a stage of budget.yaml: gone\nnot a stage of budget.yaml: new",
            "2026-01-01_x_1234: run.json is missing or damaged; not counted",
        ):
            assert note in text

    def test_the_dearest_runs_first_or_all(self, root, budget):
        records = [record(f"{number:02}", active_seconds=3600.0 * number) for number in range(12)]
        records.append(record("gpu", device="cuda"))
        text = self.text(root, budget, records)
        shown = [line.split()[0][-3:] for line in text.splitlines() if line.startswith("2026-11-21_")]
        assert shown[:3] == ["gpu", "_11", "_10"] and len(shown) == 10
        assert "the first 10 of 13 runs; all: --runs" in text
        text = self.text(root, budget, records, every_run=True)
        assert len([line for line in text.splitlines() if line.startswith("2026-11-21_")]) == 13
        assert "--runs" not in text

    def test_what_is_wrong_is_named_but_not_a_thousand_times(self, root, budget):
        cheap = budget.model_copy(update={"currency": "€", "prices_per_hour": {"cpu": 0.1}})
        records = [record(f"{number}", status="running", active_seconds=0.0) for number in range(8)]
        text = self.text(root, cheap, [*records, record("gpu", device="cuda")])
        assert text.count("crashed before its first metrics") == 5 and "… and 3 more" in text
        assert "no price in budget.yaml: gpu; its 1.00 h are not in the cost" in text
        assert self.line(text, "2026-11-21_moving-dot_gpu")[6] == "unknown" and "€" in text

    @pytest.mark.parametrize("width", [80, 200])
    def test_it_fits_the_terminal(self, root, budget, width):
        odd = record("x" * 90, stage="観測\x1b[2J🎉" * 3)
        text = self.text(root, budget, [record(), odd], [(date(2026, 1, 1), "a" * 90, 1.0)], width=width)
        assert max(map(columns_of, text.splitlines())) <= width and "\x1b" not in text
        assert self.line(text, "implementing")[-4:] == ["0", "h", "60", "h"]  # it is names that are cut, not numbers
        assert "USD plan" in self.text(root, budget, [record()], width=80)  # there is room for all
        assert "1.00" in self.line(text, "2026-11-21_moving-dot_7f3a")
