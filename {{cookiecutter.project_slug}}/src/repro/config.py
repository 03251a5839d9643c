"""The parameters of a run: strict models of `params.yaml`, and overrides from the command line.

Every field is required and checked before any compute is spent. A mistake is reported as one line
that names the field, the value and the fix (`UserError`).
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, model_validator

from repro.reading import UserError, nearest, parse_yaml, read_yaml

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]

MIN_MINIBATCH = 8  # steps


class Section(BaseModel):
    """A section of `params.yaml`: unknown keys and implicit conversions are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EnvConfig(Section):
    """The environment. Steps are agent steps; a frame is one tick of the simulator."""

    id: Literal["moving-dot"]
    actions: Literal["discrete", "continuous"]
    num_envs: PositiveInt
    image_size: Annotated[int, Field(ge=36, le=210)]  # pixels, both sides; the Nature CNN needs 36
    frame_stack: PositiveInt  # observations are the last this many images
    frame_skip: PositiveInt  # frames an action is repeated for; their rewards are summed
    max_frames: PositiveInt  # an episode is truncated after so many frames

    @model_validator(mode="after")
    def episode_is_whole_steps(self) -> EnvConfig:
        if self.max_frames % self.frame_skip:
            raise ValueError(f"max_frames ({self.max_frames}) must be a multiple of frame_skip ({self.frame_skip})")
        return self


class PPOConfig(Section):
    """Proximal policy optimisation with a clipped objective (Schulman et al. 2017)."""

    algorithm: Literal["ppo"]
    learning_rate: PositiveFloat
    anneal_learning_rate: bool  # linearly to 0 at training.total_steps
    rollout_steps: Annotated[int, Field(ge=2)]  # steps of each env between updates
    epochs: PositiveInt
    minibatches: PositiveInt  # an epoch is split into so many
    discount: Fraction
    gae_lambda: Fraction
    clip_range: PositiveFloat
    value_coefficient: NonNegativeFloat
    entropy_coefficient: NonNegativeFloat
    max_gradient_norm: PositiveFloat


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
    success_score: Fraction  # a run succeeds if its return reaches this share of the optimal one


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


class Config(Section):
    """All of `params.yaml`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    env: EnvConfig
    agent: PPOConfig
    reward: RewardConfig
    preferences: PreferenceConfig  # used where rewards are learned, as is reward_model
    reward_model: RewardModelConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    seeds: SeedConfig
    gate: GateConfig

    @model_validator(mode="after")
    def minibatches_fit(self) -> Config:
        rows = self.env.num_envs * self.agent.rollout_steps
        if rows % self.agent.minibatches:
            raise ValueError(
                f"agent.minibatches ({self.agent.minibatches}) must divide the {rows} steps of a rollout "
                "(env.num_envs x agent.rollout_steps)"
            )
        if rows < MIN_MINIBATCH * self.agent.minibatches:
            raise ValueError(
                f"agent.minibatches ({self.agent.minibatches}) leaves fewer than {MIN_MINIBATCH} steps of a rollout's "
                f"{rows} in each, too few to normalise advantages; lower it"
            )
        return self

    @model_validator(mode="after")
    def preferences_fit(self) -> Config:
        if self.reward.source != "learned":
            return self
        preferences = self.preferences
        if preferences.initial_labels > preferences.total_labels:
            raise ValueError(
                f"preferences.initial_labels ({preferences.initial_labels}) must not exceed "
                f"preferences.total_labels ({preferences.total_labels})"
            )
        for steps, whole in (
            (self.agent.rollout_steps, "a rollout: at most agent.rollout_steps"),
            (self.env.max_frames // self.env.frame_skip, "an episode: at most env.max_frames / env.frame_skip"),
        ):
            if preferences.segment_steps > steps:
                raise ValueError(
                    f"preferences.segment_steps ({preferences.segment_steps}) must fit into {whole} ({steps})"
                )
        return self


def load_config(path: Path | str = "params.yaml", overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Read a parameter file and apply `section.key=value` overrides. Raises UserError."""
    path = Path(path)
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections such as 'env:' and 'agent:', found {type(values).__name__}")
    for override in overrides:
        _apply_override(values, override)
    return parse_config(values, source=f"{path} with --set" if overrides else str(path))


def parse_config(values: dict[str, Any], source: str = "parameters") -> Config:
    """Check parameters that are already in memory. Raises UserError."""
    try:
        return Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise UserError(f"{source}: {_explain(error)}") from None


def _apply_override(values: dict[str, Any], override: str) -> None:
    """Set one value in place; `agent.learning_rate=3e-4`."""
    key, equals, text = override.partition("=")
    *sections, field = key.strip().split(".")
    if not equals or not field or not text.strip():
        raise UserError(f"--set {override}: write it as section.key=value, e.g. agent.learning_rate=3e-4")
    target = values
    for section in sections:
        target = target.get(section, {})
        if not isinstance(target, dict):
            break
    if not isinstance(target, dict) or field not in target:
        raise UserError(f"--set {override}: no parameter {key.strip()!r}{_alike(key.strip(), values)}")
    target[field] = parse_yaml(text, f"--set {override}")


def _alike(key: str, values: dict[str, Any]) -> str:
    """The whole name of the parameter that may have been meant: the section or its end may be missing or misspelled."""
    names = [f"{section}.{name}" for section, fields in values.items() if isinstance(fields, dict) for name in fields]
    ends = {name.rpartition(".")[2]: name for name in reversed(names)}  # of several the first
    end = difflib.get_close_matches(key.rpartition(".")[2], ends, n=1, cutoff=0.8)
    near = [ends[end[0]]] if end and f"{key.rpartition('.')[0]}.{end[0]}" not in names else []
    near = near or difflib.get_close_matches(key, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; sections: {', '.join(values)}"


def _explain(error: pydantic.ValidationError) -> str:
    """The first problem in one line: the field, the value, the fix."""
    problems = error.errors(include_url=False)
    # A misspelled parameter is an unknown one and a missing one; the unknown one says what to do.
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{field}: unknown parameter{nearest(str(problem['loc'][-1]), _known_fields(problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"{field}: missing; add it (the files in presets/ are complete examples)"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{field}: {message}" if field else message
    return f"{field}: {_shown(problem['input'])} will not do: {message[0].lower()}{message[1:]}"


def _shown(value: Any) -> str:
    plain = value is None or isinstance(value, (str, int, float))  # bool is an int
    text = json.dumps(value, ensure_ascii=False) if plain else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_fields(location: tuple[int | str, ...]) -> list[str]:
    """The parameters of the section at `location`."""
    model: Any = Config
    for part in location:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
