"""Storage of rollouts: no row joins two episodes, and nothing the agent may not know leaves it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from dot_examples import Distorted, small_envs
from gymnasium.spaces import Box, Discrete

from repro.agents.rollout import Rollout
from repro.asking.questions import segments_of
from repro.config import load_config
from repro.envs.base import ResumableVectorEnv
from repro.experience.episodes import EpisodeStatistics, score, score_scale
from repro.experience.storage import Storage
from repro.preferences.store import PreferenceStore
from repro.training.on_policy import OnPolicyTrainer
from repro.training.rewards import LearnedReward, TrueReward

torch.set_num_threads(1)
PRESET = Path(__file__).parents[2] / "presets" / "moving-dot.yaml"


class Counters(ResumableVectorEnv):
    """Observes (environment, episode, step); pays the step's number; episodes of 1 to 6 steps end in either way."""

    def __init__(self, num_envs):
        self.num_envs = num_envs
        self.single_observation_space = Box(0, np.inf, (3,), np.float32)
        self.single_action_space = Discrete(7)
        self.lengths = np.random.default_rng(0).integers(1, 7, (num_envs, 1000))

    def reset(self, *, seed=None, options=None):
        self.episodes, self.steps = np.zeros(self.num_envs, int), np.zeros(self.num_envs, int)
        self.ended = np.zeros(self.num_envs, bool)
        return self.observe(), {}

    def step(self, actions):
        self.episodes = self.episodes + self.ended
        self.steps = np.where(self.ended, 0, self.steps + 1)
        rewards = self.steps.astype(float)
        over = self.steps == self.lengths[np.arange(self.num_envs), self.episodes]
        self.ended = over
        terminated = over & (self.episodes % 2 == 0)
        return self.observe(), rewards, terminated, over & ~terminated, {}

    def observe(self):
        return np.stack([np.arange(self.num_envs), self.episodes, self.steps], axis=1).astype(np.float32)

    def optimal_returns(self):
        length = self.lengths[np.arange(self.num_envs), self.episodes]
        return (length * (length + 1) / 2).astype(float) + 1

    def random_returns(self):
        return -self.lengths[np.arange(self.num_envs), self.episodes].astype(float)

    def get_state(self):
        raise AssertionError("not asked for here")

    set_state = get_state


@pytest.fixture
def envs():
    return Counters(5)


def fill(storage, envs, generator):
    """One rollout of random actions; returns what scores 0 and 1 at the rows where an episode ended."""
    scales = {}
    for step in storage.begin_rollout():
        actions = generator.integers(0, 7, envs.num_envs)
        storage.record(step, actions, envs.step(actions))
        assert (storage.actions[step].numpy() == actions).all()
        if storage.done[step].any():
            scales[step] = score_scale(envs)
    return scales


