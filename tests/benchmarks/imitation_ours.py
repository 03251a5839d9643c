"""One run of ours for the comparison with the `imitation` library; `imitation_benchmark.py` starts it.

The trainer as `repro train` runs it, with metrics and preferences on disk; only the run folder is left out. Prints a
line of JSON: seconds of training (from making the environments on; without imports), environment steps taken, labels,
mean true returns.

    PYTHONPATH=template/src python tests/benchmarks/imitation_ours.py seals-cartpole 0 [SETTING=VALUE ...]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from imitation_common import TASKS, StepCounter, mean_return
from repro.config import Config, load_config
from repro.envs import describe_environment
from repro.experience.playing import policy_of
from repro.preferences.store import PreferenceStore
from repro.tracking.metrics import MetricsWriter, read_metrics
from repro.training import make_trainer
from repro.training.trainer import Trainer

PRESETS = Path(__file__).resolve().parents[2] / "template" / "presets"
# A preset, and where we differ from it, by tuning on seeds from 100 on.
CARTPOLE = {
    "env.max_steps": 500,
    "env.fixed_horizon": "false",  # seals' goes on by itself, the plain one is to have episodes of any length
    "env.reference_return": 500,
    "agent.minibatches": 4,
    "agent.learning_rate": 2e-3,
    "preferences.segment_steps": 40,
    "preferences.initial_labels": 50,
    "preferences.label_decay_steps": "null",
    "preferences.queries": "disagreement",
    "reward_model.hidden": 32,
    "reward_model.learning_rate": 4e-3,
    "reward_model.steps_per_rollout": 25,
}
SETTINGS: dict[str, tuple[str, dict[str, object]]] = {
    "seals-cartpole": ("cartpole-preferences", CARTPOLE | {"env.id": "seals:seals/CartPole-v0"}),
    "cartpole": (
        "cartpole-preferences",
        CARTPOLE
        | {  # clips that end with a fall and clips that do not, told apart by the oracle alone (paper, appendix A.2)
            "preferences.segment_steps": 15,
            "preferences.oracle.episode_end_penalty": 15,
            "preferences.queries": "uniform",
        },
    ),
    "pendulum": (
        "pendulum",
        {
            "reward.source": "learned",
            "agent.minibatches": 8,
            "agent.learning_rate": 2e-3,
            "preferences.initial_labels": 50,
            "preferences.label_decay_steps": "null",
            "reward_model.hidden": 32,
            "reward_model.steps_per_rollout": 10,
        },
    ),
}


def train(config: Config, seed: int, folder: Path) -> tuple[Trainer, list[dict[str, float]]]:
    """Returns the trainer at the end, and its metrics."""
    with (
        PreferenceStore(folder / "preferences.db", describe_environment(config.env)) as store,
        MetricsWriter(folder / "metrics.jsonl") as metrics,
    ):
        trainer = make_trainer(config, seed, "run", store)
        for row in trainer.rows():
            metrics.write(row)
    return trainer, read_metrics(folder / "metrics.jsonl")


def main() -> None:
    task, seed = sys.argv[1], int(sys.argv[2])
    preset, settings = SETTINGS[task]
    given = [f"{key}={value}" for key, value in settings.items()]
    given += [f"preferences.total_labels={TASKS[task].labels}", f"training.total_steps={TASKS[task].steps}"]
    config = load_config(PRESETS / f"{preset}.yaml", (*given, *sys.argv[3:]))
    name = TASKS[task].id
    if name.startswith("seals"):
        import seals  # noqa: F401  (registers its environments)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first of a process loads much
    counter = StepCounter(name)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        trainer, rows = train(config, seed, Path(folder))
        result = {"seconds": time.perf_counter() - start}
    result |= {"labels": rows[-1].get("preferences/labels", 0), "steps": counter.steps or trainer.env_step}
    for kind in ("sampled", "greedy"):
        result[kind] = mean_return(name, policy_of(trainer.agent, kind))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
