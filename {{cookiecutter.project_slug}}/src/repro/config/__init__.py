"""The parameters of a run: strict models of `params.yaml`, and overrides from the command line.

Every field is required, but for the thresholds in `health`, and checked before any compute is spent. A mistake is
reported as one line that names the field, the value and the fix (`UserError`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import pydantic
from pydantic import Field, model_validator

from repro.config.base import Section
from repro.config.env import AtariConfig, EnvConfig, GymConfig, MovingDotConfig
from repro.config.health import HealthConfig
from repro.config.off_policy import DDPGConfig, DQNConfig, ReplayConfig
from repro.config.on_policy import A2CConfig, PPOConfig, SB3PPOConfig, TRPOConfig, VPGConfig
from repro.config.preferences import PreferenceConfig
from repro.config.sections import (
    SMALLEST_CNN_IMAGE,
    EvaluationConfig,
    GateConfig,
    RewardConfig,
    RewardModelConfig,
    SeedConfig,
    TrainingConfig,
)
from repro.reading import UserError, nearest, parse_yaml, read_yaml

AgentConfig = Annotated[
    PPOConfig | A2CConfig | VPGConfig | TRPOConfig | DQNConfig | DDPGConfig | SB3PPOConfig,
    Field(discriminator="algorithm"),
]
ALGORITHMS: dict[str, type[Section]] = {  # by what `algorithm` says; those of a ReplayConfig are off-policy
    get_args(model.model_fields["algorithm"].annotation)[0]: model for model in get_args(get_args(AgentConfig)[0])
}
# The models of sections of which there are several kinds.
ENVIRONMENTS: dict[str, type[Section]] = {"moving-dot": MovingDotConfig, "gym": GymConfig, "atari": AtariConfig}
KINDS = ALGORITHMS | ENVIRONMENTS
# What pydantic calls it if there is something else in place of a section.
NO_SECTION = ("model_type", "model_attributes_type", "dict_type", "union_tag_invalid", "union_tag_not_found")
MIN_MINIBATCH = 8  # steps


class Config(Section):
    """All of `params.yaml`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    env: EnvConfig
    agent: AgentConfig
    reward: RewardConfig
    preferences: PreferenceConfig  # used where rewards are learned, as is reward_model
    reward_model: RewardModelConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    seeds: SeedConfig
    gate: GateConfig
    health: HealthConfig = HealthConfig()  # may be left out, as a whole or in part

    @model_validator(mode="after")
    def minibatches_fit(self) -> Config:
        if isinstance(self.agent, A2CConfig | ReplayConfig):  # no minibatches of a rollout
            return self
        rows = self.env.num_envs * self.agent.rollout_steps
        if rows % self.agent.minibatches:
            raise ValueError(
                f"agent.minibatches ({self.agent.minibatches}) must divide the {rows} steps of a rollout "
                "(env.num_envs x agent.rollout_steps)"
            )
        if rows < MIN_MINIBATCH * self.agent.minibatches:
            raise ValueError(
                f"agent.minibatches ({self.agent.minibatches}) leaves fewer than {MIN_MINIBATCH} steps of a rollout's "
                f"{rows} in each; lower it"
            )
        return self

    @model_validator(mode="after")
    def score_is_hidden(self) -> Config:
        shown = isinstance(self.env, AtariConfig) and not self.env.hide_score
        if shown and self.reward.source == "learned":
            raise ValueError(
                "env.hide_score must be true where reward.source is learned: the score on the screen tells the true "
                "reward (Christiano et al. 2017, A.2)"
            )
        return self

    @model_validator(mode="after")
    def learning_starts_in_time(self) -> Config:
        if isinstance(self.agent, ReplayConfig) and self.agent.learning_starts >= self.training.total_steps:
            raise ValueError(
                f"agent.learning_starts ({self.agent.learning_starts}) must be less than training.total_steps "
                f"({self.training.total_steps}): else nothing is learned"
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
            (self.env.max_steps, "an episode of the environment: at most so many steps"),
        ):
            if preferences.segment_steps > steps:
                raise ValueError(
                    f"preferences.segment_steps ({preferences.segment_steps}) must fit into {whole} ({steps})"
                )
        return self

    @model_validator(mode="after")
    def annotator_and_queries_can_be(self) -> Config:
        if self.reward.source != "learned":
            return self
        if self.preferences.queries == "disagreement" and self.reward_model.members == 1:
            raise ValueError(
                "preferences.queries: disagreement needs reward_model.members of 2 at least; write uniform, or entropy"
            )
        if self.preferences.annotator == "person" and self.reward_model.target == "true_return":
            raise ValueError(
                "reward_model.target: true_return is what only an oracle knows; write preferences, or "
                "preferences.annotator: oracle"
            )
        return self

    @model_validator(mode="after")
    def reward_network_fits(self) -> Config:
        if self.reward.source != "learned":
            return self
        network, vectors = self.reward_model.network, isinstance(self.env, GymConfig)
        if vectors != (network == "mlp"):
            seen, others = ("vectors", "mlp") if vectors else ("images", "keypoints or cnn")
            raise ValueError(
                f"reward_model.network: {network} will not do: {self.env.id} is observed as {seen}; write {others}"
            )
        size = self.env.image_size if isinstance(self.env, MovingDotConfig) else None
        if network == "cnn" and size is not None and size < SMALLEST_CNN_IMAGE:
            raise ValueError(
                f"env.image_size ({size}) must be at least {SMALLEST_CNN_IMAGE} for reward_model.network: cnn; "
                "make it larger, or write keypoints"
            )
        return self


