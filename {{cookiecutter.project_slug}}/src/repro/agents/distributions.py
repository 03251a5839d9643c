"""Distributions of actions: of discrete and of continuous ones, a batch at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Categorical:
    """Discrete actions from logits (batch, actions)."""

    def __init__(self, logits: Tensor):
        self.log_probabilities = torch.log_softmax(logits, dim=-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Actions, int64 (batch,).

        The race of exponential clocks by which torch.multinomial draws, without its checks, each of which waits for
        the device.
        """
        clocks = torch.empty_like(self.log_probabilities).exponential_(generator=generator)
        return (self.log_probabilities.exp() / clocks).argmax(dim=-1)

    def mode(self) -> Tensor:
        """The most probable actions, int64 (batch,)."""
        return self.log_probabilities.argmax(dim=-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-probabilities of `actions`, (batch,)."""
        return self.log_probabilities.gather(-1, actions[:, None]).squeeze(-1)

    def entropy(self) -> Tensor:
        """In nats, (batch,)."""
        return -(self.log_probabilities.exp() * self.log_probabilities).sum(dim=-1)

    def kl(self, other: ActionDistribution) -> Tensor:
        """KL(self || other) in nats, (batch,)."""
        assert isinstance(other, Categorical)
        return (self.log_probabilities.exp() * (self.log_probabilities - other.log_probabilities)).sum(dim=-1)


class DiagonalGaussian:
    """Continuous actions (batch, actions) around a mean, with a standard deviation an action."""

    def __init__(self, mean: Tensor, log_std: Tensor):
        self.mean, self.log_std = mean, log_std.expand_as(mean)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Actions, float32 (batch, actions); the environment clips them to its bounds."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device)
        return self.mean + self.log_std.exp() * noise

    def mode(self) -> Tensor:
        """The most probable actions, (batch, actions)."""
        return self.mean

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-densities of `actions`, (batch,)."""
        standardised = (actions - self.mean) / self.log_std.exp()
        return (-0.5 * standardised**2 - self.log_std - 0.5 * math.log(2 * math.pi)).sum(dim=-1)

    def entropy(self) -> Tensor:
        """Differential entropy in nats, (batch,)."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(dim=-1)

    def kl(self, other: ActionDistribution) -> Tensor:
        """KL(self || other) in nats, (batch,)."""
        assert isinstance(other, DiagonalGaussian)
        variances = (2 * self.log_std).exp() + (self.mean - other.mean).square()
        return (other.log_std - self.log_std + variances / (2 * (2 * other.log_std).exp()) - 0.5).sum(dim=-1)


ActionDistribution = Categorical | DiagonalGaussian


def make_distribution(outputs: Tensor, log_std: Tensor | None) -> ActionDistribution:
    """Distributions of actions: discrete ones from logits, continuous ones from means and deviations (actions,)."""
    return Categorical(outputs) if log_std is None else DiagonalGaussian(outputs, log_std)
