"""The off-policy loop: what is learned when, from which rewards, and that a resume goes on as it should."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from dot_examples import Distorted
from off_policy_examples import weights, write_params
from project import assert_equal_runs, labels

from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.config import load_config
from repro.envs.moving_dot import MovingDotVectorEnv
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.session.progress import Progress
from repro.session.run import train_run
from repro.tracking.archive import RunFolder
from repro.tracking.metrics import read_metrics
from repro.tracking.wandb import WandbSettings
from repro.training import check_algorithm, make_trainer, off_policy
from repro.training.off_policy import OffPolicyTrainer
from repro.training.rewards import TrueReward

ALGORITHMS = pytest.mark.parametrize("algorithm", ["dqn", "ddpg"])
FRAMES = ("env.max_frames=80", "preferences.segment_steps=4")  # episodes of 20 steps


@contextmanager
def trainer_of(folder: Path, algorithm: str, *overrides: str, seed: int = 5) -> Iterator[OffPolicyTrainer]:
    folder.mkdir(exist_ok=True)
    write_params(folder / "params.yaml", algorithm)
    config = load_config(folder / "params.yaml", (*FRAMES, *overrides))
    with PreferenceStore(folder / "preferences.db", "dot") as store:
        trainer = make_trainer(config, seed, "run", store)
        assert isinstance(trainer, OffPolicyTrainer)
        yield trainer


def train(folder: Path, algorithm: str, *overrides: str) -> list[dict]:
    """A run in `folder`, or what is left of it; its metrics."""
    folder.mkdir(exist_ok=True)
    write_params(folder / "params.yaml", algorithm)
    run = RunFolder(folder, {"id": "run", "seed": 5})
    config = load_config(folder / "params.yaml", (*FRAMES, *overrides))
    train_run(run, config, WandbSettings(None, "dot", "disabled"), None)
    return read_metrics(folder / "metrics.jsonl")


def interrupt(monkeypatch: pytest.MonkeyPatch, folder: Path, algorithm: str, env_step: int, *overrides: str) -> None:
    """A run that stops when it has done so many steps, its last rows not yet in a checkpoint."""

    def stop(self: Progress, row: dict) -> None:
        if row["env_step"] >= env_step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "update", stop)
        with pytest.raises(KeyboardInterrupt):
            train(folder, algorithm, *overrides)


# What is learned, and when ------------------------------------------------------------------------------------


@ALGORITHMS
def test_updates_begin_when_there_is_enough_and_come_as_often_as_said(tmp_path, algorithm):
    """8 environments, 256 transitions first, then 2 gradient steps after each 8th step."""
    with trainer_of(tmp_path, algorithm, "reward.source=environment") as trainer:
        first = weights(trainer.agent.network)
        seen = []
        for row in trainer.rows():
            seen.append((row["env_step"], row["updates"], row["replay/size"]))
            if len(seen) == 1:
                # Each 21st row only resets: the 33rd step brings the 256th transition, the 40th the first update.
                assert torch.equal(weights(trainer.agent.network), first) and "value/loss" not in row
                assert all(f"time/{part}" in row for part in ("env", "policy", "replay", "reward_model"))
        assert seen[:3] == [(256, 0, 248), (512, 8, 488), (768, 16, 736)]
        assert seen[-1][0] == 2048 and 900 < seen[-1][2] <= 1000
    expected = {"value/loss", "value/mean", "value/target_mean", "gradient/norm", "learning_rate", "time/update"}
    expected |= {"exploration/epsilon" if algorithm == "dqn" else "exploration/noise", "return/mean"}
    assert expected <= row.keys()
    assert all(np.isfinite(value) for value in row.values())


def test_actions_are_random_at_first_and_epsilon_is_annealed_by_agent_steps(tmp_path):
    asked = []
    with trainer_of(tmp_path, "dqn", "reward.source=environment") as trainer:
        act = trainer.agent.act
        trainer.agent.act = lambda observations: asked.append(trainer.steps) or act(observations)
        epsilons = [row["exploration/epsilon"] for row in trainer.rows()]
    assert asked == list(range(33, 256))
    assert epsilons[0] == pytest.approx(1 - 0.9 * 31 * 8 / 1000)
    assert epsilons[-1] == 0.1


def test_a_sample_is_relabelled_by_what_the_reward_model_thinks_now(tmp_path):
    with trainer_of(tmp_path, "dqn") as trainer:
        iterator = trainer.rows()
        for _ in range(3):
            next(iterator)
        sample = trainer.replay.sample(40, np.random.default_rng(0))
        before, terminated = trainer.source.relabel_sample(sample)
        np.testing.assert_allclose(before, trainer.learning.model.predict(sample.next_observations))
        assert before.dtype == np.float32 and not terminated.any()
        batches = []
        update = trainer.agent.update
        trainer.agent.update = lambda batch: batches.append(batch) or update(batch)
        next(iterator)
        after, _ = trainer.source.relabel_sample(sample)
        assert not np.allclose(before, after)
        model = trainer.learning.model
        old, new = batches[0], model.predict(batches[0].next_observations.numpy())
        assert not np.allclose(old.rewards, new)  # it learned since


def test_sources_of_single_steps(tmp_path):
    with trainer_of(tmp_path, "dqn", "reward.source=environment") as trainer:
        next(trainer.rows())
        sample = trainer.replay.sample(100, np.random.default_rng(0))
        sample.terminated[:50] = True
        rewards, terminated = TrueReward().relabel_sample(sample)
        assert rewards is sample.true_rewards and terminated is sample.terminated
        np.testing.assert_array_equal(TrueReward(clipped=True).relabel_sample(sample)[0], np.sign(sample.true_rewards))


# What a learned reward may not let through -----------------------------------------------------------------------


def trained(folder: Path, algorithm: str, source: str, **distortion: bool) -> torch.Tensor:
    """The acting network's parameters; all labels were asked for in an undistorted environment."""
    folder.mkdir()
    few = (f"reward.source={source}", "preferences.total_labels=16", "training.total_steps=1536")
    with trainer_of(folder, algorithm, *few) as trainer:
        env = trainer.config.env
        trainer.envs = Distorted(env, env.num_envs)
        for name, value in distortion.items():
            setattr(trainer.envs, name, value)
        for _ in trainer.rows():
            pass
        assert trainer.agent.updates >= 16 and trainer.replay.terminated.any() == ("terminating" in distortion)
    return weights(trainer.agent.network)


