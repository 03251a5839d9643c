"""How far an update moves an agent's parameters, and which it leaves where they are."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from repro.agents import Agent
from repro.agents.networks import TwinEncoder


class Movement:
    """Compares the parameters that an agent learns with what they were the last time."""

    def __init__(self, agent: Agent):
        networks = [value for value in vars(agent).values() if isinstance(value, nn.Module)]
        modules = [module for network in networks for module in network.modules()]
        self.parameters: list[nn.Parameter] = []
        sizes: list[int] = []
        for module in modules:
            parts = 2 if isinstance(module, TwinEncoder) else 1  # the policy's half of a tensor, then the values'
            learned = [parameter for parameter in module.parameters(recurse=False) if parameter.requires_grad]
            self.parameters += learned  # no target network's
            sizes += [parameter.numel() // parts for parameter in learned for _ in range(parts)]
        self.starts = [0, *itertools.accumulate(sizes[:-1])]
        self.last = self._vector()

    def measure(self) -> dict[str, float]:
        """Metrics of what happened since the last call."""
        now = self._vector()
        moved, size, self.last = np.abs(now - self.last), _norm(self.last), now
        return {
            "update/ratio": _norm(moved) / size,
            "update/still_layers": int((np.add.reduceat(moved, self.starts) == 0).sum()),
        }

    def forget(self) -> None:
        """Start from the parameters as they are now."""
        self.last = self._vector()

    def _vector(self) -> NDArray[np.float32]:
        parts = [parameter.detach().reshape(-1) for parameter in self.parameters]
        return torch.cat(parts).cpu().numpy()


def _norm(values: NDArray[np.float32]) -> float:
    """In float64, where squares of what has diverged do not overflow."""
    return float(np.square(values, dtype=np.float64).sum() ** 0.5)
