"""Closing under fire: killed at any moment, or by many at once, a run is closed whole, once, or not at all."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

from ledger_examples import make_project, record, write_run

import repro
from repro.tracking.archive import read_run

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(repro.__file__).parents[1])}
# Closes the run again and again, with another cause each time, in a child that is killed after so many milliseconds.
KILLER = """
import json, os, signal, sys, time
from pathlib import Path
from repro.tracking.archive import read_run
from repro.runs.closing import Closing, close_run

root, folder, *delays = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]
for delay in delays:
    child = os.fork()
    if child == 0:
        for number in range(10_000):
            close_run(root, read_run(folder), Closing("failed", f"cause {delay} {number}"))
        os._exit(0)
    time.sleep(float(delay) / 1000)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    run = json.loads((folder / "run.json").read_bytes())
    pages = [page.read_text() for page in (root / "worklog").glob("*.md")]
    print(json.dumps([run, sum(page.count("7f3a](") for page in pages), "".join(pages)]))
"""
CLOSER = """
import sys
from pathlib import Path
from repro.tracking.archive import read_run
from repro.runs.closing import Closing, close_run

run = read_run(Path(sys.argv[2]))
sys.stdin.readline()
replaced = close_run(Path(sys.argv[1]), run, Closing("failed", sys.argv[3]))
print(replaced["cause"] if replaced else "nothing")
"""


def test_killed_at_fifty_moments(tmp_path):
    root = make_project(tmp_path)
    folder = write_run(root, status="running", ended=None).path
    delays = [f"{random.Random(5).uniform(0, 1) * 40 * step / 50:.2f}" for step in range(50)]
    command = [sys.executable, "-c", KILLER, str(root), str(folder), *delays]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(seen) == 50
    expected = record(status="running", ended=None)
    for run, rows, pages in seen:
        assert {**run, "closed": None} == expected
        closing = run["closed"]
        assert closing is None or (closing["outcome"], closing["by"]) == ("failed", "person")
        assert rows <= 1 and pages.count("results:end") == pages.count("results:start")
    assert seen[-1][0]["closed"] and seen[-1][1] == 1
    assert len({json.dumps(run["closed"]) for run, _, _ in seen}) > 10  # it was killed in the midst of closing


def test_many_close_at_once(tmp_path):
    root = make_project(tmp_path)
    folder = write_run(root).path
    command = [sys.executable, "-c", CLOSER, str(root), str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": ENVIRONMENT}
    closers = [subprocess.Popen([*command, f"cause {number}"], **pipes) for number in range(8)]
    for closer in closers:
        closer.stdin.write("go\n")
        closer.stdin.flush()
    replaced = [closer.communicate(timeout=60)[0].strip() for closer in closers]
    last = read_run(folder).record["closed"]["cause"]
    assert sorted([*replaced, last]) == sorted(["nothing", *(f"cause {number}" for number in range(8))])
    page = (root / "worklog/2026-11-21.md").read_text()
    assert page.count("7f3a](") == 1
