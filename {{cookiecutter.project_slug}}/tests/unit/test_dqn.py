"""DQN's update, target by target, and how it explores."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from off_policy_examples import DQN_SETTINGS, batch, make_dqn, weights

from repro.agents.dqn import DQN
from repro.agents.networks import NatureCNN
from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.config import DQNConfig
from repro.reading import UserError

torch.set_num_threads(1)
ACTIONS = torch.arange(16) % 4
IMAGES = Box(0, 255, (2, 36, 36), np.uint8)


def with_other_target(**settings):
    """An agent whose target network is another than its network."""
    agent, other = make_dqn(0, **settings), make_dqn(1)
    agent.target.load_state_dict(other.network.state_dict())
    return agent


@pytest.mark.parametrize("double", [False, True])
def test_targets_are_those_of_a_hand_computation(double):
    agent = with_other_target(double=double)
    rows = batch(ACTIONS)
    assert 0 < rows.terminated.sum() < 16
    expected = []
    for row in range(16):
        following = rows.next_observations[row]
        theirs = agent.target(following).tolist()
        chosen_by = agent.network(following).tolist() if double else theirs
        best = theirs[chosen_by.index(max(chosen_by))]
        ended = bool(rows.terminated[row])
        expected.append(float(rows.rewards[row]) + (0.0 if ended else 0.9 * best))
    torch.testing.assert_close(agent.targets(rows), torch.tensor(expected))


def test_double_or_not_makes_a_difference():
    rows = batch(ACTIONS)
    assert not torch.equal(with_other_target(double=True).targets(rows), with_other_target(double=False).targets(rows))


def test_an_update_is_a_step_of_adam_on_the_huber_loss_of_the_chosen_actions():
    agent = with_other_target(max_gradient_norm=1e9)
    rows, network = batch(ACTIONS), copy.deepcopy(agent.network)
    targets = agent.targets(rows)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    errors = (network(rows.observations)[range(16), ACTIONS] - targets).abs()
    assert (errors > 1).any() and (errors < 1).any()
    loss = torch.where(errors < 1, errors**2 / 2, errors - 0.5).mean()
    loss.backward()
    norm = torch.cat([parameter.grad.flatten() for parameter in network.parameters()]).norm()
    optimizer.step()
    values = agent.network(rows.observations)[range(16), ACTIONS].mean()
    metrics = agent.update(rows)
    torch.testing.assert_close(weights(agent.network), weights(network))
    expected = {"value/loss": loss, "value/mean": values, "value/target_mean": targets.mean(), "gradient/norm": norm}
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(metrics[name], value.detach(), msg=name)


def test_gradients_are_clipped():
    before, agents = weights(make_dqn().network), [make_dqn(max_gradient_norm=norm) for norm in (1e-12, 1e9)]
    moved = []
    for agent in agents:
        agent.update(batch(ACTIONS))
        moved.append(float((weights(agent.network) - before).norm()))
    assert moved[0] < 0.05 * moved[1]  # Adam makes up for all but the tiniest gradients


def test_the_target_network_is_copied_when_it_is_due_and_at_no_other_time():
    agent = make_dqn(target_update_steps=3)
    held = weights(agent.target)
    for update in range(1, 8):
        agent.update(batch(ACTIONS, update))
        assert agent.updates == update
        if update % 3 == 0:
            assert torch.equal(weights(agent.target), weights(agent.network))
            assert not torch.equal(weights(agent.target), held)
            held = weights(agent.target)
        else:
            assert torch.equal(weights(agent.target), held)


def test_epsilon_ends_at_its_end():
    agent = make_dqn(exploration_initial=0.9, exploration_final=0.1, exploration_steps=1000)
    assert agent.epsilon == 0.1  # of a trained agent
    epsilons = [agent.explore(step)["exploration/epsilon"] for step in (0, 250, 500, 1000, 5000)]
    assert epsilons == pytest.approx([0.9, 0.7, 0.5, 0.1, 0.1]) and epsilons[-1] == 0.1


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_a_share_of_actions_is_random(epsilon):
    agent = make_dqn(exploration_initial=epsilon)
    agent.explore(0)
    observations = np.zeros((20_000, 3), np.float32)
    greedy = agent.act(observations, greedy=True)
    actions = agent.act(observations)
    assert greedy.dtype == actions.dtype == torch.int64 and len(greedy.unique()) == 1
    shares = torch.bincount(actions, minlength=4) / 20_000
    expected = torch.full((4,), epsilon / 4)
    expected[greedy[0]] += 1 - epsilon
    torch.testing.assert_close(shares, expected, atol=0.015, rtol=0)


def test_greedy_actions_are_those_of_the_highest_value():
    agent = make_dqn()
    observations = torch.randn(50, 3)
    expected = [row.index(max(row)) for row in agent.network(observations).tolist()]
    assert agent.act(observations.numpy(), greedy=True).tolist() == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_images_pass_through_the_nature_cnn(precision):
    config = DQNConfig(**DQN_SETTINGS)
    agent = DQN(IMAGES, Discrete(4), config, torch.device("cpu"), torch.Generator().manual_seed(0), precision)
    assert any(isinstance(module, NatureCNN) for module in agent.network.modules())
    rows = batch(ACTIONS)
    images = torch.randint(256, (2, 16, *IMAGES.shape), dtype=torch.uint8)
    rows = type(rows)(images[0], rows.actions, rows.rewards, images[1], rows.terminated)
    metrics = agent.update(rows)
    assert all(value.isfinite() for value in metrics.values()) and agent.targets(rows).dtype == torch.float32


def test_a_saved_agent_goes_on_bit_for_bit(tmp_path):
    agent, resumed = make_dqn(0), make_dqn(1)
    for update in range(4):  # one after the target network was copied
        agent.update(batch(ACTIONS, update))
    save_checkpoint(tmp_path / "agent.pt", agent.state_dict())
    resumed.load_state_dict(load_checkpoint(tmp_path / "agent.pt"))
    observations = np.zeros((30, 3), np.float32)
    for update in range(4, 8):
        for one in (agent, resumed):
            one.explore(500)
        assert torch.equal(agent.act(observations), resumed.act(observations))
        assert agent.update(batch(ACTIONS, update)) == resumed.update(batch(ACTIONS, update))
    assert torch.equal(weights(agent.network), weights(resumed.network))
    assert torch.equal(weights(agent.target), weights(resumed.target))


def test_divergence_is_said_in_one_line():
    agent = make_dqn()
    with torch.no_grad():
        next(agent.network.parameters())[0, 0] = torch.nan
    with pytest.raises(UserError, match=r"diverged: .* lower its learning rate \(agent.learning_rate is 0.001\)"):
        agent.act(np.zeros((2, 3), np.float32))
    with pytest.raises(UserError, match="an observation is nan: look at the environment"):
        make_dqn().act(np.full((2, 3), np.nan, np.float32))
