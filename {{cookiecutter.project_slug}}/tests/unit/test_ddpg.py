"""DDPG's update: its target, its two gradients, its slow networks; and actions within their bounds."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from off_policy_examples import batch, make_ddpg, weights

from repro.agents.ddpg import DDPG
from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.reading import UserError

torch.set_num_threads(1)
LOW, HIGH = torch.tensor([-1.0, 2.0]), torch.tensor([3.0, 10.0])
NETWORKS = ("network", "value", "target", "target_value")


def rows(seed=0):
    """Transitions with actions within their bounds."""
    generator = torch.Generator().manual_seed(seed)
    return batch(LOW + torch.rand((16, 2), generator=generator) * (HIGH - LOW), seed)


def with_other_targets(**settings) -> DDPG:
    """An agent whose target networks are others than its networks, none of them flat."""
    agent, other = make_ddpg(0, **settings), make_ddpg(1)
    for module in (other.network.action, other.value.value, agent.network.action, agent.value.value):
        torch.nn.init.normal_(module.weight)
    agent.target.load_state_dict(other.network.state_dict())
    agent.target_value.load_state_dict(other.value.state_dict())
    return agent


def test_targets_are_those_of_a_hand_computation():
    agent, sampled = with_other_targets(), rows()
    assert 0 < sampled.terminated.sum() < 16
    for row, target in enumerate(agent.targets(sampled).tolist()):
        following = sampled.next_observations[row : row + 1]
        expected = float(sampled.rewards[row])
        if not sampled.terminated[row]:
            expected += 0.9 * float(agent.target_value(following, agent.target(following)))
        assert target == pytest.approx(expected, abs=1e-5)


def test_the_value_function_takes_a_step_of_adam_on_the_squared_error():
    agent, sampled = with_other_targets(max_gradient_norm=1e9), rows()
    value = copy.deepcopy(agent.value)
    optimizer = torch.optim.Adam(value.parameters(), 2e-3)
    scaled = (sampled.actions - (LOW + HIGH) / 2) / ((HIGH - LOW) / 2)
    assert scaled.abs().max() <= 1
    loss = (value(sampled.observations, scaled) - agent.targets(sampled)).square().mean()
    loss.backward()
    optimizer.step()
    metrics = agent.update(sampled)
    torch.testing.assert_close(metrics["value/loss"], loss.detach())
    torch.testing.assert_close(weights(agent.value), weights(value))


def test_the_policy_climbs_the_new_value_function_which_stays_as_it_is():
    agent, sampled = with_other_targets(max_gradient_norm=1e9), rows()
    twin = copy.deepcopy(agent.network)
    optimizer = torch.optim.Adam(twin.parameters(), 1e-3)
    metrics = agent.update(sampled)
    value = weights(agent.value)
    loss = -agent.value(sampled.observations, twin(sampled.observations)).mean()
    loss.backward()
    optimizer.step()
    torch.testing.assert_close(metrics["policy/loss"], loss.detach())
    torch.testing.assert_close(weights(agent.network), weights(twin))
    assert torch.equal(value, weights(agent.value))


def test_no_gradient_of_the_policy_step_enters_the_next_step_of_the_value_function():
    agent = with_other_targets(max_gradient_norm=1e9)
    agent.update(rows())
    twin = copy.deepcopy(agent)
    twin.value.zero_grad()
    agent.update(rows(1))
    twin.update(rows(1))
    assert torch.equal(weights(agent.value), weights(twin.value))


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_target_networks_follow_at_their_rate(rate):
    agent = with_other_targets(target_rate=rate)
    before = [weights(agent.target).clone(), weights(agent.target_value).clone()]
    agent.update(rows())
    for old, target, network in zip(
        before, (agent.target, agent.target_value), (agent.network, agent.value), strict=True
    ):
        torch.testing.assert_close(weights(target), (1 - rate) * old + rate * weights(network))
        assert torch.equal(weights(target), old) == (rate == 0)
    assert agent.updates == 1


def test_actions_are_scaled_to_their_bounds_and_stay_within_them():
    agent = make_ddpg(exploration_noise=0.5)
    observations = torch.randn(4000, 3)
    greedy = agent.act(observations.numpy(), greedy=True)
    with torch.no_grad():
        torch.testing.assert_close(greedy, (LOW + HIGH) / 2 + agent.network(observations) * (HIGH - LOW) / 2)
    actions = agent.act(observations.numpy())
    assert (actions >= LOW).all() and (actions <= HIGH).all()
    assert (actions == LOW).any() and (actions == HIGH).any()  # clipped there
    with torch.no_grad():
        agent.network.action.bias += 100
    torch.testing.assert_close(agent.act(observations.numpy(), greedy=True), HIGH.expand(4000, 2))


def test_noise_is_as_strong_as_was_said():
    agent = make_ddpg(exploration_noise=0.1)
    observations = np.zeros((10_000, 3), np.float32)
    noise = agent.act(observations) - agent.act(observations, greedy=True)
    assert noise.std(0).tolist() == pytest.approx([0.2, 0.4], rel=0.05)
    assert noise.mean(0).tolist() == pytest.approx([0, 0], abs=0.02)
    assert agent.explore(0) == agent.explore(10**6) == {"exploration/noise": 0.1}


def test_a_saved_agent_goes_on_bit_for_bit(tmp_path):
    agent, resumed = make_ddpg(0), make_ddpg(1)
    for update in range(3):
        agent.update(rows(update))
    save_checkpoint(tmp_path / "agent.pt", agent.state_dict())
    resumed.load_state_dict(load_checkpoint(tmp_path / "agent.pt"))
    observations = np.zeros((5, 3), np.float32)
    for update in range(3, 6):
        assert torch.equal(agent.act(observations), resumed.act(observations))
        assert agent.update(rows(update)) == resumed.update(rows(update))
    for name in NETWORKS:
        assert torch.equal(weights(getattr(agent, name)), weights(getattr(resumed, name)))
    assert agent.updates == resumed.updates == 6


def test_divergence_is_said_in_one_line():
    agent = make_ddpg()
    with torch.no_grad():
        next(agent.network.parameters())[0, 0] = torch.nan
    with pytest.raises(UserError, match=r"diverged: .*learning_rate is 0.001, agent.value_learning_rate is 0.002\)"):
        agent.act(np.zeros((2, 3), np.float32))
    with pytest.raises(UserError, match="an observation is nan: look at the environment"):
        make_ddpg().act(np.full((2, 3), np.nan, np.float32))
