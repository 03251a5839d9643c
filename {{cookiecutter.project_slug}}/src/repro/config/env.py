"""The environment: one section of `params.yaml`, whose fields depend on the kind of environment that `id` names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from repro.config.base import FiniteFloat, PositiveInt, Section

ScreenShare = Annotated[float, Field(ge=0.05, le=0.95)]  # so far from the edges that all of the dot can be there


def _scores_grow(config: Any) -> Any:
    """Scores, 0 at one return and 1 at the other, are to grow with returns."""
    if config.reference_return <= config.random_return:
        raise ValueError(
            f"reference_return ({config.reference_return:g}) must be above random_return ({config.random_return:g})"
        )
    return config


class MovingDotConfig(Section):
    """A dot to be moved to a place on the screen. Steps are agent steps; a frame is one tick of the simulator."""

    id: Literal["moving-dot"]
    actions: Literal["discrete", "continuous"]
    target: Annotated[list[ScreenShare], Field(min_length=2, max_length=2)]  # shares of the screen's width and height
    num_envs: PositiveInt  # stepped side by side
    image_size: Annotated[int, Field(ge=36, le=210)]  # pixels, both sides; the Nature CNN needs 36
    frame_stack: PositiveInt  # observations are the last this many images
    frame_skip: PositiveInt  # frames an action is repeated for; their rewards are summed
    max_frames: PositiveInt  # an episode is truncated after so many frames

    @model_validator(mode="after")
    def episode_is_whole_steps(self) -> MovingDotConfig:
        if self.max_frames % self.frame_skip:
            raise ValueError(f"max_frames ({self.max_frames}) must be a multiple of frame_skip ({self.frame_skip})")
        return self

    @property
    def max_steps(self) -> int:
        """Of an episode."""
        return self.max_frames // self.frame_skip


class GymConfig(Section):
    """An environment of Gymnasium, e.g. CartPole-v1, or of another package: `package:Name-v0` (it is imported).

    Scores are 0 at `random_return` and 1 at `reference_return`.
    """

    id: Annotated[str, Field(pattern=r"^[\w./:-]+-v\d+$")]
    num_envs: PositiveInt  # stepped side by side
    max_steps: PositiveInt  # an episode is truncated after so many steps, whatever Gymnasium's own limit is
    settings: dict[str, bool | int | FiniteFloat | str]  # of the environment's constructor, e.g. is_slippery: false
    # only max_steps ends an episode; what would have ended it costs the reward for being healthy (CartPole: any reward)
    fixed_horizon: bool
    normalise_observations: bool  # by the running mean and variance of training, which evaluation freezes
    random_return: FiniteFloat  # of uniformly random actions
    reference_return: FiniteFloat  # the best there is, or the best known

    scores_grow = model_validator(mode="after")(_scores_grow)

    @property
    def frame_skip(self) -> int:
        """Frames a step: the environment itself says what a step is."""
        return 1


class AtariConfig(Section):
    """A game of the Arcade Learning Environment. Scores are 0 at `random_return` and 1 at `reference_return`."""

    id: Annotated[str, Field(pattern=r"^ALE/\w+-v5$")]
    protocol: Literal["classic", "sticky"]  # Mnih et al. 2015; Machado et al. 2018
    num_envs: PositiveInt  # stepped side by side
    frame_stack: PositiveInt
    frame_skip: PositiveInt  # frames an action is repeated for; the last two are merged by their maximum
    max_frames: PositiveInt  # an episode is truncated after so many frames
    clip_rewards: bool  # the agent is trained on the sign of the reward (Mnih et al. 2015); scores are never clipped
    hide_score: bool  # black out what the screen tells of score and lives (Christiano et al. 2017, A.2)
    random_return: FiniteFloat  # of uniformly random actions
    reference_return: FiniteFloat  # e.g. of a person: human-normalised scores

    scores_grow = model_validator(mode="after")(_scores_grow)

    @property
    def max_steps(self) -> int:
        """Of an episode."""
        return self.max_frames // self.frame_skip


def _kind(values: Any) -> str:
    """Which of the models describes an environment with this id."""
    name = values.get("id") if isinstance(values, dict) else getattr(values, "id", None)
    if name == "moving-dot":
        return "moving-dot"
    return "atari" if str(name).startswith("ALE/") else "gym"


EnvConfig = Annotated[
    Annotated[MovingDotConfig, Tag("moving-dot")]
    | Annotated[GymConfig, Tag("gym")]
    | Annotated[AtariConfig, Tag("atari")],
    Discriminator(_kind),
]
