"""Parameters of the off-policy algorithms: the section `agent` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from repro.config.base import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Section


class ReplayConfig(Section):
    """What learning from a replay buffer asks for. Steps are those of each environment, buffers count all of them."""

    rollout_steps: Annotated[int, Field(ge=2)]  # steps between two rows of metrics, from which segments are cut
    discount: Fraction
    buffer_size: PositiveInt  # transitions
    learning_starts: PositiveInt  # transitions collected at random before the first update
    update_every: PositiveInt  # steps between updates
    gradient_steps: PositiveInt  # of an update
    batch_size: PositiveInt  # transitions

    @model_validator(mode="after")
    def learning_can_start(self) -> ReplayConfig:
        if not self.batch_size <= self.learning_starts <= self.buffer_size:
            raise ValueError(
                f"learning_starts ({self.learning_starts}) must lie between batch_size ({self.batch_size}) "
                f"and buffer_size ({self.buffer_size})"
            )
        return self


class DQNConfig(ReplayConfig):
    """Deep Q-learning with a target network (Mnih et al. 2015), double (van Hasselt et al. 2016) or not."""

    algorithm: Literal["dqn"]
    learning_rate: PositiveFloat
    double: bool
    target_update_steps: PositiveInt  # gradient steps between copies to the target network
    exploration_initial: Fraction  # probability of a random action ...
    exploration_final: Fraction
    exploration_steps: PositiveInt  # ... annealed linearly over so many agent steps
    max_gradient_norm: PositiveFloat


class DDPGConfig(ReplayConfig):
    """Deep deterministic policy gradient (Lillicrap et al. 2016)."""

    algorithm: Literal["ddpg"]
    learning_rate: PositiveFloat  # of the policy
    value_learning_rate: PositiveFloat  # of the action-value function
    target_rate: Fraction  # share of the networks that enters the target networks with each gradient step
    exploration_noise: NonNegativeFloat  # standard deviation, as a share of half the range of an action
    max_gradient_norm: PositiveFloat
