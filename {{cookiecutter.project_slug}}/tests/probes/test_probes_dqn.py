"""DQN on the probe environments: each must be solved with all of three seeds (it was with ten of ten, 0 to 9)."""

import numpy as np
import pytest
import torch
from environments import (
    ActionReward,
    ConstantReward,
    DelayedReward,
    EndlessReward,
    LastStepMatters,
    ObservationActionReward,
    ObservationReward,
)
from off_policy import observed, train_agent

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])


@pytest.fixture
def values(tmp_path):
    """The values of both actions after each observation, once trained: (observations, 2)."""

    def train(probe, seed, *observations, **settings):
        agent = train_agent("dqn", probe, tmp_path, seed, steps=500, **settings)
        with torch.inference_mode():
            return agent.network(torch.from_numpy(observed(*observations))).numpy()

    return train


@SEEDS
def test_the_value_of_a_constant_reward(values, seed):
    np.testing.assert_allclose(values(ConstantReward, seed, 0.0), [[1.0, 1.0]], atol=0.05)


@SEEDS
def test_the_value_depends_on_the_observation(values, seed):
    expected = [[-1.0, -1.0], [1.0, 1.0]]
    np.testing.assert_allclose(values(ObservationReward, seed, -1.0, 1.0), expected, atol=0.05)


@SEEDS
@pytest.mark.parametrize("discount", [0.5, 0.9])
def test_rewards_are_discounted_on_their_way_back(values, seed, discount):
    expected = [[discount, discount], [1.0, 1.0]]
    np.testing.assert_allclose(values(DelayedReward, seed, 0.0, 1.0, discount=discount), expected, atol=0.05)


@SEEDS
def test_the_better_action_is_known(values, seed):
    np.testing.assert_allclose(values(ActionReward, seed, 0.0), [[-1.0, 1.0]], atol=0.05)


@SEEDS
@pytest.mark.parametrize("double", [True, False])
def test_the_better_action_depends_on_the_observation(values, seed, double):
    expected = [[1.0, -1.0], [-1.0, 1.0]]
    np.testing.assert_allclose(values(ObservationActionReward, seed, -1.0, 1.0, double=double), expected, atol=0.05)


@SEEDS
@pytest.mark.parametrize("double", [True, False])
def test_an_action_is_worth_what_it_leads_to(values, seed, double):
    expected = [[0.0, 0.8], [1.0, 0.0]]
    np.testing.assert_allclose(values(LastStepMatters, seed, 0.0, 1.0, double=double), expected, atol=0.1)


@SEEDS
def test_a_time_limit_does_not_end_what_is_earned(values, seed):
    """1 / (1 - discount) = 5, where taking truncation for termination would give 3.4 after the first step at most."""
    np.testing.assert_allclose(values(EndlessReward, seed, 0.0), [[5.0, 5.0]], atol=0.1)
