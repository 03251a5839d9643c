"""Twenty launches at once: whatever they share, the archive, the work log, the index, has each run once."""

from __future__ import annotations

import subprocess
import sys

from project import Project

from repro.tracking.index import list_summaries

SEEDS = range(100, 120)
LEAST = ("reward.source=environment", "training.total_steps=256", "env.image_size=36")  # one rollout

# Each is a process of its own that does all of `repro launch`; only torch, which takes seconds, is loaded before.
LAUNCHES = """
import os, sys
import torch._dynamo
import repro.preflight.estimate
from repro.cli import main
first, last, *options = sys.argv[1:]
children = []
for seed in range(int(first), int(last) + 1):
    child = os.fork()
    if child == 0:
        sys.argv = ["repro", "launch", "--seed", str(seed), *options, "--wait"]
        main()
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_twenty_launches_at_once(project: Project) -> None:
    options = [word for override in LEAST for word in ("--set", override)]
    command = [sys.executable, "-P", "-c", LAUNCHES, str(SEEDS[0]), str(SEEDS[-1]), *options]
    done = subprocess.run(command, cwd=project.root, env=project.env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

    runs = project.runs()
    assert sorted(run.record["seed"] for run in runs) == list(SEEDS)
    assert {run.record["status"] for run in runs} == {"finished"}
    assert len({run.record["code_hash"] for run in runs}) == 1
    assert len(list((project.root / "runs/.snapshots").iterdir())) == 1
    assert not list((project.root / "runs").glob(".new-*"))
    for run in runs:
        assert (run.path / "metrics.jsonl").read_bytes().count(b"\n") == 1

    page = project.ok("log")
    for run in runs:
        (row,) = [line for line in page.splitlines() if f"[{run.id}](" in line]
        assert "256 steps" in row
    assert sorted(summary["id"] for summary in list_summaries(project.root)) == sorted(run.id for run in runs)
