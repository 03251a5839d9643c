"""PPO's update: against an independent implementation, and its exact identities."""

import dataclasses

import numpy as np
import pytest
import torch
from agent_examples import KINDS, N, T, collect, make_agent, parameters

from repro.agents.rollout import approximate_kl, generalised_advantages
from repro.agents.values import explained_variance

torch.set_num_threads(1)


def ppo(*spaces, **settings):
    return make_agent("ppo", *spaces, **settings)


@pytest.mark.parametrize(("observations", "actions"), KINDS.values(), ids=KINDS)
def test_in_the_first_minibatch_nothing_has_moved(observations, actions):
    agent = ppo(observations, actions, epochs=1, minibatches=1)
    metrics = agent.update(collect(agent, observations), progress=0.0)
    assert abs(metrics["policy/approx_kl"]) < 1e-6 and metrics["policy/clip_fraction"] == 0
    assert abs(metrics["policy/loss"]) < 1e-5  # ratios of one times advantages of mean zero


def reference_update(agent, rollout, progress):
    """The update once more, plainly: for vectors and discrete actions, with PyTorch's own parts."""
    config = agent.config
    network = agent.network
    learning_rate = config.learning_rate * (1 - progress)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, eps=1e-5, foreach=False)
    advantages = generalised_advantages(rollout, config.discount, config.gae_lambda)
    keep = [(t, n) for t in range(T) for n in range(N) if rollout.valid[t, n]]
    for _ in range(config.epochs):
        order = torch.randperm(len(keep), generator=agent.generator).tolist()
        size = -(-len(keep) // config.minibatches)
        larger = len(keep) % config.minibatches or config.minibatches
        start = 0
        for minibatch in range(config.minibatches):
            stop = start + (size if minibatch < larger else size - 1)
            rows = [keep[index] for index in order[start:stop]]
            start = stop
            t, n = (torch.tensor(part) for part in zip(*rows, strict=True))
            logits, values = network(rollout.observations[t, n])
            policy = torch.distributions.Categorical(logits=logits)
            normalised = (advantages[t, n] - advantages[t, n].mean()) / (advantages[t, n].std() + 1e-8)
            ratios = (policy.log_prob(rollout.actions[t, n]) - rollout.log_probs[t, n]).exp()
            total = 0.0
            for ratio, advantage in zip(ratios, normalised, strict=True):
                limit = 1 + config.clip_range if advantage > 0 else 1 - config.clip_range
                beyond = ratio > limit if advantage > 0 else ratio < limit
                total = total - (limit if beyond else ratio) * advantage / len(rows)
            returns = advantages[t, n] + rollout.values[t, n]
            total = total + config.value_coefficient * ((values - returns) ** 2).mean() / 2
            total = total - config.entropy_coefficient * policy.entropy().mean()
            optimizer.zero_grad()
            total.backward()
            norm = torch.sqrt(sum((parameter.grad**2).sum() for parameter in network.parameters()))
            for parameter in network.parameters():
                parameter.grad *= min(1.0, config.max_gradient_norm / float(norm))
            optimizer.step()
    assert start == len(keep)


@pytest.mark.parametrize("settings", [{}, {"clip_range": 0.02}, {"max_gradient_norm": 0.05, "minibatches": 4}], ids=str)
def test_the_update_equals_an_independent_implementation(settings):
    settings = {"epochs": 2, "minibatches": 2, "entropy_coefficient": 0.05, "value_coefficient": 0.7} | settings
    agent, reference = ppo(**settings), ppo(**settings)
    rollout = collect(agent, ends=True)
    reference.generator.set_state(agent.generator.get_state())
    # As if the policy had moved since: some ratios are beyond the clip range from the start.
    drift = 0.4 * torch.randn(T, N, generator=torch.Generator().manual_seed(5))
    rollout = dataclasses.replace(rollout, log_probs=rollout.log_probs + drift)
    before = parameters(agent)
    metrics = agent.update(rollout, progress=0.3)
    reference_update(reference, rollout, progress=0.3)
    assert metrics["policy/clip_fraction"] > 0.2
    torch.testing.assert_close(parameters(agent), parameters(reference), atol=2e-6, rtol=1e-4)
    assert (parameters(agent) - before).abs().max() > 1e-4


@pytest.mark.parametrize(("anneal", "progress", "share"), [(True, 0.0, 1), (True, 0.25, 0.75), (False, 0.25, 1)])
def test_the_learning_rate_falls_linearly_if_asked_to(anneal, progress, share):
    agent = ppo(anneal_learning_rate=anneal, learning_rate=4e-4)
    assert agent.update(collect(agent), progress)["learning_rate"] == pytest.approx(4e-4 * share)
    quick, slow = (ppo(anneal_learning_rate=anneal, epochs=1, minibatches=1) for _ in range(2))
    before = parameters(quick)
    for one, at in ((quick, 0.0), (slow, progress)):
        one.update(collect(one), at)
    torch.testing.assert_close(parameters(slow) - before, share * (parameters(quick) - before), atol=1e-7, rtol=1e-3)


def test_gradients_are_cut_to_their_greatest_norm_and_the_full_norm_is_reported():
    for limit, cut in ((1e-3, True), (1e6, False)):
        agent = ppo(epochs=1, minibatches=1, max_gradient_norm=limit)
        metrics = agent.update(collect(agent), progress=0.0)
        left = float(torch.sqrt(sum((one.grad**2).sum() for one in agent.network.parameters())))
        assert left == pytest.approx(limit if cut else metrics["gradient/norm"], rel=1e-3)
        assert 1e-2 < metrics["gradient/norm"] < 1e3


def test_the_kl_divergence_is_of_the_last_epoch():
    """As in Stable-Baselines3; over all epochs it is that of a policy which at first has not moved."""
    settings = {"minibatches": 1, "learning_rate": 1e-2, "anneal_learning_rate": False}
    once, twice = (ppo(epochs=epochs, **settings) for epochs in (1, 2))
    rollout = collect(once, ends=True)
    once.update(rollout, progress=0.0)
    observations, actions, old_log_probs = rollout.rows(torch.device("cpu"))
    with torch.no_grad():
        moved = approximate_kl(once.runner(observations)[0].log_prob(actions) - old_log_probs)
    assert twice.update(rollout, progress=0.0)["policy/approx_kl"] == pytest.approx(float(moved), rel=1e-3)
    assert moved > 1e-4


def test_metrics_are_means_over_minibatches():
    agent = ppo(epochs=2, minibatches=4, learning_rate=1e-12)
    rollout = collect(agent)
    metrics = agent.update(rollout, progress=0.0)
    with torch.no_grad():
        logits, values = agent.network(rollout.observations[:-1].flatten(0, 1))
    entropy = torch.distributions.Categorical(logits=logits).entropy().mean()
    returns = generalised_advantages(rollout, 0.9, 0.95) + rollout.values[:-1]
    assert metrics["policy/entropy"] == pytest.approx(float(entropy), rel=1e-4)
    assert metrics["value/loss"] == pytest.approx(float((values - returns.flatten()).square().mean() / 2), rel=1e-4)
    share = 1 - float((returns - rollout.values[:-1]).var() / returns.var())
    assert metrics["value/explained_variance"] == pytest.approx(share, rel=1e-4)


def test_explained_variance():
    targets = torch.tensor([1.0, 2.0, 4.0])
    assert explained_variance(targets, targets) == 1
    assert explained_variance(targets + 3, targets) == 1  # a constant error is no variance
    assert explained_variance(torch.zeros(3), targets) == 0
    assert explained_variance(-targets, targets) == pytest.approx(-3)
    assert np.isnan(explained_variance(targets, torch.ones(3)))
