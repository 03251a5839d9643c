"""The task is learned: on several tuning seeds, judged on full episodes by true return, with the rate of success."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from project import SOURCE, Project, find_run

from repro.config import load_config
from repro.results.proportions import wilson_interval

# The moving dot in small images, for minutes instead of half an hour; the rest is as in the preset.
SMALL = ("env.image_size=42", "training.threads=1", "agent.learning_rate=1e-3")
SMALL_LEARNED = (
    *("training.total_steps=49152", "reward_model.steps_per_rollout=10"),
    *("env.num_envs=8", "agent.rollout_steps=64", "agent.minibatches=4"),
)
SMALL_TRUE = ("training.total_steps=65536",)
SUCCESS, FAIR = 0.85, 0.6  # shares of the optimal return; a random policy's is 0


def scores(project: Project, preset: str, overrides: Sequence[str], seeds: Sequence[int], at_once: int) -> list[float]:
    """Train and evaluate, `at_once` seeds at a time; the scores by sampled actions. Prints the rate of success."""
    config = load_config(SOURCE / "presets" / f"{preset}.yaml", overrides)
    project.params.write_text(json.dumps(config.model_dump(mode="json")))
    runs = [project.queue(seed) for seed in seeds]
    with ThreadPoolExecutor(at_once) as pool:
        ended = pool.map(lambda run: project.start("resume", run.id, stdout=None, stderr=None).wait(), runs)
        assert [*ended] == [0] * len(runs)
    found = []
    for seed, run in zip(seeds, runs, strict=True):
        project.does("evaluate", run.id)
        record = find_run(project.root, run.id).record
        found.append(record["evaluation"]["sampled"]["score"])
        print(f"seed {seed}: {found[-1]:.3f} of the optimal return; training ended with {record['result']}")
        shutil.rmtree(run.path / "checkpoints")
    successes = sum(score >= SUCCESS for score in found)
    low, high = wilson_interval(successes, len(found))
    print(f"{successes} of {len(found)} seeds reach {SUCCESS:g} ({low:.0%} to {high:.0%} with 95% confidence)")
    return found


def test_small_dot_from_synthetic_preferences(project: Project) -> None:
    """At least two of three seeds succeed, and none fails altogether."""
    found = scores(project, "moving-dot", SMALL + SMALL_LEARNED, (100, 101, 102), at_once=2)
    assert sum(score >= SUCCESS for score in found) >= 2 and min(found) >= FAIR


def test_small_dot_from_true_rewards(project: Project) -> None:
    """The same for the baseline, which is quicker."""
    found = scores(project, "moving-dot-true-reward", SMALL + SMALL_TRUE, (100, 101, 102), at_once=2)
    assert sum(score >= SUCCESS for score in found) >= 2 and min(found) >= FAIR


def test_cartpole_by_dqn_from_synthetic_preferences(project: Project) -> None:
    """Off-policy, where each sample is paid what the reward model thinks of it by then."""
    agent = load_config(SOURCE / "presets/cartpole-dqn.yaml").agent.model_dump(mode="json")
    overrides = (f"agent={json.dumps(agent)}", "env.num_envs=4", "training.total_steps=30000")
    found = scores(project, "cartpole-preferences", overrides, (100, 101, 102), at_once=2)
    assert sum(score >= SUCCESS for score in found) >= 2 and min(found) >= FAIR


@pytest.mark.slow
def test_full_dot_from_synthetic_preferences(project: Project) -> None:
    """At least nine of ten seeds succeed, by the preset as it is."""
    found = scores(project, "moving-dot", (), range(100, 110), at_once=1)
    assert sum(score >= SUCCESS for score in found) >= 9
