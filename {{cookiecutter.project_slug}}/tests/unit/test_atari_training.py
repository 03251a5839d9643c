"""Training on Atari games: weights in use are never stale, rows keep their layout, a resume starts new games."""

from pathlib import Path

import numpy as np
import pytest
import torch

from repro.agents.rollout import take
from repro.config import load_config
from repro.envs import describe_environment
from repro.preferences.store import PreferenceStore
from repro.training import make_trainer

PONG = Path(__file__).parents[2] / "presets" / "pong.yaml"
TINY = ("env.num_envs=2", "agent.rollout_steps=16", "agent.minibatches=2", "agent.epochs=1", "training.threads=1")


@pytest.fixture
def new_trainer(tmp_path):
    def make(precision):
        config = load_config(PONG, [*TINY, f"training.precision={precision}"])
        return make_trainer(config, 3, "run", PreferenceStore(tmp_path / "p.db", describe_environment(config.env)))

    return make


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_each_rollout_is_collected_with_the_weights_of_the_last_update(new_trainer, precision):
    """In bfloat16 the cast weights are kept for a rollout, and must not be for longer."""
    trainer = new_trainer(precision)
    rows = trainer.rows()
    for _ in range(2):
        next(rows)
        before = trainer.agent.value(trainer.storage.observations[-1])
        trainer._collect()
        for step in (0, 7, 16):
            values = trainer.agent.value(trainer.storage.observations[step])
            assert torch.equal(values, trainer.storage.values[step])
        assert torch.equal(before, trainer.storage.values[0])


def test_a_resumed_run_starts_new_games_and_says_that_it_is_not_exact(new_trainer):
    trainer = new_trainer("float32")
    next(trainer.rows())
    resumed = new_trainer("float32")
    resumed.load_state_dict(trainer.state_dict())
    assert resumed.env_step == trainer.env_step == 32 and not resumed.exact
    assert not resumed.storage.done[-1].any() and not resumed.episodes.totals.any()
    assert (resumed.storage.observations[-1] != trainer.storage.observations[-1]).any()
    assert next(resumed.rows())["env_step"] == 64


def test_rows_are_taken_as_plain_indexing_takes_them():
    generator = torch.Generator().manual_seed(0)
    indices = torch.randperm(9, generator=generator)[:5]
    images = torch.randint(0, 256, (9, 4, 6, 7), generator=generator, dtype=torch.uint8)
    images = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(take(images, indices), images[indices])
    assert take(images, indices).is_contiguous(memory_format=torch.channels_last)
    vectors = torch.arange(18.0).reshape(9, 2)
    np.testing.assert_array_equal(take(vectors, indices), vectors[indices])
