"""Checks of the untrained reward model: each finds the bug it is made for, injected here."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from preflight_examples import check
from torch import nn

from repro.envs.moving_dot import MovingDotVectorEnv
from repro.preferences.reward_encoders import PairedDropout
from repro.preferences.reward_networks import RewardEnsemble
from repro.preferences.store import PreferenceStore


def patch_rewards(monkeypatch, change):
    """Replace the ensemble's rewards (M, B, T) by change(network, observations, rewards)."""
    forward = RewardEnsemble.forward

    def changed(self, seen, *rest):
        return change(self, seen, forward(self, seen, *rest))

    monkeypatch.setattr(RewardEnsemble, "forward", changed)


def patch_network(monkeypatch, change):
    """Do `change(network)` to every ensemble when it is made."""
    create = RewardEnsemble.__init__

    def init(self, *arguments):
        create(self, *arguments)
        change(self)

    monkeypatch.setattr(RewardEnsemble, "__init__", init)


def test_a_model_that_starts_with_preferences(root, monkeypatch):
    patch_rewards(monkeypatch, lambda network, seen, rewards: 300 * rewards)
    assert not check("reward_model_start", root).passed


def test_dropout_that_differs_between_the_segments_of_a_pair(root, monkeypatch):
    patch_rewards(monkeypatch, lambda network, seen, rewards: nn.functional.dropout(rewards, 0.5))
    assert not check("reward_model_swap", root).passed


def test_rewards_that_depend_on_the_batch(root, monkeypatch):
    patch_rewards(monkeypatch, lambda network, seen, rewards: rewards - rewards.mean(1, keepdim=True))
    result = check("clips_independent", root)
    assert not result.passed and "to the others" in result.seen


def test_a_reshape_that_mixes_the_batch_with_time(root, monkeypatch):
    patch_rewards(monkeypatch, lambda network, seen, rewards: rewards.transpose(1, 2).reshape(rewards.shape))
    assert not check("clips_independent", root).passed


def test_rewards_that_do_not_depend_on_the_segment(root, monkeypatch):
    patch_rewards(monkeypatch, lambda network, seen, rewards: 0 * rewards)
    assert not check("clips_independent", root).passed


CNN = (
    "env.image_size=44",
    "reward_model.network=cnn",
    "reward_model.batch_norm=true",
    "reward_model.dropout=0.5",
)


@pytest.mark.parametrize("dropout", [nn.Dropout(0.1), nn.Dropout1d(0.5)], ids=["elements", "channels"])
def test_a_layer_of_dropout(root, monkeypatch, dropout):
    def add(network):
        network.encoder.add_module("extra", dropout)
        network.encoder.register_forward_hook(lambda encoder, seen, points: encoder.extra(points[..., None])[..., 0])

    patch_network(monkeypatch, add)
    assert not check("dropout_batchnorm", root).passed


def test_dropout_that_is_no_layer(root, monkeypatch):
    patch_rewards(monkeypatch, lambda network, seen, rewards: nn.functional.dropout(rewards, 0.5, network.training))
    assert not check("dropout_batchnorm", root).passed


def test_the_convolutions_of_the_paper_pass(root):
    assert check("dropout_batchnorm", root, *CNN).passed


def test_batch_statistics_of_each_side(root, monkeypatch):
    forward = RewardEnsemble.forward

    def one_side_after_the_other(self, seen, lengths=None, generator=None):
        return torch.cat([forward(self, side) for side in (seen.chunk(2) if self.training else [seen])], dim=1)

    monkeypatch.setattr(RewardEnsemble, "forward", one_side_after_the_other)
    assert check("dropout_batchnorm", root).passed  # keypoints have none
    assert not check("dropout_batchnorm", root, *CNN, "reward_model.dropout=0").passed


def test_masks_of_each_segment(root, monkeypatch):
    apply = PairedDropout.__call__

    def unpaired(self, activations):
        return apply(replace(self, pairs=torch.arange(len(activations))), activations)

    monkeypatch.setattr(PairedDropout, "__call__", unpaired)
    assert not check("dropout_batchnorm", root, *CNN).passed


