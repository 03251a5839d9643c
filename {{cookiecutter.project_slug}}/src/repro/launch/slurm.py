"""`repro launch --on slurm`: a job for each run, queued by submitit as one array.

A job does its run as the pool of this machine does. One that SLURM preempts, or whose time is up, is queued again and
goes on from the run's last checkpoint.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.launch.attempts import RunProcesses
from repro.launch.cells import describe_cell, how_to_publish
from repro.reading import UserError, read_toml
from repro.terminal.text import counted
from repro.tracking.archive import Record, RunFolder, read_run
from repro.tracking.locks import creating_runs
from repro.tracking.snapshot import snapshot_path

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

TIME_FACTOR, LEAST_MINUTES = 2, 30  # the time limit of a job: so many times the estimate, and so long at least
TIMEOUTS = 10  # a job is queued again so often after its time was up
ERROR_LENGTH = 300  # characters


class Job:
    """What a job does; SLURM's node finds this class in the snapshot of the run."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.processes: RunProcesses | None = None

    def __call__(self) -> None:
        """Do the run. Raises UserError if it does not finish, so that SLURM lists the job as failed."""
        self.processes = RunProcesses()
        if code := self.processes.do(Path(self.path)):
            raise UserError(f"{self.path}: ended with exit code {code}; see its output.log")

    def checkpoint(self) -> DelayedSubmission:
        """Called by submitit before the job is taken from its node: what is to be done when it is on one again."""
        from submitit.helpers import DelayedSubmission

        if self.processes:
            self.processes.stop()
        return DelayedSubmission(Job(self.path))


def check_slurm(root: Path) -> None:
    """Raise UserError if nothing can be queued from here, or the options in pyproject.toml will not do."""
    if importlib.util.find_spec("submitit") is None:
        raise UserError("--on slurm: submitit is not installed; install it with: pip install -e '.[slurm]'")
    if missing := [program for program in ("sbatch", "srun", "squeue") if shutil.which(program) is None]:
        raise UserError(f"--on slurm: no {missing[0]} here; start from a node of the cluster, or use --on local")
    _settings(root / "pyproject.toml")


def submit(root: Path, runs: Sequence[RunFolder], at_once: int | None) -> None:
    """Queue a job for each of `runs` that has none yet, and say what to do next. Raises UserError.

    All are one array, of which `at_once` jobs run at a time. Its other options are of `[tool.repro.slurm]` in
    pyproject.toml, by submitit's names; by default the time follows from the estimate and the cores from
    `training.threads`.
    """
    with creating_runs(root / "runs"):  # an equal launch may queue them this moment
        queued = _queued_jobs()
        now = [read_run(run.path) for run in runs]
        runs = [run for run in now if run.record.get("slurm_job") not in queued]
        if not runs:
            print("all of them are queued in SLURM already: squeue --me")
            return
        jobs = _queue(root, runs, at_once)
    print("\n".join(map(describe_cell, runs)))
    print(f"{counted(len(runs), 'job')} queued: squeue --me; follow with: repro watch; stop all with: scancel ", end="")
    print(jobs[0].partition("_")[0], flush=True)
    if hint := how_to_publish(root, runs):
        print(f"once they have finished, {hint}", flush=True)


def _queue(root: Path, runs: Sequence[RunFolder], at_once: int | None) -> list[str]:
    """Queue a job for each run, and record its id there; returns the ids. Raises UserError."""
    import submitit

    options = _options(root, [run.record for run in runs], at_once)
    try:
        executor = submitit.SlurmExecutor(root / "runs" / ".slurm", max_num_timeout=TIMEOUTS)
        executor.update_parameters(**options)
        with contextlib.redirect_stderr(io.StringIO()), executor.batch():  # the error has what is written there
            jobs = [executor.submit(Job(str(run.path))) for run in runs]
    except (ValueError, submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
        said = " ".join(str(error).split())[:ERROR_LENGTH]
        raise UserError(f"SLURM took no job: {said}; its options are in pyproject.toml, [tool.repro.slurm]") from None
    for run, job in zip(runs, jobs, strict=True):
        run.revise(lambda record, job_id=job.job_id: _waits_for(job_id, record))  # type: ignore[misc]
    return [job.job_id for job in jobs]


def _options(root: Path, records: Sequence[Record], at_once: int | None) -> dict[str, Any]:
    """Options of the array by submitit's names."""
    minutes = max(record.get("estimate_minutes") or 0 for record in records)
    source = snapshot_path(root, records[0]["code_hash"]) / "src"
    options: dict[str, Any] = {
        "job_name": records[0]["name"],
        "time": max(LEAST_MINUTES, round(TIME_FACTOR * minutes)),
        "cpus_per_task": records[0]["params"]["training"]["threads"],
        "array_parallelism": len(records),
        "stderr_to_stdout": True,
        "setup": [f'export PYTHONPATH={shlex.quote(str(source))}"${{PYTHONPATH:+:$PYTHONPATH}}"'],
    }
    if records[0]["device"] == "cuda":
        options["gpus_per_node"] = 1
    settings = _settings(root / "pyproject.toml")
    settings["setup"] = options["setup"] + settings.get("setup", [])
    return options | settings | ({"array_parallelism": at_once} if at_once else {})


def _settings(pyproject: Path) -> dict[str, Any]:
    """`[tool.repro.slurm]`. Raises UserError for what would only be noticed once there are runs, or jobs."""
    table = read_toml(pyproject).get("tool", {}).get("repro", {}).get("slurm", {})
    if not isinstance(table, dict):
        raise UserError(f"{pyproject}: [tool.repro.slurm]: write a table of options, such as partition")
    time, setup = table.get("time", LEAST_MINUTES), table.get("setup", [])
    if type(time) is not int or time < 1:
        raise UserError(f"{pyproject}: [tool.repro.slurm] time = {time!r}: must be a whole number of minutes")
    if not isinstance(setup, list) or not all(isinstance(line, str) for line in setup):
        raise UserError(f'{pyproject}: [tool.repro.slurm] setup = {setup!r}: must be a list: ["module load cuda"]')
    return table


def _queued_jobs() -> set[str]:
    """The ids of this user's jobs that wait or run. Raises UserError if SLURM does not answer."""
    done = subprocess.run(["squeue", "--me", "-h", "-r", "-o", "%i"], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"--on slurm: squeue does not work here: {reason}")
    return set(done.stdout.split())


def _waits_for(job_id: str, record: Record) -> Record:
    """What the record of a run says once its job is queued: it waits on no machine until one takes it."""
    waits = {"status": "queued", "host": f"SLURM, job {job_id}", "closed": None} if record["status"] == "queued" else {}
    return {"slurm_job": job_id} | waits
