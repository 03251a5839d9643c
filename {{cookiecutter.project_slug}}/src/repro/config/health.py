"""The section `health` of `params.yaml`: from where on a run is called unhealthy. The only section with defaults."""

from __future__ import annotations

from repro.config.base import FiniteFloat, Fraction, NonNegativeFloat, PositiveFloat, Section


class HealthConfig(Section):
    """Thresholds of the health checks; docs/health.md says which check has which."""

    warm_up: Fraction = 0.1  # of training, and 10 rollouts, 10,000 steps; before it checks of learning are silent
    # Of the policy.
    min_entropy: Fraction = 0.02  # share of the largest possible
    max_entropy: Fraction = 0.995  # the same, after the warm-up
    max_kl: PositiveFloat = 0.08  # nats, of the middle one of three updates
    max_kl_once: PositiveFloat = 0.15  # of any one
    max_kl_ratio: PositiveFloat = 5.0  # of the middle one of three to the usual one; harmless below 0.8 max_kl
    max_clip_fraction: Fraction = 0.4  # share of steps that PPO's clip range cuts off
    min_clip_fraction: Fraction = 0.0  # at or below it PPO's update is as good as none
    # Of values and gradients.
    min_explained_variance: FiniteFloat = -0.1  # after the warm-up; values that know nothing are about 0
    max_value_target: PositiveFloat = 1000.0  # beyond it rewards should be scaled down
    max_advantage_offset: PositiveFloat = 2.0  # of their mean from 0, in standard deviations, after the warm-up
    max_update: PositiveFloat = 1.0  # of a rollout's updates to the parameters' norm
    min_update: NonNegativeFloat = 1e-5  # the same
    # Of the reward model.
    min_reward_std: NonNegativeFloat = 1e-3  # of raw predictions
    max_normalised_shift: PositiveFloat = 3.0  # of predictions on labels: mean from 0, and factor of the std from 1
    min_return_correlation: FiniteFloat = 0.3  # of predicted and true returns, where an oracle answers
    max_loss_ratio: PositiveFloat = 2.5  # of held-out labels to those learned from
    min_loss_gain: Fraction = 0.1  # of what there is to be learned from the labels
    min_disagreement: Fraction = 0.1  # of the ensemble, beside how rewards vary; share of what it was at first
    # Of labels.
    max_label_imbalance: PositiveFloat = 10.0  # of answers for one side to those for the other
    max_ties: Fraction = 0.9  # share of the answers
    max_duplicates: Fraction = 0.05  # share of the segments in labelled comparisons
    max_overdue: Fraction = 0.1  # share of the labels, that wait for segments or answers
    # Of progress, and of the machine.
    min_score_gain: NonNegativeFloat = 0.05  # after half of training
    min_score: FiniteFloat = -0.05  # in the last quarter of training, of late; random actions score 0
    min_speed: Fraction = 0.8  # of the steps a second at first
    max_memory_growth: PositiveFloat = 1.5  # of the memory to what it was at first
