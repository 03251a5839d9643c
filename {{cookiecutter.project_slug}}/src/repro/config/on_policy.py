"""Parameters of the on-policy algorithms: the section `agent` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from repro.config.base import Fraction, NonNegativeFloat, OpenFraction, PositiveFloat, PositiveInt, Section


class PPOConfig(Section):
    """Proximal policy optimisation with a clipped objective (Schulman et al. 2017)."""

    algorithm: Literal["ppo"]
    learning_rate: PositiveFloat
    anneal_learning_rate: bool  # linearly to 0 at training.total_steps
    rollout_steps: Annotated[int, Field(ge=2)]  # steps of each env between updates
    epochs: PositiveInt  # passes over a rollout
    minibatches: PositiveInt  # an epoch is split into so many
    discount: Fraction
    gae_lambda: Fraction
    clip_range: PositiveFloat
    value_coefficient: NonNegativeFloat  # of half the mean squared error of values
    entropy_coefficient: NonNegativeFloat  # weight of the entropy bonus
    max_gradient_norm: PositiveFloat


class SB3PPOConfig(PPOConfig):
    """The same by Stable-Baselines3 (Raffin et al. 2021), which the extra `baseline` brings."""

    algorithm: Literal["sb3-ppo"]  # type: ignore[assignment]


class A2CConfig(Section):
    """Advantage actor-critic, synchronous (Mnih et al. 2016), as in Christiano et al. 2017, A.2."""

    algorithm: Literal["a2c"]
    learning_rate: PositiveFloat
    anneal_learning_rate: bool  # linearly to 0 at training.total_steps
    rollout_steps: Annotated[int, Field(ge=2)]  # steps of each env between updates
    discount: Fraction
    gae_lambda: Fraction  # 1: returns of up to rollout_steps steps
    value_coefficient: NonNegativeFloat  # of half the mean squared error of values
    entropy_coefficient: NonNegativeFloat  # weight of the entropy bonus
    max_gradient_norm: PositiveFloat
    rmsprop_decay: OpenFraction  # of the running mean of squared gradients
    rmsprop_epsilon: PositiveFloat  # inside the root, as TensorFlow has it


class VPGConfig(Section):
    """Vanilla policy gradient: REINFORCE (Williams 1992) with a learned baseline."""

    algorithm: Literal["vpg"]
    learning_rate: PositiveFloat
    anneal_learning_rate: bool  # linearly to 0 at training.total_steps
    rollout_steps: Annotated[int, Field(ge=2)]  # steps of each env between updates
    discount: Fraction
    gae_lambda: Fraction  # 1: whole returns
    entropy_coefficient: NonNegativeFloat  # weight of the entropy bonus
    max_gradient_norm: PositiveFloat
    value_learning_rate: PositiveFloat
    value_epochs: PositiveInt  # the baseline is fitted to the returns so many times over
    minibatches: PositiveInt  # of an epoch of that


class TRPOConfig(Section):
    """Trust region policy optimisation (Schulman et al. 2015)."""

    algorithm: Literal["trpo"]
    rollout_steps: Annotated[int, Field(ge=2)]  # steps of each env between updates
    discount: Fraction
    gae_lambda: Fraction
    entropy_coefficient: NonNegativeFloat  # weight of the entropy bonus
    max_kl: PositiveFloat  # nats an update may move the policy, on average over states
    conjugate_gradient_steps: PositiveInt
    damping: NonNegativeFloat  # added to the Fisher matrix's diagonal
    line_search_steps: PositiveInt  # lengths of the step that are tried, each half the one before
    value_learning_rate: PositiveFloat
    value_epochs: PositiveInt  # the value function is fitted to the returns so many times over
    minibatches: PositiveInt  # of an epoch of that
