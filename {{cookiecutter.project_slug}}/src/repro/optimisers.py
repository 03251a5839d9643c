"""PyTorch's optimisers without its compiler, which takes a second to load, once in every process that trains.

Methods of `torch.optim` load it to keep themselves out of compiled code. Nothing is compiled here, and the functions
that they wrap do the same.
"""

from __future__ import annotations

import inspect
from typing import TypeVar

import torch

Optimiser = TypeVar("Optimiser", bound=torch.optim.Optimizer)


def uncompiled(optimiser: type[Optimiser]) -> type[Optimiser]:
    """The class, its methods without their wrappers; `step` computes no gradients, as before."""
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        setattr(optimiser, name, inspect.unwrap(getattr(optimiser, name)))
    optimiser.step = torch.no_grad()(inspect.unwrap(optimiser.step))  # type: ignore[method-assign]
    return optimiser


@uncompiled
class Adam(torch.optim.Adam):
    """Adam (Kingma and Ba 2015)."""


@uncompiled
class AdamW(torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
