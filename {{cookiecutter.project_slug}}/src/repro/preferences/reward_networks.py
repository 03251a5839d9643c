"""The networks of the reward model: an ensemble evaluated and trained in one batched pass."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.nn import functional

from repro.normalisation import normaliser_of


class RewardEnsemble(nn.Module):
    """M reward functions r(o). What they see are features of the last frame and of the motion between frames.

    Images pass through a keypoint encoder, frame by frame, so that the frames which neighbouring stacks share are
    encoded once. The inputs of the layers that follow are the last frame's features and the differences between
    the frames of the stack, both standardised: motion of a few pixels weighs as much as position. Vector
    observations are standardised and used as they are; by the policy's normaliser, if it has one.
    """

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, observation_space: Box, members: int, keypoints: int, hidden: int):
        super().__init__()
        shape = observation_space.shape
        self.members = members
        self.images = len(shape) == 3
        self.stack = shape[0] if self.images else 1
        self.normaliser = normaliser_of(observation_space)
        self.encoder = KeypointEncoder(members, keypoints) if self.images else nn.Identity()
        inputs = 2 * keypoints * self.stack if self.images else math.prod(shape)
        self.register_buffer("input_mean", torch.zeros(members, 1, inputs))
        self.register_buffer("input_std", torch.ones(members, 1, inputs))
        sizes = [inputs, hidden, hidden, 1]
        gains = [math.sqrt(2), math.sqrt(2), 0.01]  # an untrained member has next to no preferences
        self.weights = nn.ParameterList(
            torch.stack([nn.init.orthogonal_(torch.empty(columns, rows), gain).T for _ in range(members)])
            for (rows, columns), gain in zip(pairwise(sizes), gains, strict=True)
        )
        self.biases = nn.ParameterList(torch.zeros(members, 1, size) for size in sizes[1:])

    def forward(self, observations: Tensor) -> Tensor:
        """Rewards float32 (M, B, T) for segments: frames uint8 (B, T + S - 1, H, W) or vectors (B, T, D)."""
        batch = len(observations)
        inputs = (self._inputs(observations) - self.input_mean) / self.input_std
        with torch.autocast(inputs.device.type, enabled=False):  # these layers are small, their outputs are summed
            for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                if layer:
                    inputs = functional.leaky_relu(inputs, 0.01)  # Christiano et al. 2017, appendix A.1
                inputs = torch.baddbmm(bias, inputs, weight)
        return inputs.view(len(inputs), batch, -1)

    @torch.no_grad()
    def standardise(self, batches: Iterable[Tensor]) -> None:
        """Fix the standardisation of the inputs from batches of segments like those in `forward`.

        A normaliser that is shared with the policy takes them into account instead, and goes on changing.
        """
        if self.normaliser:
            self.normaliser.update(torch.cat([batch.flatten(0, 1) for batch in batches]))
            return
        inputs = torch.cat([self._inputs(batch) for batch in batches], dim=1)
        self.input_mean.copy_(inputs.mean(dim=1, keepdim=True))
        # An input that barely varied must not blow up once it does.
        deviation = inputs.std(dim=1, keepdim=True)
        self.input_std.copy_(deviation.clamp(min=1e-3 * float(deviation.max())) + 1e-8)

    def _inputs(self, observations: Tensor) -> Tensor:
        """What the layers see, float32 (M, B * T, inputs)."""
        if not self.images:
            vectors = observations.flatten(0, 1)
            vectors = self.normaliser(vectors) if self.normaliser else vectors.float()
            return vectors.expand(self.members, -1, -1)
        batch, frames = observations.shape[:2]
        features = self.encoder(observations.flatten(0, 1)).view(batch, frames, self.members, -1)
        stacks = features.unfold(1, self.stack, 1)  # (B, T, M, features, S)
        motion = stacks[..., 1:] - stacks[..., :-1]
        return torch.cat([stacks[..., -1:], motion], dim=-1).flatten(3).flatten(0, 1).transpose(0, 1)


class KeypointEncoder(nn.Module):
    """Where on the screen each of a few learned features is: image coordinates in [-1, 1].

    A convolution, then the centre of mass of each channel, in the manner of Levine et al. 2016 and Finn et al. 2016
    (spatial soft-argmax). A flattened convolutional network sees a thing at two places as two unrelated inputs and
    overfits a few hundred comparisons.
    """

    def __init__(self, members: int, keypoints: int):
        super().__init__()
        self.convolution = nn.Conv2d(1, members * keypoints, 5, stride=2, padding=2)
        for filters in self.convolution.weight.data.split(keypoints):
            nn.init.orthogonal_(filters, math.sqrt(2))
        assert self.convolution.bias is not None
        nn.init.zeros_(self.convolution.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """Coordinates float32 (B, members * keypoints * 2) of uint8 frames (B, H, W)."""
        half = torch.is_autocast_enabled(frames.device.type)
        images = frames[:, None].to(torch.bfloat16 if half else torch.float32) / 255
        activations = functional.relu(self.convolution(images))
        rows, columns = activations.sum(3, dtype=torch.float32), activations.sum(2, dtype=torch.float32)
        mass = rows.sum(2) + 1e-4
        points = []
        for along in (rows, columns):
            positions = torch.linspace(-1, 1, along.shape[2], device=frames.device)
            points.append((along * positions).sum(2) / mass)
        return torch.stack(points, dim=-1).flatten(1)
