"""Normalisation of observations: a module, the first layer of networks that see vectors; the scaling of images."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from repro.config import EnvConfig, GymConfig

MAX_DEVIATIONS = 10.0  # what lies farther from the mean is clipped, as in Stable-Baselines3's VecNormalize
EPSILON = 1e-8  # added to the variance: a feature that never varied must not divide by 0


class RunningNormaliser(nn.Module):
    """Observations (..., features) less their mean, divided by their standard deviation, clipped, as float32.

    Mean and variance are those of all observations given to `update` so far, 0 and 1 before the first. They are
    buffers, and so in the state of each network that has the module: what is saved is frozen.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, features: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(features, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))  # observations so far

    def __deepcopy__(self, memo: dict[int, Any]) -> RunningNormaliser:
        """Itself: a copy of a network, such as a target network, sees observations as the original does."""
        return self

    def forward(self, observations: Tensor) -> Tensor:
        """Normalised observations, float32 of the same shape."""
        deviation = (self.variance + EPSILON).sqrt().float()
        normalised = (observations.float() - self.mean.float()) / deviation
        return normalised.clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)

    @torch.no_grad()
    def update(self, observations: Tensor) -> None:
        """Take observations (batch, features) into account, by the pairwise formula of Chan et al. 1979, section 2."""
        if not len(observations):
            return
        batch = observations.to(self.mean.device, torch.float64)
        total = self.count + len(batch)
        difference = batch.mean(0) - self.mean
        squares = self.variance * self.count + batch.var(0, correction=0) * len(batch)
        squares += difference**2 * self.count * len(batch) / total
        self.mean += difference * len(batch) / total
        self.variance.copy_(squares / total)
        self.count.copy_(total)


class NormalisedBox(Box):
    """A space of observations that networks see through a normaliser; all that are told of it share the one."""

    def __init__(self, space: Box):
        super().__init__(space.low, space.high, space.shape, space.dtype.type)
        self.normaliser = RunningNormaliser(space.shape[0])


def network_space(config: EnvConfig, space: Box) -> Box:
    """The space that networks are told of where `space` is observed: with a normaliser if the parameters want one."""
    return NormalisedBox(space) if isinstance(config, GymConfig) and config.normalise_observations else space


def scale_images(images: Tensor, memory_format: torch.memory_format = torch.preserve_format) -> Tensor:
    """uint8 pixels as numbers from 0 to 1, in the precision that convolutions compute in here."""
    kind = images.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    return images.to(dtype, copy=True, memory_format=memory_format).div_(255)


def normaliser_of(space: Box) -> RunningNormaliser | None:
    """What observations of `space` pass through first, if anything."""
    return space.normaliser if isinstance(space, NormalisedBox) else None
