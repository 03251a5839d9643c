"""What holds for every on-policy agent: how it acts, what its update may depend on, its metrics, its saved state."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from agent_examples import (
    CONTINUOUS,
    DISCRETE,
    KINDS,
    SETTINGS,
    VECTORS,
    N,
    T,
    collect,
    make_agent,
    parameters,
    with_other_resets,
)
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from project import SOURCE

from repro.agents import AGENTS
from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.config import load_config
from repro.health.checks import find_problems
from repro.health.history import History
from repro.health.of_updates import MUST_BE_FINITE
from repro.health.subject import Subject
from repro.reading import UserError

torch.set_num_threads(1)
pytestmark = pytest.mark.parametrize("algorithm", SETTINGS)
EACH_KIND = pytest.mark.parametrize(("observations", "actions"), KINDS.values(), ids=KINDS)

LARGE_STEPS = {"a2c": {"learning_rate": 0.05}, "vpg": {"learning_rate": 5e-3}}  # that one gradient step shows


@EACH_KIND
def test_it_acts_by_its_distribution(algorithm, observations, actions):
    agent = make_agent(algorithm, observations, actions)
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


@EACH_KIND
def test_rows_that_only_reset_have_no_influence(algorithm, observations, actions):
    one, other = (make_agent(algorithm, observations, actions) for _ in range(2))
    rollout, _ = (collect(agent, observations, ends=True) for agent in (one, other))
    before = parameters(one)
    metrics = one.update(rollout, progress=0.0)
    assert other.update(with_other_resets(rollout), progress=0.0) == metrics
    assert torch.equal(parameters(one), parameters(other)) and not torch.equal(parameters(one), before)


def test_a_reset_row_that_is_not_masked_would_have_influence(algorithm):
    """So that the test above can fail."""
    one, other = make_agent(algorithm), make_agent(algorithm)
    rollout, _ = (collect(agent, ends=True) for agent in (one, other))
    one.update(rollout, progress=0.0)
    other.update(dataclasses.replace(rollout, valid=torch.ones_like(rollout.valid)), progress=0.0)
    assert not torch.equal(parameters(one), parameters(other))


@pytest.mark.parametrize("kind", ["terminated", "truncated"])
def test_what_follows_a_truncation_matters_and_what_follows_a_termination_does_not(algorithm, kind):
    agents = [make_agent(algorithm) for _ in range(2)]
    rollout, _ = (collect(agent) for agent in agents)
    done = torch.zeros(T, N, dtype=torch.bool)
    done[5] = True
    valid = torch.ones(T, N, dtype=torch.bool)
    valid[6] = False
    terminated = done if kind == "terminated" else torch.zeros_like(done)
    rollout = dataclasses.replace(rollout, done=done, terminated=terminated, valid=valid)
    values = rollout.values.clone()
    values[6] += 5.0  # of the last observation of an episode
    agents[0].update(rollout, progress=0.0)
    agents[1].update(dataclasses.replace(rollout, values=values), progress=0.0)
    assert torch.equal(*map(parameters, agents)) == (kind == "terminated")


@pytest.mark.parametrize("better", [0, 1, 2])
def test_the_better_action_becomes_more_probable(algorithm, better):
    agent = make_agent(algorithm, discount=0.0, **LARGE_STEPS.get(algorithm, {}))
    rollout = collect(agent)
    same = torch.full_like(rollout.observations, 0.3)
    rewards = (rollout.actions == better).float()
    before = agent.network(same[0])[0].softmax(-1)
    agent.update(dataclasses.replace(rollout, observations=same, rewards=rewards), progress=0.0)
    after = agent.network(same[0])[0].softmax(-1)
    assert (after[:, better] > before[:, better] + 1e-3).all()


@EACH_KIND
def test_metrics_are_those_that_health_checks_look_at(algorithm, observations, actions):
    agent = make_agent(algorithm, observations, actions)
    row = agent.update(collect(agent, observations, ends=True), progress=0.0)
    named = {"policy/loss", "policy/entropy", "policy/approx_kl", "value/loss", "gradient/norm"}
    assert named <= set(MUST_BE_FINITE)
    assert row.keys() >= named | {"value/explained_variance", "value/target_max", "advantage/std", "learning_rate"}
    assert all(isinstance(value, float | int) and math.isfinite(value) for value in row.values())
    subject = Subject.of(load_config(SOURCE / "presets/cartpole.yaml").model_dump())
    assert find_problems(History([row | {"env_step": T * N}]), subject) == []
    for name in named:
        (found,) = find_problems(History([row | {"env_step": T * N, name: math.nan}]), subject)
        assert found.check == "non_finite"


def test_the_value_function_is_measured_before_it_learns(algorithm):
    agent = make_agent(algorithm)
    rollout = collect(agent, ends=True)
    metrics = agent.update(rollout, progress=0.0)
    assert metrics["value/explained_variance"] < 0.5  # of random rewards


def test_the_kl_divergence_is_that_of_the_update(algorithm):
    agent = make_agent(algorithm, **LARGE_STEPS.get(algorithm, {}))
    rollout = collect(agent)
    assert 1e-5 < agent.update(rollout, progress=0.0)["policy/approx_kl"] < 0.2


def test_the_same_generator_gives_the_same_update_and_another_does_not(algorithm):
    agents = [make_agent(algorithm) for _ in range(3)]
    rollout, *_ = (collect(agent) for agent in agents)
    for agent, state in zip(agents, (1, 1, 2), strict=True):
        agent.generator.manual_seed(state)
        torch.rand(agent.generator.initial_seed())  # of the global generator, which must not matter
        agent.update(rollout, progress=0.0)
    assert torch.equal(parameters(agents[0]), parameters(agents[1]))
    if algorithm != "a2c":  # which draws nothing
        assert not torch.equal(parameters(agents[0]), parameters(agents[2]))


@EACH_KIND
def test_it_continues_exactly_from_a_saved_state(algorithm, observations, actions, tmp_path):
    agent = make_agent(algorithm, observations, actions)
    agent.update(collect(agent, observations), progress=0.0)
    save_checkpoint(tmp_path / "agent.pt", agent.state_dict())
    resumed = make_agent(algorithm, observations, actions, seed=9)
    resumed.load_state_dict(load_checkpoint(tmp_path / "agent.pt"))
    rollouts = [collect(one, observations, seed=2) for one in (agent, resumed)]
    assert torch.equal(rollouts[0].actions, rollouts[1].actions)
    assert torch.equal(rollouts[0].log_probs, rollouts[1].log_probs)
    metrics = [one.update(rollout, 0.5) for one, rollout in zip((agent, resumed), rollouts, strict=True)]
    assert metrics[0] == metrics[1]
    assert torch.equal(parameters(agent), parameters(resumed))


@EACH_KIND
def test_half_precision_is_used_and_is_close(algorithm, observations, actions):
    full, half = (make_agent(algorithm, observations, actions, precision=name) for name in ("float32", "bfloat16"))
    observations.seed(3)
    seen = np.stack([observations.sample() for _ in range(32)])
    (_, _, values), (_, log_probs, half_values) = full.act(seen, greedy=True), half.act(seen, greedy=True)
    assert half_values.dtype == log_probs.dtype == torch.float32
    assert not torch.equal(values, half_values)
    torch.testing.assert_close(values, half_values, atol=0.02, rtol=0.05)
    metrics = half.update(collect(half, observations), progress=0.0)
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(parameter.dtype == torch.float32 for parameter in half.network.parameters())


def test_a_network_that_has_diverged_says_which_rate_to_lower(algorithm):
    agent = make_agent(algorithm)
    with torch.no_grad():
        next(agent.network.parameters()).fill_(math.nan)
    with pytest.raises(UserError, match=r"training has diverged: .* lower its learning rate \(agent\.\w*rate is \d"):
        agent.act(np.zeros((2, 4), np.float32))


def test_an_observation_that_is_no_number_is_not_blamed_on_the_learning_rate(algorithm):
    with pytest.raises(UserError, match="an observation is nan: look at the environment's step"):
        make_agent(algorithm).act(np.array([[0, 0, 0, 1], [0, math.nan, 0, 1]], np.float32))


def test_the_learning_rate_schedule_ends_at_its_end(algorithm):
    if algorithm == "trpo":  # the trust region sets the policy's steps; the values' rate stays
        agent = make_agent(algorithm, value_learning_rate=4e-4)
        assert agent.update(collect(agent), 0.9)["learning_rate"] == 4e-4
        return
    for rollouts in (1, 7):
        agent = make_agent(algorithm, learning_rate=4e-4)
        rollout = collect(agent)
        rates = [agent.update(rollout, one / rollouts)["learning_rate"] for one in range(rollouts)]
        assert rates == pytest.approx(np.linspace(4e-4, 0, rollouts + 1)[:-1])  # the next would be 0
    agent = make_agent(algorithm, learning_rate=4e-4, anneal_learning_rate=False)
    assert agent.update(collect(agent), 0.9)["learning_rate"] == 4e-4


def test_other_actions_are_refused(algorithm, monkeypatch):
    with pytest.raises(UserError, match=rf"agent\.algorithm: {algorithm} has no actions such as .*, MultiDiscrete"):
        make_agent(algorithm, VECTORS, MultiDiscrete([2, 3]))
    monkeypatch.setattr(AGENTS[algorithm], "action_spaces", (Discrete,))
    others = ", ".join(name for name in AGENTS if name not in (algorithm, "dqn"))
    with pytest.raises(UserError, match=rf"{algorithm} has no actions .*, Box\(.*; take one of {others}$") as raised:
        make_agent(algorithm, VECTORS, CONTINUOUS)
    assert "\n" not in str(raised.value)
    assert make_agent(algorithm, VECTORS, Discrete(2)).network
    assert isinstance(CONTINUOUS, Box)


@pytest.mark.parametrize("actions", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
def test_what_acts_is_always_the_network_as_it_is(algorithm, actions):
    """Before and after an update, and after other weights were loaded."""
    agent, start = (make_agent(algorithm, VECTORS, actions, **LARGE_STEPS.get(algorithm, {})) for _ in range(2))

    def distance(acting, other):
        rollout = collect(acting)
        policy, values = other.runner(rollout.observations[:-1].flatten(0, 1))
        log_probs = policy.log_prob(rollout.actions.flatten(0, 1))
        errors = (rollout.values[:-1].flatten() - values, rollout.log_probs.flatten() - log_probs)
        return max(float(error.detach().abs().max()) for error in errors)

    assert distance(agent, agent) < 1e-5
    agent.update(collect(agent), progress=0.0)
    assert distance(agent, agent) < 1e-5 and distance(agent, start) > 1e-3
    agent.load_state_dict(start.state_dict())
    assert distance(agent, start) < 1e-5