def test_predictions_in_training_mode(root, monkeypatch):
    monkeypatch.setattr(RewardEnsemble, "eval", RewardEnsemble.train)
    assert not check("dropout_batchnorm", root, *CNN).passed


class TestValidation:
    def test_every_segment_in_two_comparisons(self, root, monkeypatch):
        """A chain: 0 and 1, 1 and 2, 2 and 3 ..."""
        pairs = "repro.asking.questions.uniform_pairs"
        monkeypatch.setattr(pairs, lambda count, number, generator: [(index, index + 1) for index in range(number)])
        result = check("validation_disjoint", root)
        shared, _, validated, *_ = result.seen.split()
        assert not result.passed and int(shared) >= 0.8 * int(validated) > 5

    def test_one_segment_that_is_everywhere(self, root, monkeypatch):
        pairs = "repro.asking.questions.uniform_pairs"
        monkeypatch.setattr(pairs, lambda count, number, generator: [(0, index + 1) for index in range(number)])
        shared, _, validated, *_ = check("validation_disjoint", root).seen.split()
        assert shared == validated

    def test_a_screen_that_shows_the_same_everywhere(self, root, monkeypatch):
        """Different segments to the store, as actions differ; the same ones to the model."""
        images = MovingDotVectorEnv._images
        monkeypatch.setattr(MovingDotVectorEnv, "_images", lambda self: 0 * images(self))
        assert not check("validation_disjoint", root).passed

    def test_segments_in_one_comparison_each(self, root, monkeypatch):
        pairs = "repro.asking.questions.uniform_pairs"
        monkeypatch.setattr(
            pairs, lambda count, number, generator: [(2 * index, 2 * index + 1) for index in range(number)]
        )
        assert check("validation_disjoint", root, "env.actions=continuous").seen.startswith("0 of ")


class TestPredictable:
    def test_a_direction_that_one_frame_does_not_show(self, root):
        result = check("reward_predictable", root, "env.frame_stack=1")
        assert not result.passed and "after 300 steps" in result.seen

    def test_a_blank_screen(self, root, monkeypatch):
        images = MovingDotVectorEnv._images
        monkeypatch.setattr(MovingDotVectorEnv, "_images", lambda self: 0 * images(self))
        assert not check("reward_predictable", root).passed

    def test_rewards_of_other_steps(self, root, monkeypatch):
        segment = PreferenceStore.segment
        rewards = []

        def with_rewards_of_the_one_before(self, name):
            found = segment(self, name)
            rewards.append(found.true_rewards)
            return type(found)(found.observations, found.actions, rewards[max(0, len(rewards) - 2)])

        monkeypatch.setattr(PreferenceStore, "segment", with_rewards_of_the_one_before)
        assert not check("reward_predictable", root).passed

    def test_a_reward_that_never_comes(self, root, monkeypatch):
        step = MovingDotVectorEnv.step

        def unpaid(self, actions):
            seen, rewards, *others = step(self, actions)
            return seen, 0 * rewards, *others

        monkeypatch.setattr(MovingDotVectorEnv, "step", unpaid)
        assert not check("reward_predictable", root).passed


class TestOverfitting:
    def test_labels_that_belong_to_other_segments(self, root, monkeypatch):
        segments = PreferenceStore.segment
        first = []

        def always_the_first(self, name):
            first.append(segments(self, name))
            return first[0]

        monkeypatch.setattr(PreferenceStore, "segment", always_the_first)
        assert not check("overfits_batch", root).passed

    def test_labels_that_are_all_ties(self, root):
        result = check("overfits_batch", root, "preferences.oracle.equal_threshold=1000")
        assert not result.passed and result.seen.startswith("all of 8 labels are ties or held out")

    def test_early_stopping_does_not_keep_it_from_learning_by_heart(self, root):
        assert check("overfits_batch", root, "reward_model.early_stopping=10").passed

    def test_a_learning_rate_that_learns_nothing(self, root):
        result = check("overfits_batch", root, "reward_model.learning_rate=1e-9")
        assert not result.passed and "after 200 steps" in result.seen
