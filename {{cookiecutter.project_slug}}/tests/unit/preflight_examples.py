"""Parameters, a check and earlier runs that the tests of the checks before launch share."""

from pathlib import Path

from archive_examples import new_run

from repro.config import load_config
from repro.preflight.checks import run_checks

PROJECT = Path(__file__).parents[2]
SMALL = [
    "env.image_size=36",
    "env.frame_stack=4",  # so short segments of fewer frames repeat each other too often
    "training.threads=1",
    "training.precision=float32",
    "env.num_envs=4",
    "agent.rollout_steps=64",
    "preferences.segment_steps=8",
    "preferences.initial_labels=60",
]


def config(*overrides):
    return load_config(PROJECT / "presets" / "moving-dot.yaml", [*SMALL, *overrides])


def check(name, root, *overrides):
    ((made, result),) = run_checks([name], config(*overrides), root)
    assert made == name and result.reason and result.remedy
    assert "\n" not in result.seen + result.reason + result.remedy
    return result


def earlier_run(root, *overrides, score=None, status="finished", change=lambda params: None):
    """A run of the code in `root`, evaluated if there is a `score`; `change` edits its parameters."""
    params = config(*overrides).model_dump(mode="json")
    change(params)
    run = new_run(root, config=params)
    run.update(status=status)
    if score is not None:
        run.update(evaluation={"sampled": {"score": score}, "greedy": {"score": 1.0}})
    return run
