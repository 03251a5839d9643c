"""VPG's update: the policy against an independent implementation; the baseline learns and leaves the policy alone."""

import dataclasses

import pytest
import torch
from agent_examples import KINDS, VECTORS, N, T, collect, make_agent, parameters

from repro.agents.rollout import generalised_advantages

torch.set_num_threads(1)


def policy_of(agent):
    return torch.cat([one.detach().flatten() for one in agent.network.policy_parameters()])


def value_of(agent):
    return torch.cat([one.detach().flatten() for one in agent.network.value.parameters()])


def test_the_policy_s_step_equals_an_independent_implementation():
    settings = {"learning_rate": 1e-2, "entropy_coefficient": 0.05, "max_gradient_norm": 0.1}
    agent, reference = make_agent("vpg", **settings), make_agent("vpg", **settings)
    rollout = collect(agent, ends=True)
    metrics = agent.update(rollout, progress=0.25)
    advantages = generalised_advantages(rollout, 0.9, 0.95)
    keep = [(t, n) for t in range(T) for n in range(N) if rollout.valid[t, n]]
    scale = torch.stack([advantages[row] for row in keep]).std()
    mean = torch.stack([advantages[row] for row in keep]).mean()
    objective = 0.0
    for row in keep:
        logits, _ = reference.network(rollout.observations[row][None])
        policy = torch.distributions.Categorical(logits=logits[0])
        gain = policy.log_prob(rollout.actions[row]) * (advantages[row] - mean) / scale
        objective = objective + (gain + 0.05 * policy.entropy()) / len(keep)
    weights = reference.network.policy_parameters()
    optimizer = torch.optim.Adam(weights, lr=1e-2 * 0.75, eps=1e-5, foreach=False)
    (-objective).backward()
    norm = torch.nn.utils.clip_grad_norm_(weights, 0.1)
    optimizer.step()
    torch.testing.assert_close(policy_of(agent), policy_of(reference), atol=2e-6, rtol=1e-4)
    assert metrics["gradient/norm"] == pytest.approx(float(norm), rel=1e-4) and norm > 0.1
    assert metrics["learning_rate"] == pytest.approx(1e-2 * 0.75)


@pytest.mark.parametrize("algorithm", ["vpg", "trpo"])
@pytest.mark.parametrize(("observations", "actions"), KINDS.values(), ids=KINDS)
def test_fitting_the_baseline_does_not_move_the_policy(algorithm, observations, actions):
    once, often = (make_agent(algorithm, observations, actions, value_epochs=epochs) for epochs in (1, 3))
    rollouts = [collect(agent, observations, ends=True) for agent in (once, often)]
    for agent, rollout in zip((once, often), rollouts, strict=True):
        agent.update(rollout, progress=0.0)
    assert torch.equal(policy_of(once), policy_of(often))
    assert not torch.equal(value_of(once), value_of(often))
    assert len(parameters(once)) == len(policy_of(once)) + len(value_of(once))


@pytest.mark.parametrize("algorithm", ["vpg", "trpo"])
def test_the_baseline_converges_to_the_returns(algorithm):
    agent = make_agent(algorithm, value_epochs=300, value_learning_rate=3e-3, discount=0.0)
    rollout = collect(agent)
    target = 3 * rollout.observations[:-1, :, 0] - 1  # a return that depends on the observation
    loss = agent.update(dataclasses.replace(rollout, rewards=target), progress=0.0)["value/loss"]
    with torch.no_grad():
        _, values = agent.network(rollout.observations[:-1])
    torch.testing.assert_close(values, target, atol=0.3, rtol=0)
    assert 0.5 * (values - target).square().mean() < loss  # which is the mean over all epochs


def test_the_baseline_s_step_equals_an_independent_implementation():
    agent, reference = (make_agent("vpg", value_epochs=1, minibatches=2) for _ in range(2))
    rollout = collect(agent, ends=True)
    reference.generator.set_state(agent.generator.get_state())
    agent.update(rollout, progress=0.5)
    returns = (generalised_advantages(rollout, 0.9, 0.95) + rollout.values[:-1])[rollout.valid]
    seen = rollout.observations[:-1][rollout.valid]
    optimizer = torch.optim.Adam(reference.network.value.parameters(), lr=1e-3 * 0.5, eps=1e-5, foreach=False)
    order = torch.randperm(len(seen), generator=reference.generator)
    half = -(-len(seen) // 2)
    for indices in (order[:half], order[half:]):
        _, values = reference.network(seen[indices])
        optimizer.zero_grad()
        (((values - returns[indices]) ** 2).sum() / (2 * len(indices))).backward()
        optimizer.step()
    torch.testing.assert_close(value_of(agent), value_of(reference), atol=2e-6, rtol=1e-4)
    assert VECTORS.shape == seen.shape[1:]
