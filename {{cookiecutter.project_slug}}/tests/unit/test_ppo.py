"""PPO's update: against an independent implementation, and its exact identities."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from repro.agents.ppo import PPO, explained_variance
from repro.agents.rollout import Rollout, generalised_advantages
from repro.config import load_config
from repro.training.checkpoint import load_checkpoint, save_checkpoint

torch.set_num_threads(1)
PRESET = Path(__file__).parents[2] / "presets" / "moving-dot.yaml"
VECTORS, IMAGES = Box(-1, 1, (4,), np.float32), Box(0, 255, (2, 36, 36), np.uint8)
DISCRETE, CONTINUOUS = Discrete(3), Box(-1, 1, (2,), np.float32)
KINDS = pytest.mark.parametrize(
    ("observations", "actions"),
    [(VECTORS, DISCRETE), (VECTORS, CONTINUOUS), (IMAGES, DISCRETE), (IMAGES, CONTINUOUS)],
    ids=["vectors-discrete", "vectors-continuous", "images-discrete", "images-continuous"],
)
T, N = 16, 4


def make_agent(observations=VECTORS, actions=DISCRETE, seed=0, precision="float32", **settings):
    config = load_config(PRESET, [f"agent.{name}={str(value).lower()}" for name, value in settings.items()]).agent
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    return PPO(observations, actions, config, torch.device("cpu"), generator, precision)


def collect(agent, observations=VECTORS, seed=0, ends=False):
    """A rollout of the agent on random observations, with random rewards."""
    observations.seed(seed)
    generator = torch.Generator().manual_seed(seed)
    seen = np.stack([[observations.sample() for _ in range(N)] for _ in range(T + 1)])
    outcomes = [agent.act(row) for row in seen[:-1]]
    actions, log_probs, values = (torch.stack(parts).clone() for parts in zip(*outcomes, strict=True))
    done = torch.rand(T, N, generator=generator) < (0.2 if ends else 0)
    valid = torch.ones(T, N, dtype=torch.bool)
    valid[1:] = ~done[:-1]
    done &= valid
    valid[1:] = ~done[:-1]
    return Rollout(
        observations=torch.from_numpy(seen),
        actions=actions,
        log_probs=log_probs,
        values=torch.cat([values, agent.value(seen[-1])[None]]).clone(),
        rewards=torch.randn(T, N, generator=generator),
        terminated=done & (torch.rand(T, N, generator=generator) < 0.5),
        done=done,
        valid=valid,
    )


def parameters(agent):
    return torch.cat([parameter.detach().flatten() for parameter in agent.network.parameters()])


@KINDS
def test_in_the_first_minibatch_nothing_has_moved(observations, actions):
    agent = make_agent(observations, actions, epochs=1, minibatches=1)
    metrics = agent.update(collect(agent, observations), progress=0.0)
    assert abs(metrics["policy/approx_kl"]) < 1e-6 and metrics["policy/clip_fraction"] == 0
    assert abs(metrics["policy/loss"]) < 1e-5  # ratios of one times advantages of mean zero


@KINDS
def test_it_acts_by_its_distribution(observations, actions):
    agent = make_agent(observations, actions)
    observations.seed(1)
    seen = np.stack([observations.sample() for _ in range(20)])
    chosen, log_probs, values = agent.act(seen)
    with torch.no_grad():
        outputs, expected_values = agent.network(torch.from_numpy(seen))
    if actions is DISCRETE:
        expected = torch.distributions.Categorical(logits=outputs)
        greedy = outputs.argmax(-1)
    else:
        expected = torch.distributions.Independent(torch.distributions.Normal(outputs, 1.0), 1)
        greedy = outputs
    torch.testing.assert_close(log_probs, expected.log_prob(chosen))
    torch.testing.assert_close(values, expected_values)
    torch.testing.assert_close(agent.value(seen), values)
    torch.testing.assert_close(agent.act(seen, greedy=True)[0], greedy)
    assert not torch.equal(agent.act(seen)[0], chosen)  # the generator has moved on


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
    agent, reference = make_agent(**settings), make_agent(**settings)
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


@pytest.mark.parametrize("better", [0, 1, 2])
def test_the_better_action_becomes_more_probable(better):
    agent = make_agent(learning_rate=1e-3, epochs=4, minibatches=1, discount=0)
    rollout = collect(agent)
    same = torch.full_like(rollout.observations, 0.3)
    agent.update(dataclasses.replace(rollout, observations=same, rewards=(rollout.actions == better).float()), 0.0)
    probabilities = agent.network(same[0])[0].softmax(-1)
    assert (probabilities[:, better] > 0.34).all()


def test_rows_that_only_reset_have_no_influence():
    one, other = make_agent(), make_agent()
    rollout = collect(one, ends=True)
    collect(other, ends=True)
    masked = ~rollout.valid
    assert masked.sum() >= 5
    changed = dataclasses.replace(
        rollout,
        observations=torch.where(torch.cat([masked, masked[:1] & False])[..., None], 9.0, rollout.observations),
        actions=torch.where(masked, 2 - rollout.actions, rollout.actions),
        log_probs=torch.where(masked, -50.0, rollout.log_probs),
        rewards=torch.where(masked, 1e6, rollout.rewards),
    )
    assert not torch.equal(changed.observations, rollout.observations)
    metrics = one.update(rollout, progress=0.0)
    assert other.update(changed, progress=0.0) == metrics
    assert torch.equal(parameters(one), parameters(other))


def test_a_reset_row_that_is_not_masked_would_have_influence():
    """So that the test above can fail."""
    one, other = make_agent(), make_agent()
    rollout = collect(one, ends=True)
    collect(other, ends=True)
    one.update(rollout, progress=0.0)
    other.update(dataclasses.replace(rollout, valid=torch.ones_like(rollout.valid)), progress=0.0)
    assert not torch.equal(parameters(one), parameters(other))


@pytest.mark.parametrize(("anneal", "progress", "share"), [(True, 0.0, 1), (True, 0.25, 0.75), (False, 0.25, 1)])
def test_the_learning_rate_falls_linearly_if_asked_to(anneal, progress, share):
    agent = make_agent(anneal_learning_rate=anneal, learning_rate=4e-4)
    assert agent.update(collect(agent), progress)["learning_rate"] == pytest.approx(4e-4 * share)
    quick, slow = (make_agent(anneal_learning_rate=anneal, epochs=1, minibatches=1) for _ in range(2))
    before = parameters(quick)
    for one, at in ((quick, 0.0), (slow, progress)):
        one.update(collect(one), at)
    torch.testing.assert_close(parameters(slow) - before, share * (parameters(quick) - before), atol=1e-7, rtol=1e-3)


def test_the_same_generator_gives_the_same_update_and_another_does_not():
    agents = [make_agent() for _ in range(3)]
    rollout = collect(agents[0])
    for agent, state in zip(agents, (1, 1, 2), strict=True):
        agent.generator.manual_seed(state)
        torch.rand(agent.generator.initial_seed())  # of the global generator, which must not matter
        agent.update(rollout, progress=0.0)
    assert torch.equal(parameters(agents[0]), parameters(agents[1]))
    assert not torch.equal(parameters(agents[0]), parameters(agents[2]))


@KINDS
def test_it_continues_exactly_from_a_saved_state(observations, actions, tmp_path):
    agent = make_agent(observations, actions, epochs=1)
    agent.update(collect(agent, observations), progress=0.0)
    save_checkpoint(tmp_path / "agent.pt", agent.state_dict())
    resumed = make_agent(observations, actions, seed=9, epochs=1)
    resumed.load_state_dict(load_checkpoint(tmp_path / "agent.pt"))
    rollouts = [collect(one, observations, seed=2) for one in (agent, resumed)]
    assert torch.equal(rollouts[0].actions, rollouts[1].actions)
    assert torch.equal(rollouts[0].log_probs, rollouts[1].log_probs)
    metrics = [one.update(rollout, 0.5) for one, rollout in zip((agent, resumed), rollouts, strict=True)]
    assert metrics[0] == metrics[1]
    assert torch.equal(parameters(agent), parameters(resumed))


def test_gradients_are_cut_to_their_greatest_norm_and_the_full_norm_is_reported():
    for limit, cut in ((1e-3, True), (1e6, False)):
        agent = make_agent(epochs=1, minibatches=1, max_gradient_norm=limit)
        metrics = agent.update(collect(agent), progress=0.0)
        left = float(torch.sqrt(sum((one.grad**2).sum() for one in agent.network.parameters())))
        assert left == pytest.approx(limit if cut else metrics["gradient/norm"], rel=1e-3)
        assert 1e-2 < metrics["gradient/norm"] < 1e3


def test_metrics_are_means_over_minibatches():
    agent = make_agent(epochs=2, minibatches=4, learning_rate=1e-12)
    rollout = collect(agent)
    metrics = agent.update(rollout, progress=0.0)
    with torch.no_grad():
        logits, values = agent.network(rollout.observations[:-1])
    entropy = torch.distributions.Categorical(logits=logits).entropy().mean()
    returns = generalised_advantages(rollout, 0.9, 0.95) + rollout.values[:-1]
    assert metrics["policy/entropy"] == pytest.approx(float(entropy), rel=1e-4)
    assert metrics["value/loss"] == pytest.approx(float((values - returns).square().mean() / 2), rel=1e-4)
    assert metrics["value/mean"] == pytest.approx(float(rollout.values[:-1].mean()), rel=1e-4)
    share = 1 - float((returns - rollout.values[:-1]).var() / returns.var())
    assert metrics["value/explained_variance"] == pytest.approx(share, rel=1e-4)


def test_explained_variance():
    targets = torch.tensor([1.0, 2.0, 4.0])
    assert explained_variance(targets, targets) == 1
    assert explained_variance(targets + 3, targets) == 1  # a constant error is no variance
    assert explained_variance(torch.zeros(3), targets) == 0
    assert explained_variance(-targets, targets) == pytest.approx(-3)
    assert np.isnan(explained_variance(targets, torch.ones(3)))


@KINDS
def test_half_precision_is_used_and_is_close(observations, actions):
    full, half = (make_agent(observations, actions, precision=name) for name in ("float32", "bfloat16"))
    observations.seed(3)
    seen = np.stack([observations.sample() for _ in range(32)])
    (_, _, values), (_, log_probs, half_values) = full.act(seen, greedy=True), half.act(seen, greedy=True)
    assert half_values.dtype == log_probs.dtype == torch.float32
    assert not torch.equal(values, half_values)
    torch.testing.assert_close(values, half_values, atol=0.02, rtol=0.05)
    metrics = half.update(collect(half, observations), progress=0.0)
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(parameter.dtype == torch.float32 for parameter in half.network.parameters())
