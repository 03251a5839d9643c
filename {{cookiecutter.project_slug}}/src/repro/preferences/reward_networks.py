"""The networks of the reward model: an ensemble evaluated and trained in one batched pass."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.nn import functional

from repro.config import RewardModelConfig
from repro.normalisation import normaliser_of
from repro.preferences.reward_encoders import LEAK, ConvolutionalEncoder, KeypointEncoder, PairedDropout


class RewardEnsemble(nn.Module):
    """M reward functions r(o), each an encoder and fully connected layers.

    - `keypoints`: images pass through a keypoint encoder, frame by frame, so that the frames which neighbouring
      stacks share are encoded once. The inputs of two hidden layers are the last frame's features and the
      differences between the frames of the stack, both standardised: motion of a few pixels weighs as much as position.
    - `cnn`: stacks pass through the convolutions of Christiano et al. 2017, A.2, and one hidden layer.
    - `mlp`: vectors, standardised (by the policy's normaliser, if it has one), pass through two hidden layers (A.1).
    """

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, observation_space: Box, config: RewardModelConfig):
        super().__init__()
        shape = observation_space.shape
        self.kind, self.members, self.dropout = config.network, config.members, config.dropout
        self.images = self.kind != "mlp"
        self.stack = shape[0] if self.images else 1
        self.normaliser = normaliser_of(observation_space)
        sizes = [config.hidden, config.hidden, 1]
        self.encoder: nn.Module
        if self.kind == "keypoints":
            self.encoder = KeypointEncoder(config.members, config.keypoints)
            inputs = 2 * config.keypoints * self.stack
        elif self.kind == "cnn":
            self.encoder = ConvolutionalEncoder(config.members, self.stack, config.batch_norm)
            inputs, sizes = ConvolutionalEncoder.features(*shape[1:]), sizes[1:]
        else:
            self.encoder, inputs = nn.Identity(), math.prod(shape)
        self.register_buffer("input_mean", torch.zeros(config.members, 1, inputs))
        self.register_buffer("input_std", torch.ones(config.members, 1, inputs))
        sizes = [inputs, *sizes]
        gains = [math.sqrt(2)] * (len(sizes) - 2) + [0.01]  # an untrained member has next to no preferences
        self.weights = nn.ParameterList(
            torch.stack([nn.init.orthogonal_(torch.empty(columns, rows), gain).T for _ in range(config.members)])
            for (rows, columns), gain in zip(pairwise(sizes), gains, strict=True)
        )
        self.biases = nn.ParameterList(torch.zeros(config.members, 1, size) for size in sizes[1:])

    def forward(
        self, observations: Tensor, lengths: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Rewards float32 (M, B, T) of segments.

        Args:
            observations: frames uint8 (B, T + S - 1, H, W) or vectors (B, T, D).
            lengths: int64 (B,) on the CPU, the steps of each segment, T if it is None. What follows is padding: its
                reward is 0, and it changes no other and no statistics.
            generator: what dropout is drawn from, while training: B is then two halves, the segments of pairs.
        """
        batch, steps = len(observations), observations.shape[1] - self.stack + 1
        valid = valid_steps(lengths, steps)
        inputs = self._inputs(observations, valid, generator)
        if self.kind != "cnn":
            inputs = (inputs - self.input_mean) / self.input_std
        with torch.autocast(inputs.device.type, enabled=False):  # these layers are small, their outputs are summed
            for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                if layer:
                    inputs = functional.leaky_relu(inputs, LEAK)
                inputs = torch.baddbmm(bias, inputs, weight)
        if valid is None:
            return inputs.view(len(inputs), batch, -1)
        rewards = inputs.new_zeros(self.members, batch, steps)
        rewards[:, valid.to(rewards.device)] = inputs.squeeze(2)
        return rewards

    @torch.no_grad()
    def standardise(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fix the standardisation of the inputs from batches of segments and their lengths, as in `forward`.

        A normaliser that is shared with the policy takes them into account instead, and goes on changing. The paper's
        convolutions see images as they are.
        """
        if self.kind == "cnn":
            return
        if self.normaliser:
            seen = [_steps(batch, valid_steps(lengths, batch.shape[1])) for batch, lengths in batches]
            self.normaliser.update(torch.cat(seen))
            return
        parts = []
        for batch, lengths in batches:
            parts.append(self._inputs(batch, valid_steps(lengths, batch.shape[1] - self.stack + 1)))
        inputs = torch.cat(parts, dim=1)
        self.input_mean.copy_(inputs.mean(dim=1, keepdim=True))
        # An input that barely varied must not blow up once it does.
        deviation = inputs.std(dim=1, keepdim=True)
        self.input_std.copy_(deviation.clamp(min=1e-3 * float(deviation.max())) + 1e-8)

    def _inputs(
        self, observations: Tensor, valid: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """What the layers see of the N steps that are `valid`, or of all, float32 (M, N, inputs)."""
        if self.kind == "mlp":
            vectors = _steps(observations, valid)
            vectors = self.normaliser(vectors) if self.normaliser else vectors.float()
            return vectors.expand(self.members, -1, -1)
        if self.kind == "cnn":
            stacks = observations.unfold(1, self.stack, 1).movedim(4, 2)  # (B, T, S, H, W)
            dropout = None
            if generator is not None and self.dropout:
                pairs = torch.arange(len(stacks), device=stacks.device) % (len(stacks) // 2)
                own = pairs[:, None].expand(stacks.shape[:2])
                dropout = PairedDropout(self.dropout, _steps(own, valid), generator)
            features: Tensor = self.encoder(_steps(stacks, valid), dropout)
            return features
        batch, frames = observations.shape[:2]
        points = self.encoder(observations.flatten(0, 1)).view(batch, frames, self.members, -1)
        points = points.unfold(1, self.stack, 1)  # (B, T, M, features, S)
        motion = points[..., 1:] - points[..., :-1]
        inputs = torch.cat([points[..., -1:], motion], dim=-1).flatten(3)
        return _steps(inputs, valid).transpose(0, 1)


def valid_steps(lengths: Tensor | None, steps: int) -> Tensor | None:
    """Which steps (B, T) of segments of these lengths (B,) are none of the padding; None where there is none."""
    if lengths is None or int(lengths.min()) == steps:
        return None
    return torch.arange(steps) < lengths[:, None]


def _steps(values: Tensor, valid: Tensor | None) -> Tensor:
    """The valid steps, or all, of (B, T, ...), one after another."""
    return values.flatten(0, 1) if valid is None else values[valid.to(values.device)]
