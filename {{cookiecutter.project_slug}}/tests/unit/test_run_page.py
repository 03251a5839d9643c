"""The page of one run: all that was asked for, wherever its folder is, and whatever is left of it."""

import json
import subprocess

import pytest
from archive_examples import record

from repro.tracking.archive import RunFolder
from repro.views.run_page import format_remains, format_run


def test_one_run(run_dir):
    fields = {
        "skip_reason": "a quick look",
        "overrides": ["agent.learning_rate=3e-4"],
        "evaluation": {
            "episodes": 100,
            "sampled": {"score": 0.931},
            "greedy": {"score": 0.95},
            "random": {"score": -0.2},
        },
        "prediction": {
            "failure_probability": 0.2,
            "causes": [{"cause": "lr", "response": "accepted", "reason": "cheap"}],
        },
        "wandb": {"mode": "online", "id": "x", "url": "https://wandb.ai/me/p/runs/x"},
        "notes": ["untracked big.npz left out"],
        "status": "failed",
        "exit_code": 1,
    }
    (run_dir / "metrics.jsonl").write_text(
        '{"env_step": 512, "return/mean": 1.23456, "policy/entropy": 1.5, "return/std": 2}\n{"env_st'
    )
    params = {"training": {"total_steps": 1_500_000}, "evaluation": {"actions": "greedy"}}
    text = format_run(RunFolder(run_dir, record(**fields, params=params)))
    for part in (
        "failed (exit code 1)",
        "skipped: a quick look",
        "fails with probability 0.2; lr (accepted: cheap)",
        "https://wandb.ai/me/p/runs/x",
        "repro train --seed 100",
        "948ab30feb101334, commit 0123456789 with changes",
        "untracked big.npz left out",
        "set        agent.learning_rate=3e-4\n",
        f"files      {run_dir}\n",
        "project    p\n",
        "stage      debugging\n",
        "took       1.25 h\n",
        "steps      512 of 1,500,000 steps\n",
        "estimated  1.17 h\n",
        "score sampled 0.931, greedy 0.950 (judged), random",
        "latest metrics:\n          env_step 512\n  return  mean 1.235, std 2\n  policy  entropy 1.5",
        "python 3.11.7",
    ):
        assert part in text
    assert "data" not in {line.partition(" ")[0] for line in text.split("\n")}  # what is empty is left out
    metrics = {"score": 0.912345, "loss": "NaN"}
    assert "score 0.9123, loss NaN" in format_run(RunFolder(run_dir, record(**fields, result_metrics=metrics)))


def test_an_estimate_that_counts_on_a_person_says_so(run_dir):
    text = format_run(RunFolder(run_dir, record(person_labels=700)))
    assert "estimated  1.17 h, a person's 700 labels included\n" in text


@pytest.mark.parametrize("columns", [80, 200, None])
def test_it_fits_the_terminal_and_its_command_can_be_copied(run_dir, columns):
    metrics = {"env_step": 512} | {f"a/b{number}": number for number in range(40)}
    (run_dir / "metrics.jsonl").write_text(json.dumps(metrics) + "\n")
    command = ["repro", "train", *(f"--set=a{n}" for n in range(30)), "--question", "is it? 'yes' \\ $no"]
    run = RunFolder(run_dir, record(question="why? " * 40, command=command))
    text = format_run(run, columns)
    too_long = [line for line in text.split("\n") if len(line) > (columns or 80)]
    assert {line.partition(" ")[0] for line in too_long} <= {"files"}
    copied = text.partition("command    ")[2].partition("\nseed ")[0].replace("repro", "printf '%s\n'", 1)
    assert subprocess.run(["sh", "-c", copied], capture_output=True, text=True).stdout.splitlines() == command[1:]
    assert text.count("\n           why? ") == (1 if columns == 200 else 2)


def test_nothing_that_may_be_looked_for_is_broken(run_dir):
    address = "https://wandb.example/" + "long-" * 20 + "name"
    text = format_run(RunFolder(run_dir, record(wandb={"mode": "online", "url": address}, question="x" * 90)))
    assert f"wandb      {address}" in text.replace("wandb\n          ", "wandb     ") and "x" * 90 in text


def test_a_crashed_run_took_what_its_metrics_say(run_dir):
    (run_dir / "metrics.jsonl").write_text('{"env_step": 512, "time/wall": 125.0}\n')
    crashed = record(status="running", process_start="tick 1", minutes=0)
    assert "took       2.1 min\n" in format_run(RunFolder(run_dir, crashed))


def test_the_last_rollout_is_whole_and_may_go_beyond_the_plan(run_dir):
    params = {"training": {"total_steps": 60_000}}
    text = format_run(RunFolder(run_dir, record(params=params, result_metrics={"env_step": 60_416})))
    assert "steps      60,416 of 60,000 steps, the last rollout being whole\n" in text
    text = format_run(RunFolder(run_dir, record(params=params, result_metrics={"env_step": 60_000})))
    assert "steps      60,000 of 60,000 steps\n" in text


def test_a_record_with_the_bare_minimum(run_dir):
    needed = ("id", "status", "pid", "process_start", "host", "seed", "code_hash", "params_hash", "params")
    text = format_run(RunFolder(run_dir, {name: record()[name] for name in needed}))
    assert "2026-11-21_moving-dot_7f3a" in text and "status     finished" in text


def test_what_remains_of_a_half_written_folder(run_dir):
    (run_dir / "metrics.jsonl").write_text('{"env_step": 512, "return/mean": 1.5}\n')
    (run_dir / "checkpoints").mkdir()
    (run_dir / "checkpoints/agent.pt").touch()
    text = format_remains(run_dir)
    assert "unreadable" in text and "  checkpoints/agent.pt\n" in text and "return  mean 1.5" in text


def test_control_characters_reach_no_terminal(run_dir):
    hostile = "\x1b[2Jcleared\x07\nsecond line\r over"
    text = format_run(RunFolder(run_dir, record(question=hostile, command=[hostile], host=hostile)))
    assert not set("\x1b\x07\r") & set(text) and text.count("second line over") == 3
