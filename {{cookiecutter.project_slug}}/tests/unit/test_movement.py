"""How far parameters move in an update, and which do not."""

from types import SimpleNamespace

import pytest
import torch
from gymnasium.spaces import Box
from torch import nn

from repro.agents.networks import TwinEncoder
from repro.training.movement import Movement


def agent_of(*values: float) -> SimpleNamespace:
    """An agent with a layer of two tensors and a target network, which no optimiser moves."""
    network = nn.Linear(2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([values[:2]]))
        network.bias.fill_(values[2])
    return SimpleNamespace(network=network, target=nn.Linear(2, 1).requires_grad_(False), updates=3)


@torch.no_grad()
def test_an_update_is_measured_by_the_parameters_that_it_moved():
    agent = agent_of(3.0, 0.0, 4.0)
    movement = Movement(agent)
    agent.network.weight[0, 1] += 0.5
    agent.target.weight += 1
    assert movement.measure() == {"update/ratio": pytest.approx(0.1), "update/still_layers": 1}
    assert movement.measure() == {"update/ratio": 0.0, "update/still_layers": 2}
    agent.network.bias.fill_(1e30)
    assert movement.measure()["update/ratio"] == pytest.approx(1e30 / (25.25**0.5))


@torch.no_grad()
@pytest.mark.parametrize("still", [0, 1], ids=["policy", "values"])
def test_of_two_encoders_side_by_side_each_is_counted(still):
    encoder = TwinEncoder(Box(-1, 1, (3,)))
    movement = Movement(SimpleNamespace(network=nn.Sequential(encoder, nn.Linear(64, 1))))
    for parameter in encoder.parameters():
        parameter[1 - still] += 0.1
    assert movement.measure()["update/still_layers"] == 4 + 2  # weights and biases of two layers; the linear one
    encoder.second_bias[still] += 0.1
    assert movement.measure()["update/still_layers"] == 7 + 2


@torch.no_grad()
def test_what_is_loaded_is_no_update():
    agent = agent_of(3.0, 0.0, 4.0)
    movement = Movement(agent)
    agent.network.bias.fill_(9.0)
    movement.forget()
    assert movement.measure()["update/ratio"] == 0.0
