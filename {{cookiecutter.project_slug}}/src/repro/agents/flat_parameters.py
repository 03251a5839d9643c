"""All parameters of a network in one vector, for optimisers and clipping that would take longer with many tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def flatten_parameters(network: nn.Module) -> nn.Parameter:
    """All parameters of `network` in one vector, with its gradient, of which they and theirs are views from now on.

    One vector is clipped and optimised in a few operations, where tens of small tensors take some for each. The
    network has to be on its device already, and gradients to be set to zero in place, not to None.
    """
    parameters = list(network.parameters())
    flat = nn.Parameter(torch.empty(sum(parameter.numel() for parameter in parameters), device=parameters[0].device))
    flat.grad = torch.zeros_like(flat)
    start = 0
    for parameter in parameters:
        layout = (parameter.shape, parameter.stride(), start)  # of convolutions it is not the usual one
        parameter.data = flat.data.as_strided(*layout).copy_(parameter.data)
        parameter.grad = flat.grad.as_strided(*layout)
        start += parameter.numel()
    return flat


def zero_gradient(parameters: nn.Parameter) -> None:
    """Set the gradient of one vector to zero, in place; an optimiser's `zero_grad` takes far longer."""
    assert parameters.grad is not None
    parameters.grad.zero_()


@torch.no_grad()
def clip_gradient(parameters: nn.Parameter, max_norm: float) -> Tensor:
    """Scale the gradient of one vector down, in place, to a norm of at most `max_norm`; returns the norm before, ()."""
    assert parameters.grad is not None
    norm = torch.linalg.vector_norm(parameters.grad)
    parameters.grad *= (max_norm / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
    return norm
