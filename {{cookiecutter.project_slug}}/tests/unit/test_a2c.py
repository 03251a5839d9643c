"""A2C's update: against PPO in the special case, parameter by parameter; RMSprop against TensorFlow's formula."""

import dataclasses

import numpy as np
import pytest
import torch
from agent_examples import KINDS, N, T, collect, make_agent, parameters

from repro.agents.a2c import RMSpropTF
from repro.agents.rollout import generalised_advantages

torch.set_num_threads(1)


def with_normalised_advantages(rollout, discount, gae_lambda):
    """Other rewards, such that the generalised advantages have mean 0 and standard deviation 1 over valid rows.

    Advantages are chosen first; the rewards follow by solving their recursion backwards.
    """
    advantages = torch.randn(T, N, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    counted = advantages[rollout.valid]
    advantages = (advantages - counted.mean()) / counted.std()
    following = torch.cat([advantages[1:], torch.zeros(1, N)]) * ~rollout.done
    deltas = advantages - discount * gae_lambda * following
    values = rollout.values.double()
    rewards = deltas + values[:-1] - discount * values[1:] * ~rollout.terminated
    return dataclasses.replace(rollout, rewards=rewards.float())


@pytest.mark.parametrize(("observations", "actions"), KINDS.values(), ids=KINDS)
def test_it_is_ppo_with_one_epoch_one_minibatch_and_nothing_to_clip(observations, actions):
    shared = {"learning_rate": 0.05, "max_gradient_norm": 0.3, "entropy_coefficient": 0.05, "value_coefficient": 0.7}
    a2c = make_agent("a2c", observations, actions, **shared)
    ppo = make_agent("ppo", observations, actions, **shared, epochs=1, minibatches=1, clip_range=0.1)
    ppo.optimizer = RMSpropTF(ppo.network.parameters(), 0.05, 0.99, 1e-5)
    start = parameters(a2c)
    for update in range(4):
        rollouts = [collect(agent, observations, seed=update, ends=True) for agent in (a2c, ppo)]
        rollout = with_normalised_advantages(rollouts[0], 0.9, 0.95)
        estimates = generalised_advantages(rollout, 0.9, 0.95)[rollout.valid]
        assert estimates.mean().abs() < 1e-6 and (estimates.std() - 1).abs() < 1e-5
        ours, theirs = (agent.update(rollout, progress=update / 4) for agent in (a2c, ppo))
        ppo.generator.set_state(a2c.generator.get_state())  # PPO has shuffled
        assert ours["learning_rate"] == theirs["learning_rate"]
        for name in ("policy/entropy", "value/loss", "gradient/norm", "value/explained_variance"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4)
        for (name, one), other in zip(a2c.network.named_parameters(), ppo.network.parameters(), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4, msg=name)
    assert (parameters(a2c) - start).abs().max() > 1e-3


def test_advantages_are_not_normalised():
    """Rewards a hundred times as large, with a critic of 0, give a policy gradient a hundred times as large."""
    norms = []
    for scale in (1.0, 100.0):
        agent = make_agent("a2c", entropy_coefficient=0.0, value_coefficient=0.0)
        rollout = collect(agent)
        values = torch.zeros_like(rollout.values)
        rollout = dataclasses.replace(rollout, values=values, rewards=rollout.rewards * scale)
        norms.append(agent.update(rollout, progress=0.0)["gradient/norm"])
    assert norms[1] == pytest.approx(100 * norms[0], rel=1e-4)


def test_rmsprop_is_tensorflow_s():
    """ms <- decay ms + (1 - decay) g^2, from 1; w <- w - lr g / sqrt(ms + epsilon)."""
    start, gradients = [1.0, -2.0, 0.0], [[0.5, -3.0, 0.0], [0.1, 4.0, 1e-4], [-0.5, 0.0, 1e-4]]
    rate, decay, epsilon = 0.1, 0.9, 1e-3
    weights = torch.nn.Parameter(torch.tensor(start))
    optimizer = RMSpropTF([weights], rate, decay, epsilon)
    expected, mean_square = np.array(start), np.ones(3)
    for gradient in gradients:
        weights.grad = torch.tensor(gradient)
        optimizer.step()
        mean_square = decay * mean_square + (1 - decay) * np.square(gradient)
        expected = expected - rate * np.array(gradient) / np.sqrt(mean_square + epsilon)
        np.testing.assert_allclose(weights.detach().numpy(), expected, rtol=1e-6)
    by_hand = 1.0 - 0.1 * 0.5 / np.sqrt(0.9 + 0.1 * 0.25 + 1e-3)  # the first weight after the first step
    assert by_hand == pytest.approx(0.9480406, abs=1e-7)


def test_gradients_are_cut_to_their_greatest_norm_and_the_full_norm_is_reported():
    for limit, cut in ((1e-3, True), (1e6, False)):
        agent = make_agent("a2c", max_gradient_norm=limit)
        metrics = agent.update(collect(agent), progress=0.0)
        left = float(torch.sqrt(sum((one.grad**2).sum() for one in agent.network.parameters())))
        assert left == pytest.approx(limit if cut else metrics["gradient/norm"], rel=1e-3)
