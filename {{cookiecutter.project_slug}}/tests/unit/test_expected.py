"""What is said of a run before it starts."""

from __future__ import annotations

import os

import pytest
from user_files import write_budget

from repro.accounts.expected import say_expected


@pytest.fixture
def root(tmp_path):
    write_budget(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("device", "minutes", "runs", "said"),
    [
        ("cpu", 0.2, 1, "dot: about 12 s"),
        ("cpu", 0.2, 10, "dot: about 12 s; all 10 runs of the sweep: about 2.0 min"),
        ("cpu", 1.2, 1, "dot: about 1.2 min"),
        ("cpu", 60.0, 1, "dot: about 1.00 h, 0.10 USD"),
        ("cpu", 1500.0, 1, "dot: about 25.00 h, 2.50 USD"),
        ("cpu", 60.0, 3, "dot: about 1.00 h, 0.10 USD; all 3 runs of the sweep: about 3.00 h, 0.30 USD"),
        ("cuda", 60.0, 1, "dot: about 1.00 h, 1.50 USD"),
    ],
)
def test_duration_and_cost_are_told(root, capsys, monkeypatch, device, minutes, runs, said):
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0.0, 0.0))
    say_expected(root, "dot", device, minutes, runs)
    assert capsys.readouterr().out == f"{said}\n"


def test_the_part_of_a_person_is_told_with_what_it_rests_on(root, capsys, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0.0, 0.0))
    say_expected(root, "dot", "cpu", 50.0, 2, labels=700)
    part = "46.7 min of it for 700 labels by a person at 900 an hour"
    whole = "all 2 runs of the sweep: about 1.67 h, 0.17 USD"
    assert capsys.readouterr().out == f"dot: about 50.0 min, 0.08 USD, {part}; {whole}\n"


def test_a_busy_machine_is_named(root, capsys, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (9.13, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    say_expected(root, "dot", "cpu", 0.6)
    assert capsys.readouterr().out == "dot: about 36 s (while this machine is as busy as now: load 9.1 on 2 cores)\n"