@pytest.mark.parametrize("steps", [1, 2, 8, 33])
def test_no_row_joins_two_episodes(envs, steps):
    storage = Storage.for_envs(envs, steps)
    storage.observations[-1], _ = envs.reset()
    generator = np.random.default_rng(1)
    kinds = np.zeros(3, int)
    last = storage.observations[-1].copy()
    for _ in range(99 // steps):
        fill(storage, envs, generator)
        np.testing.assert_array_equal(storage.observations[0], last)
        last = storage.observations[-1].copy()
        rollout = storage.rollout(*TrueReward().relabel(storage))
        before, after = rollout.observations[:-1].numpy(), rollout.observations[1:].numpy()
        valid, done = rollout.valid.numpy(), rollout.done.numpy()
        np.testing.assert_array_equal(after[valid] - before[valid], np.tile([0, 0, 1], (valid.sum(), 1)))
        np.testing.assert_array_equal(after[~valid][:, 1] - before[~valid][:, 1], np.ones((~valid).sum()))
        assert (after[~valid][:, 2] == 0).all()
        np.testing.assert_array_equal(rollout.rewards.numpy()[valid], after[valid][:, 2])
        length = envs.lengths[before[..., 0].astype(int), before[..., 1].astype(int)]
        np.testing.assert_array_equal(done[valid], (after[..., 2] == length)[valid])
        np.testing.assert_array_equal(rollout.terminated.numpy()[done], before[done][:, 1] % 2 == 0)
        assert not done[~valid].any()
        kinds += (~valid).sum(), done.sum(), rollout.terminated.sum()
    assert (kinds > 30).all()


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_buffers_have_the_types_of_the_spaces(actions):
    envs = small_envs(3, actions=actions)
    storage = Storage.for_envs(envs, 2)
    storage.observations[-1], _ = envs.reset(seed=0)
    for step in storage.begin_rollout():
        chosen = envs.action_space.sample()
        storage.record(step, chosen, envs.step(chosen))
        np.testing.assert_array_equal(storage.actions[step].numpy(), chosen)
    assert storage.observations.dtype == np.uint8 and storage.observations.shape == (3, 3, 4, 36, 36)
    assert storage.actions.dtype == (torch.int64 if actions == "discrete" else torch.float32)


def test_episodes_are_counted_across_rollouts_without_their_reset_steps(envs):
    storage, statistics, resumed = Storage.for_envs(envs, 7), EpisodeStatistics(5), EpisodeStatistics(5)
    storage.observations[-1], _ = envs.reset()
    finished = np.zeros(5, int)
    for _ in range(10):
        scales = fill(storage, envs, np.random.default_rng(1))
        predicted = (2 * storage.true_rewards).astype(np.float32)
        predicted[~storage.valid] = 1e6
        storage.true_rewards[~storage.valid] = 1e6  # must not be counted either
        resumed.load_state_dict(statistics.state_dict())
        metrics = statistics.update(storage, predicted, scales)
        np.testing.assert_equal(resumed.update(storage, predicted, scales), metrics)
        ended = storage.done.sum(0)
        lengths = np.concatenate([envs.lengths[n, finished[n] : finished[n] + ended[n]] for n in range(5)])
        finished += ended
        returns = lengths * (lengths + 1) / 2
        assert metrics["return/mean"] == pytest.approx(returns.mean())
        assert metrics["return/std"] == pytest.approx(returns.std())
        assert (metrics["return/min"], metrics["return/max"]) == (returns.min(), returns.max())
        assert metrics["predicted_return/mean"] == pytest.approx(2 * returns.mean())
        assert metrics["episode/length_mean"] == pytest.approx(lengths.mean())
        assert (metrics["episode/length_min"], metrics["episode/length_max"]) == (lengths.min(), lengths.max())
        assert metrics["episode/length_std"] == pytest.approx(lengths.std())
        assert metrics["episode/count"] == len(lengths)
        gained, best = (returns + lengths).sum(), (returns + 1 + lengths).sum()
        assert metrics["return/score"] == pytest.approx(gained / best)
        assert metrics["reward/correlation"] == pytest.approx(1.0)


def test_without_a_finished_episode_there_are_no_returns(envs):
    storage = Storage.for_envs(envs, 3)
    storage.valid[:] = True
    metrics = EpisodeStatistics(5).update(storage, storage.true_rewards + 1, {})
    assert [*metrics] == ["reward/mean", "reward/std", "reward/correlation"]
    assert metrics["reward/mean"] == 1 and np.isnan(metrics["reward/correlation"])


def test_scores():
    def scored(returns, random, best):
        return score(np.array(returns), np.array([random, best]))

    assert scored([-150.0], [-200.0], [-100.0]) == 0.5
    assert scored([30.0], [0.0], [40.0]) == 0.75
    assert scored([-200.0, 0.0], [-200.0] * 2, [-100.0] * 2) == 1.0  # sums: the better one makes up for the worse
    assert scored([1.0, 50.0], [0.0, 0.0], [1.0, 99.0]) == 0.51  # little to gain counts little
    assert scored([-500.0, 900.0], [-200.0] * 2, [-100.0] * 2) == 4.0  # neither end is a bound
    assert np.isnan(scored([5.0], [5.0], [5.0]))


# What a learned reward may not let through ------------------------------------------------------------------


def test_a_rollout_has_no_field_for_true_rewards():
    names = {field.name for field in dataclasses.fields(Rollout)}
    assert names == {
        *("observations", "actions", "log_probs", "values", "rewards", "terminated", "done", "valid"),
    }


def trained_agent(tmp_path, source, *, all_labels_first=True, **distortion):
    """Parameters after four rollouts; the labels are asked for in an undistorted environment, or all along."""
    settings = [
        *("env.image_size=36", "env.num_envs=4", "env.max_frames=40", "env.frame_stack=2"),
        *("agent.rollout_steps=16", "agent.minibatches=2", "preferences.segment_steps=4"),
        *("preferences.initial_labels=8", f"preferences.total_labels={8 if all_labels_first else 40}"),
        *("reward_model.members=2", "reward_model.pretraining_steps=4", "reward_model.steps_per_rollout=2"),
        *("training.total_steps=1024", "training.threads=1", "training.precision=float32", f"reward.source={source}"),
    ]
    config = load_config(PRESET, settings)
    name = "-".join([source, str(all_labels_first), *distortion])
    with PreferenceStore(tmp_path / f"{name}.db", "dot") as store:
        trainer = OnPolicyTrainer(config, 5, "run", store)
        trainer.envs = Distorted(config.env, config.env.num_envs)
        for key, value in distortion.items():
            setattr(trainer.envs, key, value)
        rows = trainer.rows()
        metrics = [next(rows) for _ in range(4)]
    weights = torch.cat([parameter.detach().flatten() for parameter in trainer.agent.network.parameters()])
    return weights, metrics, trainer


@pytest.mark.parametrize("distortion", ["negated", "terminating"])
def test_a_learned_reward_lets_neither_true_rewards_nor_terminations_through(tmp_path, distortion):
    weights, metrics, _ = trained_agent(tmp_path, "learned")
    other_weights, other_metrics, trainer = trained_agent(tmp_path, "learned", **{distortion: True})
    assert torch.equal(weights, other_weights)
    agents = [name for name in metrics[-1] if name.startswith(("policy/", "value/", "gradient/", "reward_model/"))]
    assert [[row[name] for name in agents] for row in metrics] == [[row[n] for n in agents] for row in other_metrics]
    if distortion == "negated":
        assert metrics[-1]["return/mean"] != other_metrics[-1]["return/mean"]
    else:
        assert trainer.storage.terminated.any()


@pytest.mark.parametrize("distortion", ["negated", "terminating"])
def test_with_the_true_reward_both_would_make_a_difference(tmp_path, distortion):
    """So that the test above can fail."""
    weights, *_ = trained_agent(tmp_path, "environment")
    other_weights, *_ = trained_agent(tmp_path, "environment", **{distortion: True})
    assert not torch.equal(weights, other_weights)


def test_the_labels_are_the_one_way_by_which_true_rewards_reach_the_agent(tmp_path):
    weights, metrics, _ = trained_agent(tmp_path, "learned", all_labels_first=False)
    other_weights, *_ = trained_agent(tmp_path, "learned", all_labels_first=False, negated=True)
    assert metrics[-1]["preferences/labels"] > 8
    assert not torch.equal(weights, other_weights)


def test_relabelled_rollouts(tmp_path):
    _, _, trainer = trained_agent(tmp_path, "learned", terminating=True)
    storage = trainer.storage
    rewards, terminated = LearnedReward(trainer.learning.model).relabel(storage)
    assert rewards.shape == storage.true_rewards.shape and rewards.dtype == np.float32
    assert not terminated.any() and storage.terminated.any()
    for step in (0, 7):  # the reward of a step is predicted from the observation that it led to
        expected = trainer.learning.model.predict(storage.observations[step + 1])
        np.testing.assert_allclose(rewards[step], expected, atol=1e-5)
    rollout = storage.rollout(rewards, terminated)
    assert torch.equal(rollout.done, torch.from_numpy(storage.done)) and not rollout.terminated.any()
    true_rewards, true_terminated = TrueReward().relabel(storage)
    assert true_rewards is storage.true_rewards and true_terminated is storage.terminated


def test_what_is_told_of_predictions_leaves_out_rows_that_only_reset(tmp_path):
    _, _, trainer = trained_agent(tmp_path, "learned")
    storage, source = trainer.storage, LearnedReward(trainer.learning.model)
    storage.valid[3] = False
    source.relabel(storage)
    before = source.metrics
    storage.observations[4] = 255 - storage.observations[4]
    source.relabel(storage)
    assert source.metrics == before
    storage.valid[3] = True
    source.relabel(storage)
    assert all(source.metrics[name] != before[name] for name in before)


def test_segments_show_what_actions_led_to(envs):
    storage = Storage.for_envs(envs, 40)
    storage.observations[-1], _ = envs.reset()
    fill(storage, envs, np.random.default_rng(1))
    segments = segments_of(storage, 3)
    assert len(segments) > 10
    for segment in segments:
        np.testing.assert_array_equal(segment.observations[:, 2], segment.true_rewards)  # the step's number
        assert len({*segment.observations[:, 1]}) == 1
