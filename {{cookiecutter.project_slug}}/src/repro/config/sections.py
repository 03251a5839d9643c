"""The sections of `params.yaml` other than the environment and the agent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from repro.config.base import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    OpenFraction,
    PositiveFloat,
    PositiveInt,
    Section,
)


class RewardConfig(Section):
    """What the agent is trained on: the environment's reward, or one learned from preferences."""

    source: Literal["environment", "learned"]


class PreferenceConfig(Section):
    """Which comparisons are asked for, when, and who answers."""

    annotator: Literal["oracle"]
    segment_steps: PositiveInt
    total_labels: PositiveInt
    initial_labels: PositiveInt  # from the untrained policy, before any training
    initial_action_repeat: Fraction  # probability that the untrained policy repeats its last action
    label_decay_steps: PositiveInt  # later labels come at a rate ~ decay / (T + decay), T in agent steps since then
    queries: Literal["uniform"]


class RewardModelConfig(Section):
    """The ensemble that predicts rewards from observations."""

    members: PositiveInt
    keypoints: PositiveInt  # a member's image features, each a point on the screen
    hidden: PositiveInt  # units in each of the two hidden layers
    learning_rate: PositiveFloat
    anneal_learning_rate: bool  # linearly to 0 at training.total_steps
    weight_decay: NonNegativeFloat
    batch_size: PositiveInt  # comparisons
    pretraining_steps: NonNegativeInt  # gradient steps on the initial labels
    steps_per_rollout: NonNegativeInt  # gradient steps after each rollout
    validation_fraction: OpenFraction  # of the labels, held out, for each member its own
    answer_noise: Annotated[float, Field(ge=0, lt=1)]  # share of answers assumed to be random
    reward_std: PositiveFloat  # each member's rewards are normalised to mean 0 and this std, then averaged


class TrainingConfig(Section):
    """How long to train, on what, and how often to save."""

    total_steps: PositiveInt  # agent steps over all envs, those of the initial segments included
    device: Literal["cpu", "cuda", "auto"]
    threads: PositiveInt  # of torch on the CPU; results depend on it in the last bits
    precision: Literal["float32", "bfloat16", "auto"]  # auto: bfloat16 where the processor computes in it
    checkpoint_rollouts: PositiveInt  # a checkpoint is written after so many rollouts


class EvaluationConfig(Section):
    """Full episodes from fixed starts, scored by true return."""

    episodes: PositiveInt
    seed: NonNegativeInt  # of the starts; the same for every run, so that runs can be compared
    actions: Literal["sampled", "greedy"]  # which of the two is judged; both are reported
    success_score: Fraction  # a run succeeds if its score (1: best known return) reaches this
    video_rollouts: NonNegativeInt  # while training, an episode is filmed after so many rollouts, and at the end; 0: none


class SeedConfig(Section):
    """Explicit seeds. Hyperparameters are chosen on `tuning`, claims are made on `final`."""

    tuning: Annotated[list[NonNegativeInt], Field(min_length=1)]
    final: Annotated[list[NonNegativeInt], Field(min_length=1)]
    pipeline: Annotated[list[NonNegativeInt], Field(min_length=1)]  # those that `dvc repro` runs

    @model_validator(mode="after")
    def disjoint_and_unique(self) -> SeedConfig:
        for name in ("tuning", "final", "pipeline"):
            seeds = getattr(self, name)
            if len(set(seeds)) < len(seeds):
                raise ValueError(f"{name} lists a seed twice: {seeds}")
        shared = sorted(set(self.tuning) & set(self.final))
        if shared:
            raise ValueError(f"tuning and final share the seeds {shared}; take them out of one")
        if not (set(self.pipeline) <= set(self.tuning) or set(self.pipeline) <= set(self.final)):
            raise ValueError(f"pipeline {self.pipeline} must lie within tuning or within final, not across")
        return self


class GateConfig(Section):
    """The pre-launch gate: runs estimated to take longer must pass the checklist first."""

    after_minutes: NonNegativeFloat
