"""Reward models, segments and comparisons that the tests of the reward model share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from repro.config import load_config
from repro.preferences.reward_model import RewardModel
from repro.preferences.segments import Segment

torch.set_num_threads(1)
PRESET = Path(__file__).parents[2] / "presets" / "moving-dot.yaml"
IMAGES, VECTORS = Box(0, 255, (3, 36, 36), np.uint8), Box(-np.inf, np.inf, (4,), np.float32)
LARGE = Box(0, 255, (3, 44, 44), np.uint8)  # large enough for the paper's convolutions
PAPER = {"network": "cnn", "batch_norm": "true", "dropout": 0.5}
SPACES = pytest.mark.parametrize("space", [IMAGES, VECTORS], ids=["images", "vectors"])
STEPS = 5


def make_config(space, **settings):
    """Keypoints for images, unless another network is asked for; an MLP for vectors."""
    network = "keypoints" if len(space.shape) == 3 else "mlp"
    small = {"members": 3, "keypoints": 2, "hidden": 16, "batch_size": 8, "validation_fraction": 0.2}
    settings = {"network": network} | small | settings
    overrides = [f"reward_model.{name}={value}" for name, value in settings.items()]
    return load_config(PRESET, ["reward.source=environment", *overrides]).reward_model  # with whatever network


def make_model(space, *, seed=0, weights=0, precision="float32", **settings):
    config = make_config(space, **settings)
    torch.manual_seed(weights)
    return RewardModel(space, config, torch.device("cpu"), seed, precision)


def dot_frames(positions, size=36, half=2):
    """Frames with a dot at each (x, y)."""
    frames = np.zeros((len(positions), size, size), np.uint8)
    for frame, (x, y) in zip(frames, positions, strict=True):
        frame[y - half : y + half, x - half : x + half] = 255
    return frames


def make_segment(space, seed, velocity=None, steps=STEPS):
    generator = np.random.default_rng(seed)
    if space is VECTORS:
        observations = generator.normal(size=(steps, 4)).astype(np.float32)
    else:
        frames = steps + space.shape[0] - 1
        start = generator.integers(12, 24, 2)
        velocity = generator.integers(-1, 2, 2) if velocity is None else np.array(velocity)
        observations = dot_frames(start + velocity * np.arange(frames)[:, None], space.shape[1])
    return Segment(observations, np.zeros(steps, int), np.zeros(steps, np.float32))


def stack_frames(frames, stack):
    """(T + S - 1, H, W) frames -> (T, S, H, W) stacks, oldest frame first."""
    return frames[np.arange(len(frames) - stack + 1)[:, None] + np.arange(stack)]


def stacks(space, segment):
    """The observations of the agent, one a step."""
    return segment.observations if space is VECTORS else stack_frames(segment.observations, space.shape[0])


def add_comparisons(model, space, count, preference=lambda number: float(number % 2)):
    for number in range(count):
        left, right = make_segment(space, 2 * number), make_segment(space, 2 * number + 1)
        model.comparisons.add(number, left, right, preference(number))


def amplify(model):
    """Untrained members hardly prefer anything; make them."""
    with torch.no_grad():
        model.network.weights[-1] *= 300
