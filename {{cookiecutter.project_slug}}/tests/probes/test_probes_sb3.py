"""Stable-Baselines3's PPO on the probe environments, through our loop and storage: what it solves, they allow."""

import numpy as np
import pytest
from environments import (
    ConstantReward,
    DelayedReward,
    EndlessReward,
    LastStepMatters,
    ObservationActionReward,
)
from on_policy import train, values

pytest.importorskip("stable_baselines3", reason="needs the extra `baseline`: pip install '.[baseline]'")

SEEDS = pytest.mark.parametrize("seed", [0, 1])


def trained(probe, seed, **settings):
    return train("sb3-ppo", probe, seed, **settings)


def shares(agent, *observations):
    """How often action 1 is taken after each of these observations."""
    return [float(agent.act(np.full((1000, 1), one, np.float32))[0].float().mean()) for one in observations]


@SEEDS
def test_the_value_of_a_constant_reward(seed):
    assert values(trained(ConstantReward, seed), 0.0) == pytest.approx([1.0], abs=0.1)


@SEEDS
def test_rewards_are_discounted_on_their_way_back(seed):
    agent = trained(DelayedReward, seed, discount=0.5)
    assert values(agent, 0.0, 1.0) == pytest.approx([0.5, 1.0], abs=0.1)


@SEEDS
def test_the_action_depends_on_the_observation(seed):
    wrong, right = shares(trained(ObservationActionReward, seed), -1.0, 1.0)
    assert wrong < 0.05 and right > 0.95


@SEEDS
def test_an_action_is_chosen_for_what_it_leads_to(seed):
    first, second = shares(trained(LastStepMatters, seed), 0.0, 1.0)
    assert first > 0.9 and second < 0.1


@SEEDS
def test_a_time_limit_does_not_end_what_is_earned(seed):
    assert values(trained(EndlessReward, seed), 0.0) == pytest.approx([5.0], abs=0.4)
