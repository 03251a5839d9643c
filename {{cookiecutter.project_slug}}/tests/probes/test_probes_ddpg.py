"""DDPG on the probe environments: each must be solved with all of three seeds (it was with ten of ten, 0 to 9)."""

import numpy as np
import pytest
import torch
from environments import ConstantReward, DelayedReward, EndlessReward, ObservationReward
from off_policy import Continuous, ContinuousByObservation, ContinuousLater, observed, train_agent

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])


class Constant(ConstantReward, Continuous):
    pay = ConstantReward.pay


class OfObservation(ObservationReward, Continuous):
    pay = ObservationReward.pay


class Delayed(DelayedReward, Continuous):
    pay = DelayedReward.pay


class Endless(EndlessReward, Continuous):
    pay = ConstantReward.pay


@pytest.fixture
def learned(tmp_path):
    """Actions after each observation, and their values, once trained: (observations,) each."""

    def train(probe, seed, *observations, **settings):
        agent = train_agent("ddpg", probe, tmp_path, seed, **{"steps": 600} | settings)
        seen = observed(*observations)
        with torch.inference_mode():
            values = agent.value(torch.from_numpy(seen), agent.network(torch.from_numpy(seen)))
        return agent.act(seen, greedy=True)[:, 0].numpy(), values.numpy()

    return train


@SEEDS
def test_the_value_of_a_constant_reward(learned, seed):
    _, values = learned(Constant, seed, 0.0)
    np.testing.assert_allclose(values, [1.0], atol=0.05)


@SEEDS
def test_the_value_depends_on_the_observation(learned, seed):
    _, values = learned(OfObservation, seed, -1.0, 1.0)
    np.testing.assert_allclose(values, [-1.0, 1.0], atol=0.1)


@SEEDS
@pytest.mark.parametrize("discount", [0.5, 0.9])
def test_rewards_are_discounted_on_their_way_back(learned, seed, discount):
    _, values = learned(Delayed, seed, 0.0, 1.0, discount=discount)
    np.testing.assert_allclose(values, [discount, 1.0], atol=0.1)


@SEEDS
def test_the_best_action_is_found(learned, seed):
    actions, values = learned(Continuous, seed, 0.0)
    np.testing.assert_allclose(actions, [3.0], atol=0.4)
    np.testing.assert_allclose(values, [1.0], atol=0.2)


@SEEDS
def test_the_best_action_depends_on_the_observation(learned, seed):
    actions, values = learned(ContinuousByObservation, seed, -1.0, 1.0)
    np.testing.assert_allclose(actions, [1.0, 3.0], atol=0.2)
    np.testing.assert_allclose(values, [1.0, 1.0], atol=0.1)


@SEEDS
def test_an_action_is_chosen_for_what_it_leads_to(learned, seed):
    actions, values = learned(ContinuousLater, seed, -1.0, exploration_noise=0.4, steps=900)
    np.testing.assert_allclose(actions, [3.0], atol=0.5)
    np.testing.assert_allclose(values, [0.8], atol=0.4)


@SEEDS
def test_a_time_limit_does_not_end_what_is_earned(learned, seed):
    """1 / (1 - discount) = 5, where taking truncation for termination would give 3.4 at most."""
    _, values = learned(Endless, seed, 0.0, target_rate=0.1)
    np.testing.assert_allclose(values, [5.0], atol=0.2)
