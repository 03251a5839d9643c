"""The checks before launch on environments of Gymnasium."""

from __future__ import annotations

import pytest
import torch
from gym_examples import gym_config, gym_parameters

from repro.preferences.reward_networks import RewardEnsemble
from repro.preflight.checks import run_checks

KINDS = {
    "CartPole-v1": {"fixed_horizon": True},
    "Pendulum-v1": {"normalise_observations": True, "reference_return": -150.0, "random_return": -1219.0},
    "FrozenLake-v1": {},
}


def check(name, root, environment, **changes):
    config = gym_parameters(gym_config(environment, max_steps=100, **(KINDS[environment] | changes)), "learned")
    ((_, result),) = run_checks([name], config, root)
    return result


@pytest.mark.parametrize("environment", KINDS)
@pytest.mark.parametrize(
    "name", ["environment", "observations", "memory", "reward_model_start", "reward_model_swap", "clips_independent"]
)
def test_they_can_be_made_and_pass(name, environment, root):
    result = check(name, root, environment)
    assert result.passed, result.seen


def test_both_networks_see_normalised_observations(root):
    seen = check("observations", root, "Pendulum-v1").seen
    policy, reward_model = seen.split("; ")
    assert policy.removeprefix("policy") == reward_model.removeprefix("reward model") and ", std 1," in policy


def test_a_reward_model_that_sees_them_as_they_are(root, monkeypatch):
    def raw(self, observations, *padding_and_noise):
        return observations.flatten(0, 1).float().expand(self.members, -1, -1)

    monkeypatch.setattr(RewardEnsemble, "_inputs", raw)
    result = check("observations", root, "Pendulum-v1")
    assert not result.passed and "range should be the same for both" in result.seen


def test_observations_on_a_scale_that_no_network_is_made_for(root, monkeypatch):
    assert check("observations", root, "FrozenLake-v1").passed
    monkeypatch.setattr("repro.envs.gym.EnvLoop._vectors", lambda self, observed: 0.001 * self._one_hot[observed])
    assert not check("observations", root, "FrozenLake-v1").passed


def test_the_reward_of_a_cart_pole_can_be_predicted(root):
    torch.manual_seed(0)
    assert check("reward_predictable", root, "CartPole-v1").passed
