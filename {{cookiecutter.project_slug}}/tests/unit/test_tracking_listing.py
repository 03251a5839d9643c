"""Tables of runs: complete where there is room, readable at 80 columns, harmless whatever was typed into them."""

import os
import time
from datetime import datetime, timedelta

import pytest

from repro.tracking.archive import _this_process
from repro.tracking.listing import format_run, format_runs

START = datetime(2026, 11, 21, 10, 0, 0).astimezone()


def record(code="7f3a", minutes=75, **fields):
    return {
        "id": f"2026-11-21_moving-dot_{code}",
        "name": "moving-dot",
        "status": "finished",
        "kind": "train",
        "cell": None,
        "command": ["repro", "train", "--seed", "100"],
        **_this_process(),
        "devices": {"cpu": "Some CPU", "cores": 2},
        "started": START.isoformat(),
        "ended": (START + timedelta(minutes=minutes)).isoformat() if minutes is not None else None,
        "exit_code": 0,
        "commit": "0123456789abcdef",
        "dirty": True,
        "code_hash": "948ab30feb101334",
        "notes": [],
        "seed": 100,
        "params": {"training": {"total_steps": 1_500_000}},
        "versions": {"python": "3.11.7", "torch": None},
        "data_hashes": {},
        "question": "Does a smaller ensemble learn the dot as fast?",
        "prediction": None,
        "skip_reason": None,
        "overrides": [],
        "resumed": [],
        "result": "score 0.91 of optimal on 100 episodes",
        "result_metrics": None,
        "wandb": None,
    } | fields


def test_without_a_terminal_a_run_is_one_line_with_everything():
    lines = format_runs([record(), record("8f3a", seed=5)]).split("\n")
    assert len(lines) == 3
    assert lines[0].split() == ["run", "status", "seed", "steps", "time", "result", "question"]
    for part in ("2026-11-21_moving-dot_7f3a", "finished", "100", "1.5M", "1h15m", record()["result"]):
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
    lines = format_runs(rows, width=width).split("\n")
    columns = [sum(2 if ord(letter) > 0x2E80 else 1 for letter in line) for line in lines]
    assert max(columns) <= width
    text = "\n".join(lines)
    assert "finished" in text and "1h15m" in text and "gate skipped: in a hurry" in text
    if width != 120:
        assert record()["question"] in text and record()["result"] in text
    if width == 200:
        assert len(lines) == 4


def test_the_steps_done_win_over_those_planned():
    assert " 1.23k " in format_runs([record(result_metrics={"env_step": 1234})])
    assert " 999 " in format_runs([record(result_metrics={"env_step": 999})])


@pytest.mark.parametrize(("minutes", "shown"), [(0.5, "30s"), (2.25, "2m15s"), (600, "10h00m")])
def test_durations(minutes, shown):
    assert f" {shown} " in format_runs([record(minutes=minutes)])


def test_running_and_crashed_runs():
    started = (datetime.now().astimezone() - timedelta(seconds=3)).isoformat()
    running = format_runs([record(minutes=None, status="running", started=started, exit_code=None)])
    assert " running " in running and any(f" {seconds}s " in running for seconds in (3, 4))
    crashed = format_runs([record(minutes=None, status="running", process_start="tick 1")])
    assert " crashed " in crashed


def test_control_characters_reach_no_terminal():
    hostile = "\x1b[2Jcleared\x07\nsecond line\r over"
    for text in (format_runs([record(question=hostile, result=hostile)]), format_run(record(question=hostile))):
        assert "\x1b" not in text and "\x07" not in text and "\r" not in text and "second line over" in text
    assert len(format_runs([record(question=hostile)]).split("\n")) == 2


def test_no_runs_and_an_unreadable_one():
    assert "no runs yet" in format_runs([])
    text = format_runs([{"id": "2026-11-21_dot_0000", "status": "unreadable"}, record()], width=80)
    assert "2026-11-21_dot_0000" in text and "run.json is missing or damaged" in text


def test_one_run():
    fields = {
        "skip_reason": "a quick look",
        "overrides": ["agent.learning_rate=3e-4"],
        "evaluation": {
            "episodes": 100,
            "sampled": {"score": 0.931},
            "greedy": {"score": 0.95},
            "random": {"score": -0.2},
        },
        "prediction": {"success": 0.8},
        "wandb": {"mode": "online", "id": "x", "url": "https://wandb.ai/me/p/runs/x"},
        "notes": ["untracked big.npz left out"],
        "status": "failed",
        "exit_code": 1,
    }
    text = format_run(
        record(**fields), {"env_step": 512, "return/mean": 1.23456, "policy/entropy": 1.5, "return/std": 2}
    )
    for part in (
        "failed (exit code 1)",
        "skipped: a quick look",
        "success 0.8",
        "https://wandb.ai/me/p/runs/x",
        "repro train --seed 100",
        "948ab30feb101334, commit 0123456789 with changes",
        "untracked big.npz left out",
        "set        agent.learning_rate=3e-4\n",
        "files      runs/2026-11-21_moving-dot_7f3a",
        "sampled 0.931, greedy 0.950, random -0.200 of the optimal return over 100 episodes",
        "latest metrics:\n          env_step 512\n  return  mean 1.235, std 2\n  policy  entropy 1.5",
        "python 3.11.7",
    ):
        assert part in text
    assert "data" not in {line.partition(" ")[0] for line in text.split("\n")}  # what is empty is left out
    assert "score 0.9123, loss NaN" in format_run(record(**fields, result_metrics={"score": 0.912345, "loss": "NaN"}))


def test_thousands_of_runs_take_less_than_a_second():
    rows = [record(f"{index:04x}", pid=os.getpid()) for index in range(5000)]
    start = time.perf_counter()
    format_runs(rows, width=200)
    assert time.perf_counter() - start < 1
