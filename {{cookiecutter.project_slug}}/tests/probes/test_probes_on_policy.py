"""On-policy agents on the probe environments: each must be solved with all of three seeds."""

import pytest
from environments import (
    ActionReward,
    ConstantReward,
    DelayedReward,
    EndlessReward,
    LastStepMatters,
    NearHalf,
    NearObservation,
    ObservationActionReward,
    ObservationReward,
)
from on_policy import SETTINGS, greedy_actions, probabilities, train, values

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])
OURS = [name for name in SETTINGS if name != "sb3-ppo"]  # Stable-Baselines3 has tests of its own
pytestmark = pytest.mark.parametrize("algorithm", OURS)


@SEEDS
def test_the_value_of_a_constant_reward(algorithm, seed):
    assert values(train(algorithm, ConstantReward, seed), 0.0) == pytest.approx([1.0], abs=0.05)


@SEEDS
def test_the_value_depends_on_the_observation(algorithm, seed):
    assert values(train(algorithm, ObservationReward, seed), -1.0, 1.0) == pytest.approx([-1.0, 1.0], abs=0.1)


@SEEDS
@pytest.mark.parametrize("discount", [0.5, 0.9])
def test_rewards_are_discounted_on_their_way_back(algorithm, seed, discount):
    agent = train(algorithm, DelayedReward, seed, discount=discount)
    assert values(agent, 0.0, 1.0) == pytest.approx([discount, 1.0], abs=0.1)


@SEEDS
def test_the_better_action_is_chosen(algorithm, seed):
    agent = train(algorithm, ActionReward, seed)
    assert probabilities(agent, 0.0)[0] > 0.95 and values(agent, 0.0)[0] > 0.8


@SEEDS
def test_the_action_depends_on_the_observation(algorithm, seed):
    agent = train(algorithm, ObservationActionReward, seed)
    wrong, right = probabilities(agent, -1.0, 1.0)
    assert wrong < 0.05 and right > 0.95
    assert min(values(agent, -1.0, 1.0)) > 0.8


@SEEDS
def test_an_action_is_chosen_for_what_it_leads_to(algorithm, seed):
    agent = train(algorithm, LastStepMatters, seed)
    first, second = probabilities(agent, 0.0, 1.0)
    assert first > 0.9 and second < 0.1
    assert values(agent, 0.0, 1.0) == pytest.approx([0.8, 1.0], abs=0.2)


@SEEDS
def test_a_time_limit_does_not_end_what_is_earned(algorithm, seed):
    """1 / (1 - discount) = 5, where taking truncation for termination would give 2.3 on average."""
    assert values(train(algorithm, EndlessReward, seed), 0.0) == pytest.approx([5.0], abs=0.25)


@SEEDS
def test_a_continuous_action_is_found(algorithm, seed):
    assert greedy_actions(train(algorithm, NearHalf, seed), 0.0) == pytest.approx([0.5], abs=0.15)


@SEEDS
def test_a_continuous_action_depends_on_the_observation(algorithm, seed):
    agent = train(algorithm, NearObservation, seed)
    assert greedy_actions(agent, -1.0, 1.0) == pytest.approx([-0.5, 0.5], abs=0.15)
