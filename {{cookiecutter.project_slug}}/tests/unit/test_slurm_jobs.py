"""`--on slurm` as far as it needs no SLURM: `tests/e2e/test_slurm.py` has the rest."""

from __future__ import annotations

import importlib.util
import os
import pickle
from pathlib import Path

import pytest
from project import here

from repro.launch import slurm
from repro.launch.slurm import Job, check_slurm
from repro.reading import UserError
from repro.runs.processes import FAILED
from repro.tracking.archive import read_run


def test_what_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^--on slurm: submitit is not installed; install it with: pip install -e"):
        check_slurm(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^--on slurm: no sbatch here; start from a node of the cluster, or use --on"):
        check_slurm(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--seeds 100,101 --on slurm --wait", "--wait: is for --on local; follow the jobs with: repro watch"),
        ("--seed 100 --on slrum", "--on slrum: write one of 'local', 'slurm'"),
        ("--seeds 100,101 --on slurm", "error: --on slurm: no "),
    ],
)
def test_refused_before_anything_is_computed(shared_project, monkeypatch, capsys, tmp_path, options, said):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = here(shared_project, monkeypatch, capsys, "launch", *options.split())
    assert code == 2 and said in err and err.count("\n") == 1
    assert not (shared_project.root / "runs").exists()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ('time = "04:00:00"', "time = '04:00:00': must be a whole number of minutes"),
        ("time = true", "time = True: must be a whole number of minutes"),
        ("time = 0", "time = 0: must be a whole number of minutes"),
        ('setup = "module load cuda"', "setup = 'module load cuda': must be a list: [\"module load cuda\"]"),
        ("setup = [1]", "setup = [1]: must be a list"),
    ],
)
def test_options_that_will_not_do_are_refused_before_there_are_runs(
    project, monkeypatch, capsys, tmp_path, option, said
):
    add_options(project, option)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr("shutil.which", lambda program: program)
    code, _, err = here(project, monkeypatch, capsys, "launch", "--seeds", "100,101", "--on", "slurm")
    assert code == 2 and f"pyproject.toml: [tool.repro.slurm] {said}" in err and err.count("\n") == 1
    assert not (project.root / "runs").exists()


def add_options(project, *lines):
    with open(project.root / "pyproject.toml", "a") as file:
        file.write("\n".join(["", "[tool.repro.slurm]", *lines, ""]))


class Processes:
    """Stands for what does the run of a job."""

    code, stopped = 0, False

    def do(self, path):
        assert path == Path("runs/x")
        return self.code

    def stop(self):
        self.stopped = True


def test_a_job_fails_with_its_run_and_is_the_same_again_after_a_checkpoint(monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setattr(slurm, "RunProcesses", Processes)
    job = pickle.loads(pickle.dumps(Job("runs/x")))  # noqa: S301  as submitit does with it
    job.checkpoint()  # before it has begun
    assert job() is None
    again = job.checkpoint()
    assert job.processes.stopped and isinstance(again.function, Job)
    assert (again.function.path, again.function.processes) == ("runs/x", None)
    monkeypatch.setattr(Processes, "code", FAILED)
    with pytest.raises(UserError, match=r"runs/x: ended with exit code 1; see its output\.log"):
        job()


def test_options_of_the_jobs(shared_project):
    run = shared_project.queue(100, "training.threads=2")
    run.record |= {"estimate_minutes": 40.4, "device": "cpu"}
    options = slurm._options(shared_project.root, [run.record, run.record | {"estimate_minutes": 3.0}], None)
    (setup,) = options.pop("setup")
    assert setup.startswith("export PYTHONPATH=") and f"/.snapshots/{run.record['code_hash']}/src" in setup
    assert options == {
        "job_name": "tiny",
        "time": 81,
        "cpus_per_task": 2,
        "array_parallelism": 2,
        "stderr_to_stdout": True,
    }
    short = run.record | {"estimate_minutes": None, "device": "cuda"}
    options = slurm._options(shared_project.root, [short], 1)
    assert (options["time"], options["gpus_per_node"], options["array_parallelism"]) == (30, 1, 1)


def test_a_persons_options_come_after_what_the_jobs_need_and_before_what_was_typed(project):
    add_options(project, "time = 240", 'partition = "gpu"', "array_parallelism = 3", 'setup = ["module load cuda"]')
    run = project.queue(100)
    run.record |= {"estimate_minutes": 3.0, "device": "cpu"}
    options = slurm._options(project.root, [run.record], None)
    assert (options["time"], options["partition"], options["array_parallelism"]) == (240, "gpu", 3)
    assert options["setup"][0].startswith("export PYTHONPATH=") and options["setup"][1:] == ["module load cuda"]
    assert slurm._options(project.root, [run.record], 1)["array_parallelism"] == 1


def test_what_sbatch_refuses_is_one_line(project, monkeypatch, tmp_path):
    pytest.importorskip("submitit")
    put_programs(tmp_path, monkeypatch, squeue="exit 0", sbatch="echo 'all queues are closed'")
    with pytest.raises(UserError, match=r"^SLURM took no job: .*; its options are in pyproject.toml, \[tool.repro.sl"):
        slurm.submit(project.root, [project.queue(100)], None)


def test_an_equal_launch_queues_nothing_twice(project, monkeypatch, tmp_path, capsys):
    pytest.importorskip("submitit")
    put_programs(tmp_path, monkeypatch, squeue="cat $0.jobs", sbatch="echo 'Submitted batch job 7'")
    (tmp_path / "squeue.jobs").touch()
    run = project.queue(100)
    slurm.submit(project.root, [read_run(run.path)], None)
    assert "1 job queued" in capsys.readouterr().out
    (tmp_path / "squeue.jobs").write_text(f"{read_run(run.path).record['slurm_job']}\n")
    slurm.submit(project.root, [run], None)  # as it was before the other launch queued it
    assert "all of them are queued in SLURM already" in capsys.readouterr().out


def put_programs(folder, monkeypatch, **lines):
    """Programs of SLURM that do what a line of shell says."""
    for program, line in ({"srun": "exit 1"} | lines).items():
        (folder / program).write_text(f"#!/bin/sh\n{line}\n")
        (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
