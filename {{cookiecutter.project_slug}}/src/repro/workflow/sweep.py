"""`repro launch` of several seeds or ablations: one gate, a run for each, done one after another by one process."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.config import Config
from repro.config.ablations import WHOLE, chosen_ablations
from repro.reading import UserError
from repro.tracking.archive import RunFolder, read_run, this_process
from repro.tracking.creation import create_run, keep_code
from repro.tracking.wandb import read_wandb_settings
from repro.workflow.budget import read_budget, stage_name
from repro.workflow.earlier_runs import check_clock
from repro.workflow.processes import start_process
from repro.workflow.runs import TERMINATED, RunRequest, pass_gate


def variants(config: Config, ablation: str | None, ablations: str | None) -> dict[str, Config]:
    """The parameters by ablation; WHOLE is the method with nothing taken away. Raises UserError."""
    if ablations is None:
        return {ablation or WHOLE: config}
    names = [name.strip() for name in ablations.split(",")]
    if "" in names:
        raise UserError(f"--ablations {ablations!r}: a name is empty; write them as: none,no-ensemble")
    chosen, left_out = chosen_ablations(config, names)
    for note in left_out:
        print(f"left out: {note}", flush=True)
    return chosen


def prepare_sweep(
    root: Path, configs: Mapping[str, Config], seeds: Sequence[int], request: RunRequest
) -> list[RunFolder]:
    """Check and estimate each of `configs`, pass the gate once for all, and create their runs. Raises UserError.

    They are queued seed by seed, so that all ablations of the first seeds can be compared early. The gate is that of
    the first of `configs`.
    """
    from repro.preflight.estimate import estimate_minutes
    from repro.training.device import choose_device, resolve_auto
    from repro.training.loops import check_algorithm
    from repro.workflow.expected import say_expected
    from repro.workflow.prelaunch import check_given

    if request.reward_model:
        raise UserError("--reward-model: is for one run; of several each learns its own, so leave it out")
    if request.preferences:
        raise UserError(
            "--preferences: is for one run; of several each collects comparisons of its own, so leave it out"
        )
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seed: {', '.join(map(str, seeds))}: one is there twice; give each once")
    importlib.import_module("repro.training.session")  # as the runs will: an error in it shows before there are any
    read_wandb_settings(root / "pyproject.toml")
    stage = stage_name(read_budget(root), request.stage)
    first = next(iter(configs.values()))
    device = choose_device(first.training.device)
    for config in configs.values():
        check_algorithm(config)
    check_clock(root)
    code = keep_code(root)
    check_given(root, first, code.hash, request.answers, request.skip, request.question)
    minutes = {name: estimate_minutes(config, seeds[0]) for name, config in configs.items()}
    runs, total = len(configs) * len(seeds), len(seeds) * sum(minutes.values())
    say_expected(root, first.name, device.type, total / runs, runs)
    gate = pass_gate(root, first, code.hash, total, request.answers, request.skip, question=request.question, runs=runs)
    for seed in sorted({*seeds} & {*first.seeds.final}):
        print(f"note: seed {seed} is one of seeds.final; after tuning on it, nothing can be claimed on it")
    shared: dict[str, Any] = {
        "name": first.name,
        "command": ["repro", *sys.argv[1:]],
        "overrides": request.overrides,
        "stage": stage,
        "question": request.question,
        "gate": gate,
        "device": device.type,
    }
    queue = []
    for seed in seeds:
        for name, config in configs.items():
            facts: dict[str, Any] = {
                "config": resolve_auto(config),
                "seed": seed,
                "ablation": None if name == WHOLE else name,
                "estimate_minutes": float(f"{minutes[name]:.3g}"),
            }
            queue.append(create_run(root, code, **shared, **facts))
            queue[-1].update(status="queued")
    return queue


def start_sweep(root: Path, queue: Sequence[RunFolder]) -> subprocess.Popen[bytes]:
    """Start the process that does the runs, apart from this terminal, and say what to do next. Raises UserError."""
    paths = [str(run.path) for run in queue]
    process = start_process(root, queue[0].record["code_hash"], "_queue", *paths, start_new_session=True)
    while read_run(queue[0].path).record["status"] == "queued":
        if process.poll() is not None:
            raise UserError(f"{queue[0].id}: did not get under way; see why with: repro resume {queue[0].id}")
        time.sleep(0.05)
    for run in queue:
        print(f"{run.id}  seed {run.record['seed']}  {run.record['ablation'] or 'the whole method'}")
    print(
        f"{len(queue)} runs, one after another, have started; follow them with: repro watch; "
        f"stop them all with: kill {process.pid}",
        flush=True,
    )
    return process


def work_off(paths: Sequence[Path]) -> int:
    """Do these runs one after another, however each ends. Returns the largest of their exit codes.

    When this process is terminated, the run that is under way is interrupted, and those after it are not begun.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    queue = [read_run(path) for path in paths]
    for run in queue:
        run.update(**this_process())  # it is this one that the queued runs wait for
    codes = []
    for run in queue:
        root = Path(os.path.abspath(run.path)).parent.parent
        process = start_process(root, run.record["code_hash"], "_run", str(run.path))
        try:
            codes.append(abs(process.wait()))
        except (SystemExit, KeyboardInterrupt):
            process.terminate()
            process.wait()
            raise
    return max(codes)
