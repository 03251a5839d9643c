"""What checks have to know of a run besides its metrics: the parameters that say what is healthy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repro.config import ALGORITHMS, ReplayConfig
from repro.config.health import HealthConfig
from repro.health.history import History

ANNEALED = 0.9  # of training, after which an annealed learning rate leaves hardly anything of an update
# At least, however short the run: one that only tries the parts out has nothing to show.
WARM_ROWS, WARM_STEPS = 10, 10_000


@dataclass(frozen=True)
class Subject:
    """The run that is looked at."""

    thresholds: HealthConfig
    algorithm: str
    learned: bool  # rewards, from preferences
    oracle: bool  # answers, so that true returns are known
    members: int  # of the ensemble of reward models
    total_steps: int
    horizon: int  # steps after which an episode is cut off

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Subject:
        """The run with these parameters, as run.json has them; they may be of older code, without `health`."""
        env, known = params["env"], HealthConfig.model_fields
        given = {name: value for name, value in params.get("health", {}).items() if name in known}
        return cls(
            thresholds=HealthConfig.model_validate(given),
            algorithm=params["agent"]["algorithm"],
            learned=params["reward"]["source"] == "learned",
            oracle=params["preferences"]["annotator"] == "oracle",
            members=params["reward_model"]["members"],
            total_steps=params["training"]["total_steps"],
            horizon=env["max_steps"] if "max_steps" in env else env["max_frames"] // env["frame_skip"],
        )

    def warm(self, history: History) -> bool:
        """Whether so much of training is over that what is to be learned should show."""
        begun = history.count >= WARM_ROWS and history.env_step >= WARM_STEPS
        return begun and history.progress(self.total_steps) >= self.thresholds.warm_up

    def annealed(self, history: History) -> bool:
        """Whether training is so far that updates may be next to nothing."""
        return history.progress(self.total_steps) > ANNEALED

    def score_gain(self, history: History) -> float | None:
        """How much better the score is than at first; None while that cannot be told."""
        first, now = history.at_first("return/score"), history.lately("return/score")
        return None if first is None or now is None else now - first


def on_policy(subject: Subject) -> bool:
    """Whether each rollout is learned from once, by a policy that is a distribution."""
    return not issubclass(ALGORITHMS[subject.algorithm], ReplayConfig)


def learned_reward(subject: Subject) -> bool:
    """Whether rewards are learned from preferences."""
    return subject.learned


def score_is_wanted(subject: Subject) -> bool:
    """Whether the environment's return is what the agent is to reach: a person may want something else of it."""
    return subject.oracle or not subject.learned
