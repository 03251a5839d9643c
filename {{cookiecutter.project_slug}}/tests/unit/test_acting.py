"""Acting by numpy says what the network says, whatever somebody makes of the network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import nn

from repro.agents.acting import PolicyRunner
from repro.agents.flat_parameters import flatten_parameters
from repro.agents.networks import ActorCritic, TwinEncoder
from repro.config import load_config
from repro.normalisation import NormalisedBox

VECTORS = Box(-1, 1, (3,), np.float32)
OBSERVATIONS = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
ACTIONS = {"discrete": Discrete(4), "continuous": Box(-1, 1, (2,), np.float32)}


def make_runner(actions="discrete", space=VECTORS):
    torch.manual_seed(0)
    config = load_config(Path("presets/cartpole.yaml")).agent
    return PolicyRunner(ActorCritic(space, ACTIONS[actions]), config, torch.device("cpu"), torch.Generator(), "float32")


def assert_says_what_the_network_says(runner):
    outputs, values = runner._forward_few(OBSERVATIONS)
    with torch.no_grad():
        expected, expected_values = runner.network(torch.from_numpy(OBSERVATIONS))
    torch.testing.assert_close(outputs.detach(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(values.detach(), expected_values, rtol=1e-4, atol=1e-5)


def take_a_step(runner):
    with torch.no_grad():
        for parameter in runner.network.parameters():
            parameter += torch.randn_like(parameter)


@pytest.mark.parametrize("actions", ACTIONS)
def test_it_follows_gradient_steps_and_parameters_that_are_laid_out_anew(actions):
    runner = make_runner(actions)
    assert_says_what_the_network_says(runner)
    take_a_step(runner)
    assert_says_what_the_network_says(runner)
    flatten_parameters(runner.network)
    take_a_step(runner)
    assert_says_what_the_network_says(runner)
    assert runner.quick.same


def test_rounding_does_not_decide_who_computes():
    """Of a value of about 0, float32 leaves little; who acts would depend on where a run starts or goes on."""
    for observation in OBSERVATIONS[:, None]:
        runner = make_runner()
        with torch.no_grad():
            runner.network.value.bias -= runner.network(torch.from_numpy(observation))[1]
        runner.act(observation, greedy=False)
        assert runner.quick.same


class Squashed(ActorCritic):
    def forward(self, observations):
        outputs, values = super().forward(observations)
        return torch.tanh(outputs), values  # at first, hardly another number


class Rectified(TwinEncoder):
    def forward(self, observations):
        return torch.relu(super().forward(observations))


class Deeper(ActorCritic):
    def __init__(self, *spaces):
        super().__init__(*spaces)
        self.value = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 1))


class Single(TwinEncoder):
    """Computes in float32, and in no other type."""

    def forward(self, observations):
        return super().forward(observations) @ (2 * torch.eye(64, dtype=torch.float32))


@pytest.mark.parametrize("change", [Squashed, Rectified, Deeper, Single])
def test_a_network_that_somebody_changed_acts_as_it_computes(change, monkeypatch):
    """Or the actions would silently be those of another network than the one that is trained."""
    name = "TwinEncoder" if issubclass(change, TwinEncoder) else "ActorCritic"
    monkeypatch.setattr(f"repro.agents.networks.{name}", change)
    monkeypatch.setitem(globals(), name, change)
    runner = make_runner("continuous")
    assert_says_what_the_network_says(runner)
    take_a_step(runner)
    assert_says_what_the_network_says(runner)
    assert runner.quick is None or not runner.quick.same


def test_who_listens_to_the_network_hears_what_it_is_handed():
    runner, heard = make_runner("continuous"), []
    runner.network.register_forward_pre_hook(lambda network, inputs: heard.append(inputs[0]))
    runner._forward_few(OBSERVATIONS)
    assert [one.dtype for one in heard] == [torch.float32]


def test_normalised_observations_are_left_to_the_network():
    """At first the normaliser changes nothing, so that a look would not tell."""
    space = NormalisedBox(VECTORS)
    runner = make_runner(space=space)
    runner._forward_few(OBSERVATIONS)
    space.normaliser.update(torch.from_numpy(5 + 3 * OBSERVATIONS))
    assert_says_what_the_network_says(runner)
