"""Twenty launches at once: whatever they share, the archive, the work log, the index, has each run once.

They are processes of their own, started together, as by a shell script with `&`; each loads torch and starts another
that trains.
"""

from __future__ import annotations

from project import Project

from repro.tracking.index import list_summaries

SEEDS = range(100, 120)
LEAST = ("reward.source=environment", "training.total_steps=256", "env.image_size=36")  # one rollout


def test_twenty_launches_at_once(project: Project) -> None:
    options = [word for override in LEAST for word in ("--set", override)]
    launches = [project.start("launch", "--seed", str(seed), *options, "--wait") for seed in SEEDS]
    done = [(*process.communicate(timeout=900), process.returncode) for process in launches]
    assert [(error, code) for _, error, code in done] == [("", 0)] * len(SEEDS)

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
