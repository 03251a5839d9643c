"""Networks shared by the agents: image and vector encoders, policy and value heads."""

from __future__ import annotations

import math
from typing import Any, TypeVar, cast

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from repro.normalisation import normaliser_of, scale_images

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


class ActorCritic(nn.Module):
    """A policy and a value function that are trained together.

    Observations: uint8 images (batch, frames, height, width) pass through one Nature CNN, float vectors
    (batch, features) through a TwinEncoder. Policy outputs are logits (Discrete) or means (Box).
    """

    def __init__(self, observation_space: Box, action_space: Discrete | Box):
        super().__init__()
        outputs = policy_outputs(action_space)
        self.images = len(observation_space.shape) == 3
        self.encoder, features = (
            make_encoder(observation_space) if self.images else (TwinEncoder(observation_space), 64)
        )
        self.policy = initialise(nn.Linear(features, outputs), gain=0.01)
        self.value = initialise(nn.Linear(features, 1), gain=1.0)
        self.log_std = None if isinstance(action_space, Discrete) else nn.Parameter(torch.zeros(outputs))

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Policy outputs, float32 (batch, outputs), and values, float32 (batch,)."""
        features = self.encoder(observations)
        for_policy, for_value = (features, features) if self.images else features
        return self.policy(for_policy).float(), self.value(for_value).float().squeeze(-1)


class TwinEncoder(nn.Module):
    """Two tanh layers of 64 for the policy and two for values, side by side in one batched pass.

    With one encoder for both, the gradient of the value's error drowns the policy's where returns are large: on
    Acrobot (returns of -500 at first) PPO learned nothing.
    """

    def __init__(self, observation_space: Box):
        super().__init__()
        self.normaliser = normaliser_of(observation_space)
        self.first = nn.Parameter(self._twins(math.prod(observation_space.shape)))
        self.first_bias = nn.Parameter(torch.zeros(2, 1, 64))
        self.second = nn.Parameter(self._twins(64))
        self.second_bias = nn.Parameter(torch.zeros(2, 1, 64))

    @staticmethod
    def _twins(inputs: int) -> Tensor:
        """Two matrices of orthogonal weights, (2, inputs, 64)."""
        return torch.stack([nn.init.orthogonal_(torch.empty(64, inputs), math.sqrt(2)).T for _ in range(2)])

    def forward(self, observations: Tensor) -> Tensor:
        """Features for the policy and for values, (2, batch, 64), of observations (batch, features)."""
        features = self.normaliser(observations) if self.normaliser else observations
        features = tanh(torch.baddbmm(self.first_bias, features.expand(2, -1, -1), self.first))
        return tanh(torch.baddbmm(self.second_bias, features, self.second))


def tanh(inputs: Tensor) -> Tensor:
    """The hyperbolic tangent; of float32 on the CPU by numpy, as PyTorch's takes up to ten times as long."""
    if inputs.dtype == torch.float32 and inputs.device.type == "cpu":
        return cast(Tensor, NumpyTanh.apply(inputs))
    return torch.tanh(inputs)


class NumpyTanh(torch.autograd.Function):
    """numpy's tanh, and PyTorch's own derivative of it."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        """Of the same shape."""
        outputs = torch.from_numpy(np.tanh(inputs.numpy()))
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The gradient by the inputs: 1 - tanh^2 times that by the outputs."""
        return torch.ops.aten.tanh_backward(gradient, *ctx.saved_tensors)


class SeparateActorCritic(nn.Module):
    """A policy and a value function on encoders of their own: fitting the one leaves the other where it is."""

    def __init__(self, observation_space: Box, action_space: Discrete | Box):
        super().__init__()
        outputs = policy_outputs(action_space)
        encoder, features = make_encoder(observation_space)
        self.policy = nn.Sequential(encoder, initialise(nn.Linear(features, outputs), gain=0.01))
        encoder, features = make_encoder(observation_space)
        self.value = nn.Sequential(encoder, initialise(nn.Linear(features, 1), gain=1.0))
        self.log_std = None if isinstance(action_space, Discrete) else nn.Parameter(torch.zeros(outputs))

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Policy outputs, float32 (batch, outputs), and values, float32 (batch,)."""
        return self.policy(observations).float(), self.value(observations).float().squeeze(-1)

    def policy_parameters(self) -> list[nn.Parameter]:
        """All parameters but those of the value function."""
        return [*self.policy.parameters(), *([] if self.log_std is None else [self.log_std])]


def policy_outputs(action_space: Discrete | Box) -> int:
    """How many numbers describe a distribution of actions, but for its standard deviations."""
    return int(action_space.n) if isinstance(action_space, Discrete) else math.prod(action_space.shape)


class NatureCNN(nn.Sequential):
    """The encoder of Mnih et al. 2015: three convolutions and a layer of 512. Takes uint8, scales inside."""

    def __init__(self, frames: int, height: int, width: int):
        convolutions = nn.Sequential(
            initialise(nn.Conv2d(frames, 32, 8, stride=4), math.sqrt(2)),
            nn.ReLU(inplace=True),
            initialise(nn.Conv2d(32, 64, 4, stride=2), math.sqrt(2)),
            nn.ReLU(inplace=True),
            initialise(nn.Conv2d(64, 64, 3, stride=1), math.sqrt(2)),
            nn.ReLU(inplace=True),
            nn.Flatten(),
        )
        for layer in convolutions.parameters():
            if layer.dim() == 4:
                layer.data = layer.data.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            flat = convolutions(torch.zeros(1, frames, height, width)).shape[1]
        super().__init__(
            ScaleImages(), convolutions, initialise(nn.Linear(flat, 512), math.sqrt(2)), nn.ReLU(inplace=True)
        )


class ScaleImages(nn.Module):
    """uint8 images to [0, 1], in the memory layout that convolutions run fastest in."""

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (batch, channels, height, width) to float of the same shape."""
        return scale_images(images, torch.channels_last)


def make_encoder(observation_space: Box) -> tuple[nn.Module, int]:
    """The encoder for an observation space and the number of features it returns."""
    if len(observation_space.shape) == 3:
        return NatureCNN(*observation_space.shape), 512
    inputs = math.prod(observation_space.shape)
    normaliser = normaliser_of(observation_space)
    layers: list[nn.Module] = [normaliser] if normaliser else []
    layers += [initialise(nn.Linear(inputs, 64), math.sqrt(2)), nn.Tanh()]
    layers += [initialise(nn.Linear(64, 64), math.sqrt(2)), nn.Tanh()]
    return nn.Sequential(*layers), 64


def initialise(layer: Layer, gain: float) -> Layer:
    """Orthogonal weights and zero biases, in place."""
    nn.init.orthogonal_(layer.weight, gain)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
