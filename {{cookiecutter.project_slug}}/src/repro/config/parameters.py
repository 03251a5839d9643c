"""All of `params.yaml`: `Config`, its sections put together, and what they must have in common."""

from __future__ import annotations

from typing import Annotated, get_args

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

    @property
    def person_annotates(self) -> bool:
        """Whether it is a person who answers the comparisons that rewards are learned from."""
        return self.preferences.annotator == "person"  # which is refused where rewards are not learned

    @property
    def people_see_screens(self) -> bool:
        """Whether segments are shown to people who see more of an Atari game than the agent: its screen, in colour."""
        return self.person_annotates and isinstance(self.env, AtariConfig)

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
        # What initial labels take of the steps shows when they are collected: a trainer looks again then.
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
            if self.person_annotates:
                raise ValueError(
                    "preferences.annotator: person is asked nothing where reward.source is environment; write oracle, "
                    "or reward.source: learned"
                )
            return self
        if self.preferences.queries == "disagreement" and self.reward_model.members == 1:
            raise ValueError(
                "preferences.queries: disagreement needs reward_model.members of 2 at least; write uniform, or entropy"
            )
        if self.person_annotates and self.reward_model.target == "true_return":
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
