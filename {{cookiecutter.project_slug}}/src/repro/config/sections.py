"""The sections of `params.yaml` other than the environment and the agent."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from repro.config.ablations import ABLATIONS
from repro.config.base import (
    Fraction,
    HalfOpenFraction,
    NonNegativeFloat,
    NonNegativeInt,
    OpenFraction,
    PositiveFloat,
    PositiveInt,
    Section,
)
from repro.reading import nearest


class RewardConfig(Section):
    """What the agent is trained on: the environment's reward, or one learned from preferences."""

    source: Literal["environment", "learned"]


def _number_or_adaptive(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value != "adaptive" and not (number and 0 <= value < math.inf):
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        raise ValueError(f"{shown} will not do: write adaptive, or a number that is not negative")
    return value


SMALLEST_CNN_IMAGE = 43  # pixels, of which the convolutions of reward_model.network: cnn leave one
WeightDecay = Annotated[float | Literal["adaptive"], BeforeValidator(_number_or_adaptive)]


class RewardModelConfig(Section):
    """The ensemble that predicts rewards from observations."""

    network: Literal["keypoints", "cnn", "mlp"]  # of images the first two, of vectors the last
    members: PositiveInt  # of the ensemble
    keypoints: PositiveInt  # of network keypoints: a member's features of an image, each a point on the screen
    hidden: PositiveInt  # units in each hidden layer: two of keypoints and mlp, one of cnn
    batch_norm: bool  # after each convolution of network cnn
    dropout: HalfOpenFraction  # probability that what a convolution of network cnn gives out is dropped
    target: Literal["preferences", "true_return"]  # true_return: regression on it, which only an oracle can offer
    learning_rate: PositiveFloat
    anneal_learning_rate: bool  # linearly to 0 at training.total_steps
    weight_decay: WeightDecay  # of AdamW; adaptive: by the ratio of validation and training loss
    batch_size: PositiveInt  # comparisons
    pretraining_steps: NonNegativeInt  # gradient steps on the initial labels
    steps_per_rollout: NonNegativeInt  # gradient steps after each rollout
    bootstrap: bool  # each member draws its labels with replacement, and is validated on those that it did not draw
    validation_fraction: OpenFraction  # of the labels, held out, for each member its own; without bootstrap
    early_stopping: PositiveInt | None  # gradient steps without a lower validation loss that end a fit
    label_window: PositiveInt | None  # so many labels, the last ones, are learned from; null: all
    answer_noise: HalfOpenFraction  # share of answers assumed to be random
    reward_std: PositiveFloat  # each member's rewards are normalised to mean 0 and this std, then averaged

    @model_validator(mode="after")
    def regularised_is_what_is_there(self) -> RewardModelConfig:
        if self.network != "cnn" and (self.batch_norm or self.dropout):
            raise ValueError(
                f"batch_norm and dropout are of network cnn; with {self.network} write batch_norm: false, dropout: 0"
            )
        return self


class TrainingConfig(Section):
    """How long to train, on what, and how often to save."""

    total_steps: PositiveInt  # agent steps over all envs, those of the initial segments included
    device: Literal["cpu", "cuda", "auto"]  # auto: cuda where there is a GPU
    threads: PositiveInt  # of torch on the CPU; results depend on it in the last bits
    precision: Literal["float32", "bfloat16", "auto"]  # auto: bfloat16 where a GPU or an x86 processor computes in it
    checkpoint_rollouts: PositiveInt  # a checkpoint is written after so many rollouts


class EvaluationConfig(Section):
    """Full episodes from fixed starts, scored by true return."""

    episodes: PositiveInt  # played for each of sampled and greedy actions
    seed: NonNegativeInt  # of the starts; the same for every run, so that runs can be compared
    actions: Literal["sampled", "greedy"]  # which of the two is judged; both are reported
    success_score: Fraction  # a run succeeds if its score (1: best known return) reaches this
    video_rollouts: NonNegativeInt  # an episode is filmed after so many rollouts, and at the end; 0: none


class SeedConfig(Section):
    """Explicit seeds. Hyperparameters are chosen on `tuning`, claims are made on `final`."""

    tuning: Annotated[list[NonNegativeInt], Field(min_length=1)]
    final: Annotated[list[NonNegativeInt], Field(min_length=1)]
    pipeline: Annotated[list[NonNegativeInt], Field(min_length=1)]  # those that `dvc repro` runs
    ablations: list[str]  # that it runs with the same seeds; names of `repro.config.ablations`

    @model_validator(mode="after")
    def disjoint_unique_and_known(self) -> SeedConfig:
        for name in ("tuning", "final", "pipeline"):
            seeds = getattr(self, name)
            if len(set(seeds)) < len(seeds):
                raise ValueError(f"{name} lists a seed twice: {seeds}")
        shared = sorted(set(self.tuning) & set(self.final))
        if shared:
            raise ValueError(f"tuning and final share the seeds {shared}; take them out of one")
        if not (set(self.pipeline) <= set(self.tuning) or set(self.pipeline) <= set(self.final)):
            raise ValueError(f"pipeline {self.pipeline} must lie within tuning or within final, not across")
        for name in self.ablations:
            if name not in ABLATIONS:
                raise ValueError(f"ablations: {name!r} is none{nearest(name, list(ABLATIONS))}")
        return self


class GateConfig(Section):
    """The pre-launch gate: runs estimated to take longer must pass the checklist first."""

    after_minutes: NonNegativeFloat
