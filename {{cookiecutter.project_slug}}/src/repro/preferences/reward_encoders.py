"""How the reward model sees images: as a few points on the screen, or through the paper's convolutions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from repro.normalisation import scale_images

LEAK = 0.01  # of all leaky ReLUs (Christiano et al. 2017, A.1 and A.2)
FILTERS = 16  # of each member, in each convolution of the paper (A.2)
KERNELS, STRIDES = (7, 5, 3, 3), (3, 2, 1, 1)


class KeypointEncoder(nn.Module):
    """Where on the screen each of a few learned features is: image coordinates in [-1, 1].

    A convolution, then the centre of mass of each channel, in the manner of Levine et al. 2016 and Finn et al. 2016
    (spatial soft-argmax). A flattened convolutional network sees a thing at two places as two unrelated inputs and
    overfits a few hundred comparisons. The convolution has no bias: one above 0 would make every pixel of a dark
    background weigh, thousands of them, and hide where the feature is.
    """

    def __init__(self, members: int, keypoints: int):
        super().__init__()
        self.convolution = nn.Conv2d(1, members * keypoints, 5, stride=2, padding=2, bias=False)
        _initialise(self.convolution, keypoints)

    def forward(self, frames: Tensor) -> Tensor:
        """Coordinates float32 (B, members * keypoints * 2) of uint8 frames (B, H, W)."""
        activations = functional.relu(self.convolution(scale_images(frames[:, None])))
        rows, columns = activations.sum(3, dtype=torch.float32), activations.sum(2, dtype=torch.float32)
        mass = rows.sum(2) + 1e-4
        points = []
        for along in (rows, columns):
            positions = torch.linspace(-1, 1, along.shape[2], device=frames.device)
            points.append((along * positions).sum(2) / mass)
        return torch.stack(points, dim=-1).flatten(1)


@dataclass(frozen=True)
class PairedDropout:
    """Dropout that is the same for both segments of a pair and all of their steps; each member has its own.

    One thinned network judges the pair. Were the two segments thinned apart, the label would be fitted to the
    difference between two networks; here equal segments tie while training too, and swapping swaps the preference.
    """

    rate: float
    pairs: Tensor  # int64 (N,): which pair each of N stacks belongs to
    generator: torch.Generator

    def __call__(self, activations: Tensor) -> Tensor:
        """Activations (N, ...) with a share `rate` of them 0, the others scaled up."""
        shape = (int(self.pairs.max()) + 1, *activations.shape[1:])
        kept = torch.rand(shape, generator=self.generator, device=activations.device) >= self.rate
        return activations * (kept.to(activations.dtype) / (1 - self.rate))[self.pairs]


class ConvolutionalEncoder(nn.Module):
    """The convolutions of Christiano et al. 2017, A.2, of all members in one pass, with or without batch norm.

    A member's channels are its own (grouped convolutions), and so are their batch statistics. They are taken over
    whatever passes through at once: all steps of both segments of all pairs of a batch.
    """

    def __init__(self, members: int, stack: int, batch_norm: bool):
        super().__init__()
        self.members = members
        channels = members * FILTERS
        self.convolutions = nn.ModuleList()
        for kernel, stride in zip(KERNELS, STRIDES, strict=True):
            first = not self.convolutions
            layer = nn.Conv2d(stack if first else channels, channels, kernel, stride, groups=1 if first else members)
            _initialise(layer, FILTERS)
            self.convolutions.append(layer)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) if batch_norm else nn.Identity() for _ in KERNELS)

    def forward(self, stacks: Tensor, dropout: PairedDropout | None = None) -> Tensor:
        """Features float32 (M, N, features) of uint8 stacks (N, S, H, W)."""
        images = scale_images(stacks)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            images = norm(convolution(images))
            if dropout:  # the same before a leaky ReLU as after it
                images = dropout(images)
            images = functional.leaky_relu(images, LEAK, inplace=True)
        return images.view(len(images), self.members, -1).transpose(0, 1).float()

    @staticmethod
    def features(height: int, width: int) -> int:
        """Of each member, for images of this size."""
        for kernel, stride in zip(KERNELS, STRIDES, strict=True):
            height, width = ((size - kernel) // stride + 1 for size in (height, width))
        return FILTERS * height * width


def _initialise(convolution: nn.Conv2d, filters: int) -> None:
    """Orthogonal filters for each member by itself, of which it has so many; biases, where there are any, are 0."""
    for own in convolution.weight.data.split(filters):
        nn.init.orthogonal_(own, math.sqrt(2))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
