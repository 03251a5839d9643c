"""`repro launch --on slurm` against a real SLURM on this machine: jobs that are taken from their node go on.

apt-get install slurm-wlm munge && pytest tests/e2e/test_slurm.py -s     # as root, e.g. in a container
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project, assert_equal_runs, line_count, wait_until
from slurm_cluster import slurm, why_not

from repro.tracking.archive import RunFolder, read_run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]
LONGER = ("--set", "training.total_steps=20480")  # time enough to be interrupted in


@pytest.fixture
def cluster(project: Project) -> Iterator[Project]:
    """A project on a machine with SLURM."""
    pytest.importorskip("submitit")
    with tempfile.TemporaryDirectory(prefix="slurm") as folder, slurm(Path(folder) / "s") as environment:
        project.env |= {"SLURM_CONF": environment["SLURM_CONF"]}
        yield project


def run_of(project: Project, seed: int) -> RunFolder:
    (run,) = [run for run in project.runs() if run.record["seed"] == seed]
    return run


def tell(project: Project, *command: str) -> None:
    subprocess.run(command, env=project.env, check=True, capture_output=True)


def test_preempted_jobs_go_on_from_their_checkpoints(cluster: Project) -> None:
    """Seed 100 is taken from its node and queued again by SLURM, 101 warned by its signal, which submitit answers."""
    options = ("--on", "slurm", *LONGER, "--question", "does it go on?")
    said = cluster.ok("launch", "--seeds", "100,101", *options, "--at-once", "1")
    assert "2 jobs queued" in said
    assert "all of them are queued in SLURM already" in cluster.ok("launch", "--seeds", "100,101", *options)
    runs = [run_of(cluster, seed) for seed in (100, 101)]
    for run, interrupt in zip(runs, (("scontrol", "requeue"), ("scancel", "--signal=USR2")), strict=True):
        wait_until(lambda run=run: line_count(run.path / "metrics.jsonl") >= 10)
        if run is runs[0]:
            assert read_run(runs[1].path).record["status"] == "queued"  # as one at a time is done
        tell(cluster, *interrupt, run.record["slurm_job"])
    for run in runs:
        wait_until(lambda run=run: read_run(run.path).record["status"] == "finished")
        assert len(read_run(run.path).record["resumed"]) == 1

    alone = cluster.queue(100, "training.total_steps=20480")
    cluster.ok("resume", alone.id)
    assert_equal_runs(runs[0], alone)
    assert "nothing is left to do" in cluster.ok("launch", "--seeds", "100,101", *options)


def test_a_job_that_is_cancelled_is_queued_again_by_the_same_launch_and_what_sbatch_says_is_told(
    cluster: Project,
) -> None:
    options = ("launch", "--seed", "100", "--on", "slurm", *LONGER)
    cluster.ok(*options)
    run = cluster.only_run()
    wait_until(lambda: line_count(run.path / "metrics.jsonl") >= 1)
    tell(cluster, "scancel", run.record["slurm_job"])
    wait_until(lambda: read_run(run.path).record["status"] == "interrupted")
    wait_until(lambda: not subprocess.run(["squeue", "-h"], env=cluster.env, capture_output=True, check=True).stdout)
    assert f"goes on: {run.id}" in cluster.ok(*options)
    assert cluster.only_run().record["slurm_job"] != run.record["slurm_job"]
    wait_until(lambda: read_run(run.path).record["status"] == "finished")

    pyproject = cluster.root / "pyproject.toml"
    text = pyproject.read_text()
    pyproject.write_text(text + '\n[tool.repro.slurm]\npartition = "nowhere"\n')
    assert "SLURM took no job: " in (line := cluster.refused(*options, "--ablation", "no-noise-term"))
    assert "invalid partition" in line and "[tool.repro.slurm]" in line
    pyproject.write_text(text + '\n[tool.repro.slurm]\npartitoin = "test"\n')
    assert "partitoin" in cluster.refused(*options, "--ablation", "no-noise-term")
