"""The value function as a regression: fitting one that has a network of its own, and how well values fit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repro.agents.rollout import Rollout
from repro.config import TRPOConfig, VPGConfig
from repro.device import autocast


def fit_values(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    observations: Tensor,
    returns: Tensor,
    config: VPGConfig | TRPOConfig,
    generator: torch.Generator,
    precision: str,
) -> Tensor:
    """Fit a network (batch, ...) -> (batch, 1) to returns (rows,), `config.value_epochs` times over.

    Returns the mean loss over all minibatches, a scalar.
    """
    total = torch.zeros((), device=returns.device)
    for _ in range(config.value_epochs):
        order = torch.randperm(len(returns), generator=generator, device=returns.device)
        for indices in order.tensor_split(config.minibatches):
            with autocast(returns.device, precision):
                values = network(observations[indices])
            loss = 0.5 * (values.float().squeeze(-1) - returns[indices]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
    return total / (config.value_epochs * config.minibatches)


def value_metrics(rollout: Rollout, returns: Tensor) -> dict[str, float]:
    """How the values during a rollout compare with its returns (T, N), over the rows that count."""
    values, returns = rollout.values[:-1][rollout.valid], returns[rollout.valid]
    deviation, mean = torch.std_mean(returns - values, correction=0)
    lowest, highest = returns.aminmax()
    return {
        "value/explained_variance": explained_variance(values, returns),
        "value/target_min": float(lowest),
        "value/target_max": float(highest),
        "advantage/mean": float(mean),
        "advantage/std": float(deviation),
    }


def explained_variance(predictions: Tensor, targets: Tensor) -> float:
    """1 - Var[targets - predictions] / Var[targets]; nan where the targets do not vary."""
    variance = targets.var()
    return float(1 - (targets - predictions).var() / variance) if variance > 0 else float("nan")
