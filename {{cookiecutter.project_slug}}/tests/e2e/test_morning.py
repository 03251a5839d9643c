"""A morning's work as it would be typed: each run has its question and its prediction, and its result meets both."""

from __future__ import annotations

from project import Project, find_run
from terminal import Terminal

OPENING = (
    ("Answer: ", "Is three thousand steps enough to learn anything?"),
    ("Answer: ", "Yes: halve them again. No: ten times as many."),
    ("Answer: ", "The smaller preset of yesterday says nothing about this one."),
    ("Choose: ", "somewhat"),
    ("Cause: ", "too few steps | at this learning rate"),
    ("Choose: ", "accepted"),
    ("How, or why: ", "it costs a second to see"),
    ("Choose: ", "very"),
    ("Probability: ", "0.75"),
)


def test_a_mornings_work(project: Project) -> None:
    """Nine commands from the first thought to the ledger."""
    project.ok("log", "add", "the tiny setting has never learned; is it the steps?")
    project.ok("train", "--seed", "100", "--set", "training.total_steps=1280", "--question", "does it run?")
    smoke = project.only_run().id
    launch = Terminal(project, "launch", "--seed", "100", "--set", "gate.after_minutes=0")
    launch.answer(*OPENING)
    assert launch.end() == 0, launch.seen
    (run,) = [run.id for run in project.runs() if run.id != smoke]
    watched = project.ok("watch", run)
    project.ok("evaluate", run)
    closed = project.ok("close", run, "--outcome", "failed", "--cause", "too few steps", "--foreseen", "1")
    compared = project.ok("compare", smoke, run)
    project.ok("log", "hours", "2.5", "reading curves", "--stage", "debugging")
    ledger = project.ok("ledger")

    record = find_run(project.root, run).record
    assert record["question"] == OPENING[0][1] and record["status"] == "finished"
    assert record["prediction"]["failure_probability"] == 0.75
    assert (record["closed"]["outcome"], record["closed"]["foreseen"], record["closed"]["by"]) == (
        "failed",
        0,
        "person",
    )
    assert f"finished: {run}" in watched and "failed" in closed
    assert "training.total_steps" in compared and "1280" in compared.replace(",", "")
    assert " 2.50 " in ledger and run in ledger

    page = project.ok("log")
    assert "never learned" in page and "| debugging | 2.5 | reading curves |" in page
    (row,) = [line for line in page.splitlines() if f"[{run}](" in line]
    assert OPENING[0][1] in row and "too few steps" in row and "▁" in row
    assert "Brier" in project.ok("ledger", "--predictions")
