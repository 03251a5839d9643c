"""The training loops; `make_trainer` chooses the one that an algorithm needs."""

from __future__ import annotations

from repro.agents import check_actions
from repro.config import Config, ReplayConfig
from repro.experience.playing import spaces_of
from repro.preferences.store import PreferenceStore
from repro.training.off_policy import OffPolicyTrainer
from repro.training.on_policy import OnPolicyTrainer
from repro.training.trainer import Trainer


def make_trainer(
    config: Config, seed: int, run: str, store: PreferenceStore, initial_steps: int | None = None
) -> Trainer:
    """The trainer for the algorithm of `config`, as `Trainer` describes it.

    Raises UserError as `make_envs`, `choose_device` and `make_agent`.
    """
    loop = OffPolicyTrainer if isinstance(config.agent, ReplayConfig) else OnPolicyTrainer
    return loop(config, seed, run, store, initial_steps)


def check_algorithm(config: Config) -> None:
    """Raise UserError if the environment cannot be made, or the algorithm does not have actions of its kind."""
    _, actions = spaces_of(config.env)
    check_actions(config.agent.algorithm, actions)
