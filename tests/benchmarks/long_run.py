"""Whether time grows with the steps of a run, and memory does not.

Each kind of run is made with N, 2 N and 4 N steps, whole (metrics, checkpoints, health checks, preferences) but for
videos and W&B, in a process of its own. Time is that of the processor, the loading of libraries not counted. Where
other programs run even that varies; so a trainer that has done 2 N steps and one that has done N / 4 take turns in one
process, rollout by rollout, and the median ratio of what a rollout costs them tells whether age does. Memory is what
each row of metrics says (`memory/rss_mb`), and the peak. Writes docs/results/long-run.md.

    PYTHONPATH=template/src python tests/benchmarks/long_run.py    (about half an hour of one core)

In an environment of a generated project.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PRESETS = ROOT / "template" / "presets"
PAGE = ROOT / "docs" / "results" / "long-run.md"
PAIRS = 15  # rollouts that the old trainer and the young one make in turn
SHARES = (0.25, 0.5, 0.75, 1.0)  # of a run, at which memory is shown
COMMON = ("evaluation.video_rollouts=0", "training.device=cpu", "training.precision=float32", "training.threads=1")


@dataclass(frozen=True)
class Kind:
    """What is trained, and with how many steps at least."""

    title: str
    preset: str
    steps: int
    overrides: tuple[str, ...] = ()


KINDS = {
    "cartpole": Kind("PPO, CartPole", "cartpole", 131_072),
    "dqn": Kind("DQN, CartPole, replay buffer of 10,000", "cartpole-dqn", 16_000, ("agent.buffer_size=10000",)),
    "dot": Kind(
        "PPO, moving dot of 42 x 42 pixels, 700 labels", "moving-dot-small", 8_192, ("preferences.total_labels=700",)
    ),
    "pong": Kind("PPO, Pong", "pong", 4_096, ("env.num_envs=8", "training.precision=auto")),
    "pong-preferences": Kind(
        "PPO, Pong from 200 preferences, the paper's reward model (8 environments)",
        "pong-preferences",
        10_240,
        (
            "env.num_envs=8",
            "training.precision=auto",
            "preferences.initial_labels=50",
            "preferences.total_labels=200",
            "preferences.label_decay_steps=null",
            "reward_model.pretraining_steps=10",
        ),
    ),
}


def train(kind: Kind, steps: int) -> dict:
    """One run in this process: seconds of processor time, rows of metrics, peak memory in MiB."""
    import torch
    from repro.config import load_config
    from repro.session.run import train_run
    from repro.tracking.archive import RunFolder
    from repro.tracking.metrics import read_metrics
    from repro.tracking.wandb import WandbSettings

    config = load_config(PRESETS / f"{kind.preset}.yaml", (*COMMON, *kind.overrides, f"training.total_steps={steps}"))
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first of a process loads much
    before = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder), {"id": "run", "seed": 100})
        train_run(run, config, WandbSettings(None, "long-run", "disabled"), None)
        seconds = time.process_time() - before
        rows = read_metrics(run.path / "metrics.jsonl")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    memory = [rows[max(0, round(share * len(rows)) - 1)]["memory/rss_mb"] for share in SHARES]
    labels = rows[-1].get("preferences/labels", 0)
    return {"steps": rows[-1]["env_step"], "seconds": seconds, "memory": memory, "peak": peak, "labels": labels}


def age(kind: Kind, steps: int) -> list[float]:
    """What a rollout costs a trainer that has done so many steps, over what it costs one with an eighth: each pair."""
    from repro.config import load_config
    from repro.preferences.store import PreferenceStore
    from repro.training import make_trainer

    config = load_config(PRESETS / f"{kind.preset}.yaml", (*COMMON, *kind.overrides))
    room = (PAIRS + 1) * config.env.num_envs * config.agent.rollout_steps
    overrides = (*COMMON, *kind.overrides, f"training.total_steps={steps + room}")
    config = load_config(PRESETS / f"{kind.preset}.yaml", overrides)
    with tempfile.TemporaryDirectory() as folder:
        stores = [PreferenceStore(Path(folder) / f"{name}.db", "long-run") for name in ("old", "young")]
        trainers = [make_trainer(config, 100, "run", store) for store in stores]
        rollouts = [trainer.rows() for trainer in trainers]
        for trainer, rows, share in zip(trainers, rollouts, (1, 8), strict=True):
            while trainer.env_step < steps // share:
                next(rows)
        ratios = []
        for _ in range(PAIRS):
            seconds = []
            for rows in rollouts:
                before = time.process_time()
                next(rows)
                seconds.append(time.process_time() - before)
            ratios.append(seconds[0] / seconds[1])
        for store in stores:
            store.close()
    return ratios


def measure(*arguments: object) -> Any:
    """What this file prints with these arguments, in a fresh process."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(command[2:])} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def section(kind: Kind, runs: list[dict], ratios: list[float]) -> list[str]:
    """A table of the three runs of a kind, and what follows from it."""
    shown = " | ".join(f"MiB at {share:.0%}" for share in SHARES)
    lines = [f"## {kind.title}", "", f"| steps | CPU seconds | CPU ms a step | {shown} | peak MiB |"]
    lines += [f"|{'---|' * (len(SHARES) + 4)}"]
    for run in runs:
        memory = " | ".join(f"{value:.0f}" for value in run["memory"])
        per_step = 1e3 * run["seconds"] / run["steps"]
        lines += [f"| {run['steps']:,} | {run['seconds']:.1f} | {per_step:.3f} | {memory} | {run['peak']:.0f} |"]
    grown = runs[-1]["memory"][-1] - runs[-1]["memory"][1]
    quarter = len(ratios) // 4
    low, middle, high = (sorted(ratios)[place] for place in (quarter, len(ratios) // 2, -1 - quarter))
    return [
        *lines,
        "",
        f"A rollout after {2 * kind.steps:,} steps costs {middle:.2f} times what one after {kind.steps // 4:,} does "
        f"(median of {len(ratios)} pairs;",
        f"half of them {low:.2f} to {high:.2f}). The second half of the longest run took {grown:+.1f} MiB.",
        "",
    ]


def bytes_per_label(preset: str, image_size: int) -> int:
    """What a comparison's two segments take: each frame once."""
    from repro.config import load_config

    config = load_config(PRESETS / f"{preset}.yaml")
    return 2 * (config.preferences.segment_steps + config.env.frame_stack - 1) * image_size**2


def main() -> None:
    small, large = bytes_per_label("moving-dot-small", 42), bytes_per_label("moving-dot", 84)
    pong = bytes_per_label("pong-preferences", 84)
    text = [
        "# Long runs: time and memory",
        "",
        "Made by `PYTHONPATH=template/src python tests/benchmarks/long_run.py`: runs of N, 2 N and 4 N steps, each",
        "in a process of its own with one thread, on two shared cores. Seconds are of the processor; with other",
        "programs beside it, as here, they vary by a third from run to run. So an old trainer and a young one took",
        "turns too, in one process. Memory is what the process holds (resident), libraries included, after so large a",
        "share of its rollouts.",
        "",
    ]
    for name, kind in KINDS.items():
        runs = [measure(name, factor * kind.steps) for factor in (1, 2, 4)]
        text += section(kind, runs, measure("age", name, 2 * kind.steps))
        print(text[-3], text[-2], file=sys.stderr, flush=True)
    text += [
        "## What grows by design",
        "",
        f"Labelled comparisons stay in memory as they are asked for: {small:,} bytes each on the dot here, {pong:,} on",
        f"Pong, {large:,} in the preset `moving-dot` (two segments, each frame once), so at most "
        f"{large * 700 / 2**20:,.0f} MiB for its 700.",
        "A replay buffer is reserved whole at the start, but the system counts its pages only as they are filled.",
    ]
    PAGE.write_text("\n".join(text) + "\n")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif sys.argv[1] == "age":
        print(json.dumps(age(KINDS[sys.argv[2]], int(sys.argv[3]))))
    else:
        print(json.dumps(train(KINDS[sys.argv[1]], int(sys.argv[2]))))
