"""What is said when an agent's network gives out nothing to act by."""

from __future__ import annotations

import math

from torch import Tensor

from repro.config import AgentConfig
from repro.reading import UserError

LEARNING_RATES = ("learning_rate", "value_learning_rate")


def check_finite(outputs: Tensor, config: AgentConfig) -> None:
    """Raise UserError, which names the learning rates, unless all outputs of the agent's network are finite."""
    if not math.isfinite(outputs.sum()):
        raise diverged(config)


def diverged(config: AgentConfig) -> UserError:
    """What to raise where the agent's network gives out no finite numbers."""
    rates = [f"agent.{name} is {rate:g}" for name, rate in config if name in LEARNING_RATES]
    return UserError(
        "training has diverged: the outputs of the agent's network are not finite; lower its learning rate "
        f"({', '.join(rates)})"
    )
