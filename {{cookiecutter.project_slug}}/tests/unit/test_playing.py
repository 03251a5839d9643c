"""Whole episodes: each environment plays one, whatever its length, and nothing outside is touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from repro.config import load_config
from repro.device import choose_device
from repro.experience.playing import make_player, play_episodes, policy_of
from repro.reading import UserError

PRESET = Path(__file__).parents[2] / "presets" / "moving-dot-small.yaml"


class Uneven:
    """Environment i of three pays -1 a step and ends after 2 * (i + 1) steps; later episodes pay `later`."""

    num_envs = 3
    lengths = np.array([2, 4, 6])

    def __init__(self, later):
        self.later = later

    def reset(self, *, seed=None, options=None):
        self.time, self.episode = np.zeros(3, int), np.zeros(3, int)
        return self.time, {}

    def step(self, actions):
        resetting = self.time == self.lengths
        self.episode += resetting
        self.time = np.where(resetting, 0, self.time + 1)
        rewards = np.where(resetting, 0.0, np.where(self.episode == 0, -1.0, self.later))
        ended = self.time == self.lengths
        return self.time, rewards, ended & (actions > 0), ended & (actions == 0), {}

    def random_returns(self):
        return np.full(3, -6.0)

    def optimal_returns(self):
        return np.full(3, -2.0)


@pytest.mark.parametrize("later", [100.0, np.nan, np.inf])
def test_each_environment_plays_one_episode(later):
    watched = []
    envs = Uneven(later)
    played = play_episodes(envs, 0, lambda _: np.array([0, 1, 0]), watch=lambda: watched.append(envs.time.copy()))
    assert played.tolist() == [[-2, -4, -6], [2, 4, 6], [-6, -6, -6], [-2, -2, -2]]
    assert [row[2] for row in watched] == [0, 1, 2, 3, 4, 5, 6]  # the start, and after each step


def test_a_return_that_is_no_number_is_refused(monkeypatch):
    envs = Uneven(0.0)
    step = envs.step

    def broken(actions):
        observations, rewards, *rest = step(actions)
        return observations, rewards / 0.0, *rest

    monkeypatch.setattr(envs, "step", broken)
    with np.errstate(all="ignore"), pytest.raises(UserError, match=r"a return is -?(inf|nan): look at the rewards"):
        play_episodes(envs, 0, lambda _: np.zeros(3, int))


def test_a_player_draws_from_a_generator_of_its_own():
    config = load_config(PRESET)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    player, other = (make_player(config, choose_device("cpu")) for _ in range(2))
    other.network.load_state_dict(player.network.state_dict())
    observations = np.random.default_rng(0).integers(0, 256, (64, 2, 42, 42), np.uint8)
    observations = observations[:, :1].repeat(config.env.frame_stack, axis=1)
    sampled = [policy_of(one, "sampled")(observations) for one in (player, other)]
    assert (sampled[0] == sampled[1]).all() and len(np.unique(sampled[0])) == 5
    greedy = [policy_of(one, "greedy")(observations) for one in (player, player)]
    assert (greedy[0] == greedy[1]).all() and (greedy[0] != sampled[0]).any()
    assert torch.equal(torch.get_rng_state(), before)
