"""The alarm for reward hacking: named where an injected bug makes it, silent where rewards are as they should be."""

from __future__ import annotations

import numpy as np
import pytest
from project import SOURCE

from repro.config import load_config
from repro.envs import describe_environment
from repro.health.checks import find_problems
from repro.health.history import History, trend
from repro.health.of_rewards import first_hacking, hacking
from repro.health.subject import Subject
from repro.preferences.store import PreferenceStore
from repro.training import make_trainer
from repro.training.rewards import TrueReward

SETTINGS = (
    "env.image_size=36",
    "env.frame_stack=1",
    "env.max_frames=160",
    "agent.rollout_steps=40",
    "reward.source=environment",
    "training.total_steps=14400",
    "training.threads=1",
    "training.precision=float32",
)


class TurnedRound(TrueReward):
    """A reward with the sign that a mistake in its labels would give it."""

    def relabel(self, storage):
        rewards, terminated = super().relabel(storage)
        return -rewards, terminated


@pytest.mark.parametrize("source", [TrueReward(), TurnedRound()])
def test_an_agent_that_is_rewarded_for_the_wrong_thing_is_noticed(tmp_path, source):
    config = load_config(SOURCE / "presets/moving-dot-small.yaml", SETTINGS)
    rows, history, found = [], History(), set()
    with PreferenceStore(tmp_path / "preferences.db", describe_environment(config.env)) as store:
        trainer = make_trainer(config, 100, "run", store)
        trainer.source = source
        for row in trainer.rows():
            rows.append(row)
            history.add(row)
            found |= {finding.check for finding in find_problems(history, Subject.of(config.model_dump()))}
    assert ("reward_hacking" in found) == isinstance(source, TurnedRound)
    assert (rows[-1]["return/score"] > rows[0]["return/score"]) == (type(source) is TrueReward)


def trends(predicted, score, noise=0.1, count=40, seed=0):
    """Rows in which both go from 0 to these values, evenly, with noise; every other one ends no episode."""
    generator = np.random.default_rng(seed)
    rows = []
    for part in np.linspace(0, 1, count):
        values = (np.array([predicted, score]) * part + generator.normal(0, noise, 2)).tolist()
        rows.append({"env_step": len(rows), "predicted_return/mean": values[0], "return/score": values[1]})
        rows.append({"env_step": len(rows)})
    return rows


@pytest.mark.parametrize(
    ("predicted", "score", "alarm"),
    [
        (1.0, -0.5, True),
        (1000.0, -0.5, True),  # predicted returns have no unit
        (1.0, 1.0, False),  # learning
        (-1.0, -0.5, False),  # both fall: the model sees it too
        (1.0, 0.0, False),  # nothing learned
        (0.0, 0.0, False),  # converged
        (1.0, -0.05, False),  # too little of a fall
    ],
)
def test_it_takes_a_rising_prediction_and_a_falling_score(predicted, score, alarm):
    noise = 0.01 if abs(score) == 0.05 else 0.1
    rows = trends(predicted, score, noise)
    found = first_hacking(rows)
    assert (found is not None) == alarm
    if alarm:
        last = found.env_step
        assert f"from step {last - 58} to {last} predicted_return/mean rose, and return/score fell by 0." in found.seen
        every_fourth = first_hacking(trends(predicted, score, noise, count=160)[::4])
        assert f"from step {every_fourth.env_step - 116} to {every_fourth.env_step} " in every_fourth.seen


def test_noise_alone_raises_no_alarm():
    rows = [row for seed in range(10) for row in trends(0.0, 0.0, noise=0.3, seed=seed)]
    assert first_hacking(rows) is None


def test_a_reward_model_that_has_diverged_is_left_to_another_check():
    rows = trends(1.0, -0.5)
    rows[-2]["predicted_return/mean"] = float("nan")
    assert hacking(History(rows)) is None


def test_the_trend_is_kendalls():
    assert trend([1, 2, 3, 9]) == 1 and trend([3, 2, 1]) == -1 and trend([5, 5, 5]) == 0
    assert trend([1, 3, 2, 4]) == pytest.approx(4 / 6)  # five pairs rise, one falls
