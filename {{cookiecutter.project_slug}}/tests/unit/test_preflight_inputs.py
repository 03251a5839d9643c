"""Checks of the environment and of what the networks are fed: each finds the bug it is made for, injected here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from preflight_examples import check

from repro.envs.moving_dot import MovingDotVectorEnv


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
@pytest.mark.parametrize("name", ["environment", "observations"])
def test_either_kind_of_actions_passes(name, actions, root):
    assert check(name, root, f"env.actions={actions}", "reward.source=environment").passed


class TestEnvironment:
    def patch_step(self, monkeypatch, change):
        """Replace (observations, rewards, terminated, truncated, info) of a step by change(...)."""
        step = MovingDotVectorEnv.step
        monkeypatch.setattr(MovingDotVectorEnv, "step", lambda self, actions: change(*step(self, actions)))

    def test_a_seed_that_is_ignored(self, root, monkeypatch):
        reset = MovingDotVectorEnv.reset
        monkeypatch.setattr(MovingDotVectorEnv, "reset", lambda self, seed=None, options=None: reset(self))
        result = check("environment", root)
        assert not result.passed and "seed" in result.seen

    def test_observations_outside_their_space(self, root, monkeypatch):
        self.patch_step(monkeypatch, lambda seen, *others: (seen.astype(np.float32) / 255, *others))
        result = check("environment", root)
        assert not result.passed and "float32" in result.seen

    def test_an_observation_that_is_written_to_later(self, root, monkeypatch):
        step = MovingDotVectorEnv.step
        monkeypatch.setattr(MovingDotVectorEnv, "step", lambda self, actions: (self._stack, *step(self, actions)[1:]))
        assert not check("environment", root).passed

    def test_rewards_that_are_not_numbers(self, root, monkeypatch):
        self.patch_step(monkeypatch, lambda seen, rewards, *others: (seen, rewards * np.nan, *others))
        result = check("environment", root)
        assert not result.passed and "NaN" in result.seen

    def test_steps_that_depend_on_hidden_randomness(self, root, monkeypatch):
        generator = np.random.default_rng(0)
        self.patch_step(monkeypatch, lambda seen, rewards, *others: (seen, rewards + generator.random(), *others))
        assert not check("environment", root).passed

    def test_a_screen_that_cannot_be_drawn(self, root, monkeypatch):
        def render(self):
            raise OSError("no display")

        monkeypatch.setattr(MovingDotVectorEnv, "render", render)
        result = check("environment", root)
        assert not result.passed and "OSError: no display" in result.seen


class TestObservations:
    def patch_policy(self, monkeypatch, scale):
        monkeypatch.setattr("repro.agents.networks.ScaleImages.forward", lambda self, images: scale(images))

    def test_what_is_seen_is_told_of_both_networks(self, root):
        policy, reward_model = check("observations", root, "env.image_size=84").seen.split("; ")
        assert policy.startswith("policy input uint8, first layer float32: mean 0.0004")
        assert policy.endswith(", std 0.018, from 0 to 1")
        assert reward_model == policy.replace("policy", "reward model")

    def test_a_frozen_screen(self, root, monkeypatch):
        images = MovingDotVectorEnv._images
        monkeypatch.setattr(MovingDotVectorEnv, "_images", lambda self: np.full_like(images(self), 7))
        result = check("observations", root)
        assert not result.passed and "all observations are the same" in result.seen

    def test_pixels_that_are_not_scaled(self, root, monkeypatch):
        self.patch_policy(monkeypatch, lambda images: images.float())
        result = check("observations", root)
        assert not result.passed and "the policy's mean" in result.seen and "range should be the same" in result.seen

    def test_pixels_that_are_scaled_twice(self, root, monkeypatch):
        self.patch_policy(monkeypatch, lambda images: images.float() / 255**2)
        assert not check("observations", root).passed

    def test_pixels_that_one_network_sees_centred(self, root, monkeypatch):
        """Mean and standard deviation are fine in both."""
        self.patch_policy(monkeypatch, lambda images: images.float() / 127.5 - 1)
        result = check("observations", root)
        assert not result.passed and result.seen.endswith("; the range should be the same for both")
        assert "from -1 to " in result.seen and "from 0 to " in result.seen

    def test_a_network_that_is_handed_another_type(self, root, monkeypatch):
        raw = "repro.preferences.reward_model.RewardModel.raw"
        monkeypatch.setattr(raw, lambda self, observations: self.network(torch.from_numpy(observations).float()))
        result = check("observations", root)
        assert not result.passed and result.seen.endswith("; the type should be the same for both")

    def test_pixels_that_the_reward_model_sees_scaled_before(self, root, monkeypatch):
        raw = "repro.preferences.reward_model.RewardModel.raw"
        monkeypatch.setattr(raw, lambda self, observations: self.network(torch.from_numpy(observations) / 255))
        result = check("observations", root)
        assert not result.passed and "the reward model's mean" in result.seen
