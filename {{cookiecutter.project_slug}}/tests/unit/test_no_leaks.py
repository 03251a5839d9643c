"""With learned rewards an agent is given no true reward, no end of an episode, no lost life and no score.

Everything that an agent is called with is recorded, then the world is distorted: the same must be recorded again.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from project import SOURCE

from repro.config import Config, load_config
from repro.envs.score_areas import SCORE_AREAS
from repro.preferences.oracle import Oracle
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.training import make_trainer
from repro.training.trainer import Trainer

LEARNED = (
    *("reward.source=learned", "training.threads=1", "training.precision=float32", "training.device=cpu"),
    *("preferences.segment_steps=4", "preferences.initial_labels=8", "preferences.total_labels=40"),
    *("reward_model.members=2", "reward_model.pretraining_steps=4", "reward_model.steps_per_rollout=2"),
)
CARTPOLE = ("env.num_envs=4", "env.fixed_horizon=true", "env.max_steps=30", "training.total_steps=1024")
ON_POLICY = ("cartpole", (*CARTPOLE, "agent.rollout_steps=32", "agent.minibatches=2", "agent.epochs=2"))
OFF_POLICY = (
    "cartpole-dqn",
    (*CARTPOLE, "agent.rollout_steps=32", "agent.learning_starts=64", "agent.update_every=4", "agent.gradient_steps=4"),
)
GIVEN_TO = ("act", "value", "update", "explore")  # methods of agents


def configuration(preset: str, overrides: tuple[str, ...]) -> Config:
    return load_config(SOURCE / f"presets/{preset}.yaml", [*LEARNED, *overrides])


class Recorder:
    """Keeps a copy of all arrays and tensors that the agent's methods are called with."""

    def __init__(self, agent: Any):
        self.seen: list[tuple[str, str, torch.Tensor]] = []
        for name in GIVEN_TO:
            if hasattr(agent, name):
                setattr(agent, name, self._recording(name, getattr(agent, name)))

    def _recording(self, name: str, method: Any) -> Any:
        def call(*arguments: Any) -> Any:
            for position, argument in enumerate(arguments):
                self._keep(name, str(position), argument)
            return method(*arguments)

        return call

    def _keep(self, method: str, what: str, value: Any) -> None:
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                self._keep(method, field.name, getattr(value, field.name))
        else:
            self.seen.append((method, what, torch.as_tensor(value).clone()))

    def of(self, what: str) -> list[torch.Tensor]:
        return [value for _, name, value in self.seen if name == what]


def record(folder: Path, config: Config, rollouts: int, **distortions: bool) -> tuple[Recorder, Trainer]:
    """A run of some rollouts in a world that is distorted so."""
    name = "-".join(["run", *distortions])
    with PreferenceStore(folder / f"{name}.db") as store:
        trainer = make_trainer(config, 5, "run", store)
        distort(trainer, **distortions)
        recorder = Recorder(trainer.agent)
        rows = trainer.rows()
        for _ in range(rollouts):
            next(rows)
    return recorder, trainer


def distort(trainer: Trainer, negated: bool = False, terminating: bool = False) -> None:
    """Other rewards while training, or what time has ended is called terminated."""
    step = trainer.envs.step

    def distorted(actions: Any) -> Any:
        observations, rewards, terminated, truncated, info = step(actions)
        if negated:
            rewards = 3 - 100 * rewards
        if terminating:
            terminated, truncated = truncated, terminated
        return observations, rewards, terminated, truncated, info

    trainer.envs.step = distorted  # type: ignore[method-assign]


@pytest.fixture
def labels_of_the_pictures(monkeypatch):
    """The oracle judges by what is seen, so that labels are the same in a distorted world, also while training."""

    def seen(segment: Segment) -> tuple[bytes, bytes]:
        return segment.observations.tobytes(), segment.actions.tobytes()

    monkeypatch.setattr(
        Oracle, "answer", lambda self, number, left, right: "left" if seen(left) < seen(right) else "right"
    )


@pytest.mark.parametrize("distortion", ["negated", "terminating"])
@pytest.mark.parametrize(("preset", "settings"), [ON_POLICY, OFF_POLICY], ids=["on-policy", "off-policy"])
def test_all_that_agents_are_given_is_the_same_in_a_world_of_other_rewards_and_ends(
    tmp_path, labels_of_the_pictures, preset, settings, distortion
):
    if distortion == "terminating":  # an end makes a shorter segment, and so other labels: none while training
        settings = (*settings, "preferences.total_labels=8")
    config = configuration(preset, settings)
    plain, trainer = record(tmp_path, config, 5)
    distorted, other = record(tmp_path, config, 5, **{distortion: True})
    assert trainer.learning.queries == other.learning.queries > (7 if distortion == "terminating" else 8)
    if distortion == "terminating":
        assert other.storage.terminated.any() and not trainer.storage.terminated.any()
    else:
        assert not np.array_equal(other.storage.true_rewards, trainer.storage.true_rewards)
    assert len(plain.seen) == len(distorted.seen) > 100
    for (method, what, value), (_, _, other_value) in zip(plain.seen, distorted.seen, strict=True):
        assert torch.equal(value, other_value), f"{method}: {what}"
    assert plain.of("rewards") and not any(value.any() for value in plain.of("terminated"))
    for name, value in trainer.agent.state_dict()["network"].items():
        assert torch.equal(value, other.agent.state_dict()["network"][name]), name


@pytest.mark.parametrize(("preset", "settings"), [ON_POLICY, OFF_POLICY], ids=["on-policy", "off-policy"])
def test_the_recorder_would_see_a_leak(tmp_path, preset, settings):
    config = configuration(preset, (*settings, "reward.source=environment"))
    plain, _ = record(tmp_path, config, 5)
    distorted, _ = record(tmp_path, config, 5, negated=True)
    assert any(not torch.equal(*pair) for pair in zip(plain.of("rewards"), distorted.of("rewards"), strict=True))
    ending, _ = record(tmp_path, config, 5, terminating=True)
    assert any(value.any() for value in ending.of("terminated"))


def test_lost_lives_and_the_score_are_hidden_in_atari(tmp_path):
    """Breakout, in which random play loses a life every 30 to 40 steps, and points change the score."""
    settings = ("env.num_envs=4", "env.hide_score=true", "agent.rollout_steps=160", "agent.minibatches=4")
    config = configuration("breakout", (*settings, "agent.epochs=1", "training.total_steps=10000"))
    recorder, trainer = record(tmp_path, config, 1)
    storage = trainer.storage
    assert storage.terminated.sum() > storage.done.sum()  # lives were lost, and the game went on
    assert storage.true_rewards.any()
    (terminated,), (done,) = recorder.of("terminated"), recorder.of("done")
    assert not terminated.any()
    assert torch.equal(done, torch.from_numpy(storage.done))  # where a game is over, which only cuts it off
    segments = [segment for one in range(trainer.learning.queries) for segment in compared(trainer, one)]
    pictures = [*recorder.of("observations"), *(torch.from_numpy(segment) for segment in segments)]
    for images in pictures:
        assert images.any()
        for top, bottom, left, right in SCORE_AREAS["ALE/Breakout-v5"]:
            assert not images[..., top:bottom, left:right].any()


def compared(trainer: Trainer, number: int) -> list[np.ndarray]:
    """The frames that the reward model and annotators are given of a comparison."""
    with PreferenceStore(trainer.store.path) as store:
        label = store.labelled(trainer.run)[number]
        return [store.segment(name).observations for name in (label.left, label.right)]
