"""The sections of `params.yaml` about preferences: what is asked about, and who answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from repro.config.base import FiniteFloat, Fraction, NonNegativeFloat, PositiveInt, Section


class OracleConfig(Section):
    """How the synthetic annotator judges, and errs; `repro.preferences.oracle` says what each number does."""

    rationality: NonNegativeFloat | None  # beta of Bradley-Terry; null: it always prefers the larger return
    discount: Annotated[float, Field(gt=0, le=1)]  # of the steps before the last one; 1: all count alike
    mistake: Fraction  # probability that a preference is turned round
    skip_probability: Fraction  # of the answer "incomparable", whatever is shown
    skip_threshold: FiniteFloat | None  # segments that both return less are incomparable; null: none are
    equal_threshold: NonNegativeFloat  # returns that differ by less are a tie
    episode_end_penalty: NonNegativeFloat  # taken off the return of a segment that an episode ends with


class PreferenceConfig(Section):
    """Which comparisons are asked for, when, and who answers."""

    annotator: Literal["oracle", "person"]  # oracle: answers are computed from the true rewards
    when_unlabelled: Literal["wait", "continue"]  # while a person owes labels that are due
    segment_steps: PositiveInt  # length of a clip in agent steps; an episode that terminates sooner gives shorter ones
    instruction: str  # what people who compare clips are told: one or two sentences
    total_labels: PositiveInt  # answered comparisons in all
    initial_labels: PositiveInt  # from the untrained policy, before any training
    initial_action_repeat: Fraction  # probability that the untrained policy repeats its last action
    # Later labels come at a rate ~ decay / (T + decay), T in agent steps since then; null: at a constant one.
    label_decay_steps: PositiveInt | None
    # Which pairs are asked for: any; those that the members judge most differently; those that they are least sure of.
    queries: Literal["uniform", "disagreement", "entropy"]
    query_candidates: PositiveInt  # the queries are the best of so many times as many pairs; of no use to uniform
    oracle: OracleConfig