@ALGORITHMS
@pytest.mark.parametrize("distortion", ["negated", "terminating"])
def test_a_learned_reward_lets_neither_true_rewards_nor_terminations_through(tmp_path, algorithm, distortion):
    plain, other = (
        trained(tmp_path / str(distorted), algorithm, "learned", **{distortion: True} if distorted else {})
        for distorted in (False, True)
    )
    assert torch.equal(plain, other)


@ALGORITHMS
@pytest.mark.parametrize("distortion", ["negated", "terminating"])
def test_with_the_true_reward_both_would_make_a_difference(tmp_path, algorithm, distortion):
    """So that the test above can fail."""
    plain = trained(tmp_path / "plain", algorithm, "environment")
    other = trained(tmp_path / "other", algorithm, "environment", **{distortion: True})
    assert not torch.equal(plain, other)


# The same seed, and resumes -----------------------------------------------------------------------------------------


@ALGORITHMS
@pytest.mark.parametrize("source", ["learned", "environment"])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path, monkeypatch, algorithm, source):
    reward = f"reward.source={source}"
    whole = train(tmp_path / "whole", algorithm, reward)
    interrupt(monkeypatch, tmp_path / "stopped", algorithm, whole[-3]["env_step"], reward)
    checkpoint = load_checkpoint(tmp_path / "stopped/checkpoints/last.pt")["trainer"]
    assert checkpoint["exact"] and 0 < checkpoint["env_step"] < whole[-3]["env_step"]
    train(tmp_path / "stopped", algorithm, reward)
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")
    assert "exact" not in json.loads((tmp_path / "stopped/run.json").read_text())


def test_another_seed_is_another_run(tmp_path):
    runs = []
    for seed in (1, 1, 2):
        with trainer_of(tmp_path / str(len(runs)), "dqn", "reward.source=environment", seed=seed) as trainer:
            for _ in trainer.rows():
                pass
            runs.append(weights(trainer.agent.network))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


@ALGORITHMS
def test_a_buffer_that_is_too_large_to_save_is_filled_again(tmp_path, monkeypatch, algorithm):
    monkeypatch.setattr(off_policy, "SAVED_BYTES", 1e4)
    interrupt(monkeypatch, tmp_path, algorithm, 1792)
    state = load_checkpoint(tmp_path / "checkpoints/last.pt")["trainer"]
    assert state["replay"] is None and not state["exact"]
    before = labels(tmp_path)
    metrics = train(tmp_path, algorithm)
    assert json.loads((tmp_path / "run.json").read_text())["exact"] is False
    resumed = [row for row in metrics if row["env_step"] > state["env_step"]]
    assert [row["updates"] for row in resumed[:2]] == [state["agent"]["updates"], state["agent"]["updates"] + 8]
    assert resumed[0]["replay/size"] <= 256 and resumed[-1]["env_step"] == metrics[-1]["env_step"] == 2048
    after = labels(tmp_path)
    assert after[: len(before)] == before and len(after) == 40  # what was answered stays, and no more is asked than due
    assert [label[1] for label in after] == list(range(40))


