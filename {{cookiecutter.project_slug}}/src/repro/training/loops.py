"""The training loops; `make_trainer` chooses the one that an algorithm needs."""

from __future__ import annotations

from repro.config import Config
from repro.preferences.store import PreferenceStore
from repro.training.on_policy import OnPolicyTrainer
from repro.training.trainer import Trainer


def make_trainer(
    config: Config, seed: int, run: str, store: PreferenceStore, initial_steps: int | None = None
) -> Trainer:
    """The trainer for the algorithm of `config`, as `Trainer` describes it."""
    return OnPolicyTrainer(config, seed, run, store, initial_steps)
