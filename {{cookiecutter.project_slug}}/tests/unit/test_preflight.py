"""Each automatic check finds the bug it is made for, injected here, and passes the code as it is."""

from __future__ import annotations

import shutil
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch

from repro.config import load_config
from repro.envs.moving_dot import MovingDotVectorEnv
from repro.preferences.reward_networks import RewardEnsemble
from repro.preferences.store import PreferenceStore
from repro.preflight.checks import CHECKS, run_checks
from repro.preflight.estimate import estimate_minutes
from repro.training.on_policy import OnPolicyTrainer

PROJECT = Path(__file__).parents[2]
SMALL = [
    "env.image_size=36",
    "training.threads=1",
    "training.precision=float32",
    "env.num_envs=4",
    "agent.rollout_steps=64",
    "preferences.segment_steps=8",
]


def config(*overrides):
    return load_config(PROJECT / "presets" / "moving-dot.yaml", [*SMALL, *overrides])


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    (tmp_path / "pyproject.toml").write_text('[tool.repro.wandb]\nmode = "offline"\n')
    return tmp_path


def check(name, root, *overrides):
    (result,) = run_checks([name], config(*overrides), root)
    assert result.name == name and result.reason and result.remedy and "\n" not in result.seen
    return result


@pytest.mark.parametrize("name", CHECKS)
def test_it_passes_the_code_as_it_is(name, root):
    result = check(name, root)
    assert result.passed, result.seen


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_observations_of_either_kind_of_actions(actions, root):
    assert check("observations", root, f"env.actions={actions}", "reward.source=environment").passed


def test_a_gpu_that_is_not_there(root, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = check("device", root, "training.device=cuda")
    assert not result.passed and "no CUDA device" in result.seen
    assert check("device", root, "training.device=auto").passed


def test_a_full_disk(root, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1e12, 1e12, 1e9))
    result = check("disk_space", root)
    assert not result.passed and "1.0 GB free" in result.seen


def test_an_unknown_tracking_mode(root):
    (root / "pyproject.toml").write_text('[tool.repro.wandb]\nmode = "sometimes"\n')
    result = check("tracking", root)
    assert not result.passed and "sometimes" in result.seen


def test_too_few_seeds_for_a_claim(root):
    assert not check("seeds", root, "seeds.final=[0, 1, 2]").passed


def test_a_frozen_screen(root, monkeypatch):
    images = MovingDotVectorEnv._images
    monkeypatch.setattr(MovingDotVectorEnv, "_images", lambda self: np.full_like(images(self), 7))
    result = check("observations", root)
    assert not result.passed and "all observations are the same" in result.seen


def test_pixels_that_are_not_scaled(root, monkeypatch):
    monkeypatch.setattr("repro.agents.networks.ScaleImages.forward", lambda self, images: images.float())
    result = check("observations", root)
    assert not result.passed and "policy's" in result.seen and "scale should be the same" in result.seen


def test_pixels_that_are_scaled_twice(root, monkeypatch):
    monkeypatch.setattr("repro.agents.networks.ScaleImages.forward", lambda self, images: images.float() / 255**2)
    assert not check("observations", root).passed


def patch_rewards(monkeypatch, change):
    """Replace the ensemble's rewards (M, B, T) by change(network, observations, rewards)."""
    forward = RewardEnsemble.forward
    monkeypatch.setattr(RewardEnsemble, "forward", lambda self, seen: change(self, seen, forward(self, seen)))


def test_a_model_that_starts_with_preferences(root, monkeypatch):
    patch_rewards(monkeypatch, lambda network, seen, rewards: 300 * rewards)
    assert not check("reward_model_start", root).passed


def test_dropout_that_differs_between_the_segments_of_a_pair(root, monkeypatch):
    patch_rewards(monkeypatch, lambda network, seen, rewards: torch.nn.functional.dropout(rewards, 0.5))
    assert not check("reward_model_swap", root).passed


def test_batch_normalisation(root, monkeypatch):
    patch_rewards(monkeypatch, lambda network, seen, rewards: rewards - rewards.mean(1, keepdim=True))
    result = check("clips_independent", root)
    assert not result.passed and "to the others" in result.seen


def test_a_reshape_that_mixes_the_batch_with_time(root, monkeypatch):
    patch_rewards(monkeypatch, lambda network, seen, rewards: rewards.transpose(1, 2).reshape(rewards.shape))
    assert not check("clips_independent", root).passed


def test_rewards_that_do_not_depend_on_the_segment(root, monkeypatch):
    patch_rewards(monkeypatch, lambda network, seen, rewards: 0 * rewards)
    assert not check("clips_independent", root).passed


def test_labels_that_belong_to_other_segments(root, monkeypatch):
    segments = PreferenceStore.segment
    first = []

    def always_the_first(self, name):
        first.append(segments(self, name))
        return first[0]

    monkeypatch.setattr(PreferenceStore, "segment", always_the_first)
    assert not check("overfits_batch", root).passed


def test_a_learning_rate_that_learns_nothing(root):
    result = check("overfits_batch", root, "reward_model.learning_rate=1e-9")
    assert not result.passed and "after 200 steps" in result.seen


def test_what_cannot_be_built_has_failed(root, monkeypatch):
    def reset(self, seed):
        raise RuntimeError("no simulator\nhere")

    monkeypatch.setattr(MovingDotVectorEnv, "reset", reset)
    result = check("observations", root)
    assert not result.passed and result.seen == "could not be made: RuntimeError: no simulator here"


@pytest.mark.parametrize("source", ["learned", "environment"])
def test_the_estimate_is_of_the_right_size(source, tmp_path):
    parameters = config(
        f"reward.source={source}",
        f"training.total_steps={3000 if source == 'learned' else 6000}",
        "preferences.initial_labels=30",
        "preferences.total_labels=60",
        "reward_model.pretraining_steps=40",
    )
    estimate = 60 * estimate_minutes(parameters, seed=100)
    start = time.perf_counter()
    store = PreferenceStore(tmp_path / "preferences.db") if source == "learned" else None
    for _ in OnPolicyTrainer(parameters, 100, "run", store).rows():
        pass
    seconds = time.perf_counter() - start
    assert seconds / 3 < estimate < 3 * seconds  # another process may take the processor away from either


def test_an_estimate_grows_with_the_run_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short, long = (estimate_minutes(config(f"training.total_steps={steps}"), 100) for steps in (50_000, 500_000))
    assert 4 < long / short < 25
    assert list(tmp_path.iterdir()) == []
