"""Rewards for novelty: what is paid, and that a resumed run pays as it would have."""

from __future__ import annotations

import numpy as np
import pytest
from project import SOURCE, VARYING

from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.config import Config, load_config
from repro.envs import describe_environment, make_envs
from repro.experience.storage import Storage
from repro.preferences.store import PreferenceStore
from repro.training import make_trainer
from repro.training.novelty import NoveltyReward

SHORT = ("env.num_envs=4", "agent.rollout_steps=16", "training.total_steps=512", "reward.source=novelty")
CONFIG = load_config(SOURCE / "presets/frozenlake.yaml", SHORT)


def test_each_observation_is_paid_less_each_time():
    envs = make_envs(CONFIG.env, num_envs=2)
    storage = Storage.for_envs(envs, 3)
    cells = np.eye(16, dtype=np.float32)
    storage.observations[1:, 0] = cells[[5, 5, 6]]
    storage.observations[1:, 1] = cells[[6, 5, 6]]
    storage.valid[:] = True
    storage.valid[1, 1] = False  # it was only reset
    storage.true_rewards[2, 0] = 1.0
    source = NoveltyReward(bonus=0.5)
    rewards, terminated = source.relabel(storage)
    expected = [[0.5, 0.5], [0.5 / 2**0.5, 0.0], [1.0 + 0.5 / 2**0.5, 0.5 / 3**0.5]]
    np.testing.assert_allclose(rewards, expected, rtol=1e-6)
    assert terminated is storage.terminated and source.metrics["reward/observations_met"] == 2
    assert storage.true_rewards.sum() == 1.0  # scores are of true rewards, which stay as they are


def rows_of(config: Config, tmp_path, stop: int | None = None, state=None):
    """Metrics of a run, but for those of the machine, and its state after `stop` rollouts."""
    with PreferenceStore(tmp_path / "preferences.db", describe_environment(config.env)) as store:
        trainer = make_trainer(config, 100, "run", store)
        if state:
            trainer.load_state_dict(state)
        rows = []
        for row in trainer.rows():
            rows.append({name: value for name, value in row.items() if not name.startswith(VARYING)})
            if len(rows) == stop:
                break
        return rows, trainer.state_dict()


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")  # by numpy, where all rewards are equal
def test_a_resumed_run_goes_on_as_it_would_have(tmp_path):
    whole, _ = rows_of(CONFIG, tmp_path)
    first, state = rows_of(CONFIG, tmp_path, stop=3)
    save_checkpoint(tmp_path / "state.pt", state)
    rest, _ = rows_of(CONFIG, tmp_path, state=load_checkpoint(tmp_path / "state.pt"))
    assert [str(row) for row in first + rest] == [str(row) for row in whole]
    assert whole[-1]["reward/novelty"] < whole[0]["reward/novelty"]
