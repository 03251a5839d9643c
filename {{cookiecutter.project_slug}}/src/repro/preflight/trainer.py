"""What a run builds before its first update, for checks to look at.

It is the trainer of the first tuning seed, in float32 on the CPU, with few initial comparisons, in a temporary place.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repro.asking.questions import collect_initial_labels
from repro.config import Config
from repro.preferences.reward_model import RewardModel
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.training import make_trainer
from repro.training.trainer import Trainer

COMPARISONS = 8


@contextmanager
def open_trainer(config: Config, labels: int = COMPARISONS) -> Iterator[Trainer]:
    """The trainer before its first step, set to collect `labels` initial comparisons, which an oracle answers."""
    longer = math.ceil(labels / config.preferences.initial_labels)  # more labels than the run has may take more steps
    steps = config.training.total_steps * longer
    changes = {
        "training": config.training.model_copy(update={"device": "cpu", "precision": "float32", "total_steps": steps}),
        "preferences": config.preferences.model_copy(update={"annotator": "oracle", "initial_labels": labels}),
        # Early stopping would undo what is learned by heart.
        "reward_model": config.reward_model.model_copy(update={"batch_size": COMPARISONS, "early_stopping": None}),
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        PreferenceStore(Path(folder) / "preferences.db") as store,
    ):
        trainer = make_trainer(config.model_copy(update=changes), config.seeds.tuning[0], "preflight", store)
        try:
            yield trainer
        finally:
            trainer.envs.close()


@contextmanager
def open_reward_model(config: Config, labels: int = COMPARISONS) -> Iterator[RewardModel]:
    """The untrained reward model, with the first comparisons that training would collect."""
    with open_trainer(config, labels) as trainer:
        assert trainer.learning, "this check is for learned rewards"
        collect_initial_labels(trainer.config, trainer.seed, trainer.store, trainer.run)
        trainer.learning.load_labels(labels)
        trainer.learning.model.standardise()
        yield trainer.learning.model


def random_segments(trainer: Trainer) -> list[Segment]:
    """The different segments in the initial comparisons, at most two for each: the behaviour of an untrained policy."""
    collect_initial_labels(trainer.config, trainer.seed, trainer.store, trainer.run)
    pairs = [(comparison.left, comparison.right) for comparison in trainer.store.labelled(trainer.run)]
    return [trainer.store.segment(name) for name in dict.fromkeys(name for pair in pairs for name in pair)]