def test_a_buffer_that_was_saved_whole_goes_on_as_it_was_even_where_rounding_differs(tmp_path):
    """On a GPU: no transition is lost, and none stands in it twice."""
    with trainer_of(tmp_path, "dqn", "reward.source=environment") as trainer:
        iterator = trainer.rows()
        for _ in range(4):
            next(iterator)
        trainer.device = torch.device("cuda")
        save_checkpoint(tmp_path / "last.pt", trainer.state_dict())
        heads, size = trainer.replay.heads.copy(), trainer.replay.size
    with trainer_of(tmp_path, "dqn", "reward.source=environment") as trainer:
        trainer.load_state_dict(load_checkpoint(tmp_path / "last.pt"))
        assert not trainer.exact and trainer.replay.size == size
        np.testing.assert_array_equal(trainer.replay.heads, heads)


def test_environments_that_cannot_be_saved_start_new_episodes(tmp_path, monkeypatch):
    monkeypatch.setattr(MovingDotVectorEnv, "can_save_state", False)
    with trainer_of(tmp_path, "dqn", "reward.source=environment") as trainer:
        iterator = trainer.rows()
        for _ in range(4):
            next(iterator)
        state, size = trainer.state_dict(), trainer.replay.size
        last = trainer.storage.observations[-1].copy()
        save_checkpoint(tmp_path / "last.pt", state)
    assert state["envs"] is None and not state["exact"] and state["replay"]
    resumed = []
    for _ in range(2):
        with trainer_of(tmp_path, "dqn", "reward.source=environment") as trainer:
            trainer.load_state_dict(load_checkpoint(tmp_path / "last.pt"))
            assert not trainer.exact and size - 8 * 2 <= trainer.replay.size <= size
            assert not (trainer.storage.observations[-1] == last).all()
            assert not trainer.episodes.totals.any()
            next(trainer.rows())
            resumed.append(weights(trainer.agent.network))
            frames = trainer.replay.sample(2000, np.random.default_rng(0))
            moved = frames.next_observations[:, :-1] == frames.observations[:, 1:]
            assert moved.all()
    assert torch.equal(*resumed)  # the new starts are determined by the seed too


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "actions", "message"),
    [
        (
            "dqn",
            "continuous",
            r"agent\.algorithm: dqn has no actions such as the environment's, Box.*; take .*ddpg$",
        ),
        (
            "ddpg",
            "discrete",
            r"agent\.algorithm: ddpg has no actions such as the environment's, Discrete.*; take .*dqn$",
        ),
    ],
)
def test_algorithms_without_such_actions_are_refused(tmp_path, algorithm, actions, message):
    write_params(tmp_path / "params.yaml", algorithm)
    config = load_config(tmp_path / "params.yaml", [f"env.actions={actions}"])
    with pytest.raises(UserError, match=message) as refused:
        check_algorithm(config)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match=message), PreferenceStore(tmp_path / "preferences.db") as store:
        make_trainer(config, 5, "run", store)


def test_a_run_that_ends_before_learning_starts_is_refused(tmp_path):
    write_params(tmp_path / "params.yaml", "dqn")
    with pytest.raises(UserError, match=r"learning_starts \(256\) must be less than training\.total_steps \(256\)"):
        load_config(tmp_path / "params.yaml", ["training.total_steps=256"])


def test_a_run_whose_initial_labels_leave_no_steps_to_learn_in_is_refused_before_anything_is_learned(tmp_path):
    """What they take is known once they are collected, and before a person is waited for."""
    late = ("agent.learning_starts=1800", "agent.buffer_size=2000")
    with trainer_of(tmp_path, "dqn", *late) as trainer:
        with pytest.raises(
            UserError, match=r"learning_starts \(1800\) must be less than the 1792 steps that"
        ) as refused:
            next(trainer.rows())
        assert "\n" not in str(refused.value) and not trainer.learning.taken
    with trainer_of(tmp_path / "true", "dqn", *late, "reward.source=environment") as trainer:
        next(trainer.rows())