def load_config(path: Path | str = "params.yaml", overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Read a parameter file and apply `section.key=value` overrides. Raises UserError."""
    path = Path(path)
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections such as 'env:' and 'agent:', found {type(values).__name__}")
    if overrides:
        _fill_in_health(values)
    for override in overrides:
        _apply_override(values, override)
    return parse_config(values, source=f"{path} with --set" if overrides else str(path))


def parse_config(values: dict[str, Any], source: str = "parameters") -> Config:
    """Check parameters that are already in memory. Raises UserError."""
    try:
        return Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise UserError(f"{source}: {_explain(error)}") from None


def _fill_in_health(values: dict[str, Any]) -> None:
    """Write the defaults of `health` out, in place, so that they can be overridden."""
    given = values.get("health", {})
    if isinstance(given, dict):
        values["health"] = HealthConfig().model_dump() | given


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
    names = list(_parameter_names(values))
    ends = {name.rpartition(".")[2]: name for name in reversed(names)}  # of several the first
    end = difflib.get_close_matches(key.rpartition(".")[2], ends, n=1, cutoff=0.8)
    near = [ends[end[0]]] if end and f"{key.rpartition('.')[0]}.{end[0]}" not in names else []
    near = near or [name for name in names if _initials(name) == key]
    near = near or difflib.get_close_matches(key, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; sections: {', '.join(values)}"


def _initials(name: str) -> str:
    """agent.lr for agent.learning_rate."""
    section, _, end = name.rpartition(".")
    return f"{section}.{''.join(word[:1] for word in end.split('_'))}"


def _parameter_names(values: Mapping[str, Any], section: str = "") -> Iterator[str]:
    """The whole names of all parameters that are in a section, or in a section of one."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _parameter_names(value, f"{section}{name}.")
        elif section:
            yield section + name


def _explain(error: pydantic.ValidationError) -> str:
    """The first problem in one line: the field, the value, the fix."""
    problems = error.errors(include_url=False)
    # A misspelled parameter is an unknown one and a missing one; the unknown one says what to do.
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    # What is no environment at all has all its other parameters wrong too.
    problem = next((one for one in problems if one["loc"] == ("env", "gym", "id")), problem)
    *sections, name = problem["loc"] or ("",)
    field = ".".join(str(part) for part in (*sections, name) if part not in KINDS)
    if problem["type"] == "extra_forbidden" and (kind := _other_kind(sections, str(name))):
        return f"{field}: is a parameter of {kind}, not of {sections[-1]}; start from a preset of its kind (presets/)"
    if problem["type"] == "extra_forbidden":
        return f"{field}: unknown parameter{nearest(str(name), _known_fields(sections))}"
    if not isinstance(problem["input"], dict) and problem["type"] in NO_SECTION:
        return f"{field}: {_shown(problem['input'])} will not do: it is a section; name a parameter in it"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{field}.algorithm: {_shown(problem['input'].get('algorithm'))} is none of {', '.join(ALGORITHMS)}"
    if problem["type"] == "missing":
        return f"{field}: missing; add it (the files in presets/ are complete examples)"
    if problem["loc"] == ("env", "gym", "id"):
        return (
            f"env.id: {_shown(problem['input'])} is no environment; write moving-dot, or Gymnasium's name of one, "
            "e.g. CartPole-v1 or ALE/Pong-v5"
        )
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{field}: {message}" if field else message
    return f"{field}: {_shown(problem['input'])} will not do: {message[0].lower()}{message[1:]}"


def _shown(value: Any) -> str:
    plain = value is None or isinstance(value, (str, int, float))  # bool is an int
    text = json.dumps(value, ensure_ascii=False) if plain else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _other_kind(location: Sequence[int | str], name: str) -> str | None:
    """Where a section is of one of several kinds, another kind that has a parameter of this name."""
    if not location or location[-1] not in KINDS:
        return None
    family = ALGORITHMS if location[0] == "agent" else ENVIRONMENTS
    return next((kind for kind, model in family.items() if name in model.model_fields), None)


def _known_fields(location: Sequence[int | str]) -> list[str]:
    """The parameters of the section at `location`."""
    model: Any = Config
    for part in location:
        model = KINDS.get(str(part)) or model.model_fields[part].annotation
    return list(model.model_fields)
