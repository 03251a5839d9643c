"""What is said when an agent's network gives out nothing to act by."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from repro.config import AgentConfig
from repro.reading import UserError

LEARNING_RATES = ("learning_rate", "value_learning_rate")


def check_finite(outputs: Tensor, observations: NDArray, config: AgentConfig) -> None:
    """Raise UserError unless all outputs of the agent's network are finite.

    It names what they come from: the observations, if these are not finite themselves, else the learning rates.
    """
    if not math.isfinite(outputs.sum()):
        check_observations(observations)
        raise diverged(config)


def check_observations(observations: NDArray) -> None:
    """Raise UserError unless all are finite."""
    bad = observations[~np.isfinite(observations)]
    if bad.size:
        raise UserError(f"an observation is {bad[0]}: look at the environment's step() and reset(), and its wrappers")


def diverged(config: AgentConfig) -> UserError:
    """What to raise where the agent's network gives out no finite numbers."""
    rates = [f"agent.{name} is {rate:g}" for name, rate in config if name in LEARNING_RATES]
    return UserError(
        "training has diverged: the outputs of the agent's network are not finite; lower its learning rate "
        f"({', '.join(rates)})"
    )
