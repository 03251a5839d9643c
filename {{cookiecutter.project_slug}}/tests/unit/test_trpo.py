"""TRPO's step: its parts against autograd, analysis and linear algebra; the step as a whole against its bound."""

import dataclasses

import numpy as np
import pytest
import torch
from agent_examples import KINDS, VECTORS, collect, make_agent, parameters
from torch import nn
from torch.func import functional_call

from repro.agents.distributions import make_distribution
from repro.agents.trpo import assign, conjugate_gradient, fisher_product, flatten

torch.set_num_threads(1)
SPACES = pytest.mark.parametrize(("observations", "actions"), list(KINDS.values())[:2], ids=list(KINDS)[:2])

# With a policy that is nearly certain, the first candidate goes beyond where the quadratic model of KL holds.
FAR = {"damping": 0.0, "conjugate_gradient_steps": 20, "max_kl": 2.0}


def distribution(outputs, log_std):
    if log_std is None:
        return torch.distributions.Categorical(logits=outputs)
    return torch.distributions.Independent(torch.distributions.Normal(outputs, log_std.exp()), 1)


def kl(old, new):
    """Mean KL divergence of two policies given as (outputs, log_std), by PyTorch's own distributions."""
    return torch.distributions.kl_divergence(distribution(*old), distribution(*new)).mean()


def policy_now(agent, observations):
    network = agent.network
    with torch.no_grad():
        return network.policy(observations), None if network.log_std is None else network.log_std.clone()


def product_of(agent, observations, damping=0.0):
    weights = agent.network.policy_parameters()
    policy = make_distribution(agent.network.policy(observations), agent.network.log_std)
    old = make_distribution(*policy_now(agent, observations))
    return fisher_product(old.kl(policy).mean(), weights, damping)


@SPACES
def test_fisher_products_are_those_of_autograd_s_hessian(observations, actions):
    """Of a policy so small that the whole matrix can be had."""
    torch.manual_seed(3)
    agent = make_agent("trpo", observations, actions)
    agent.network.policy = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), agent.network.policy[-1].__class__(3, 2))
    seen = torch.randn(20, 4)
    weights = agent.network.policy_parameters()
    names = [name for name, _ in agent.network.policy.named_parameters()]
    old = policy_now(agent, seen)

    def divergence(vector):
        parts = [p.view(w.shape) for p, w in zip(vector.split([w.numel() for w in weights]), weights, strict=True)]
        outputs = functional_call(agent.network.policy, dict(zip(names, parts, strict=False)), (seen,))
        return kl(old, (outputs, None if old[1] is None else parts[-1]))

    hessian = torch.autograd.functional.hessian(divergence, flatten(weights).detach())
    product = product_of(agent, seen)
    matrix = torch.stack([product(unit) for unit in torch.eye(len(hessian))])
    torch.testing.assert_close(matrix, hessian, atol=1e-6, rtol=1e-4)
    assert torch.linalg.eigvalsh(hessian).min() > -1e-6 and hessian.abs().max() > 1e-2


@SPACES
def test_fisher_products_are_expected_squares_of_scores(observations, actions):
    """F = mean over states of J' M J, with M the Fisher matrix of the distribution itself; for the whole network."""
    agent = make_agent("trpo", observations, actions, seed=1)
    seen = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    network, weights = agent.network.policy, list(agent.network.policy.parameters())
    names = [name for name, _ in network.named_parameters()]
    with torch.no_grad():
        network[-1].weight.mul_(100)  # as after some training
    vector = torch.randn(sum(w.numel() for w in weights), generator=torch.Generator().manual_seed(1))
    parts = [p.view(w.shape) for p, w in zip(vector.split([w.numel() for w in weights]), weights, strict=True)]

    def outputs_of(*values):
        return functional_call(network, dict(zip(names, values, strict=True)), (seen,))

    outputs, moved = torch.func.jvp(outputs_of, tuple(w.detach() for w in weights), tuple(parts))
    if agent.network.log_std is None:
        probabilities = outputs.softmax(-1)
        scaled = probabilities * (moved - (probabilities * moved).sum(-1, keepdim=True))
    else:
        scaled = moved  # deviations are 1
    expected = flatten(torch.autograd.grad(outputs_of(*weights), weights, scaled / len(seen)))
    extra = [] if agent.network.log_std is None else [torch.tensor([3.0, -1.0])]
    got = product_of(agent, seen)(torch.cat([vector, *extra]))
    torch.testing.assert_close(got[: len(vector)], expected, atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(got[len(vector) :], torch.cat([torch.zeros(0), *[2 * one for one in extra]]))
    damped = product_of(agent, seen, damping=0.3)(torch.cat([vector, *extra]))
    torch.testing.assert_close(damped, got + 0.3 * torch.cat([vector, *extra]), atol=1e-5, rtol=1e-4)


def test_conjugate_gradient_solves_symmetric_positive_definite_systems():
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        root = torch.randn(12, 12, generator=generator)
        matrix = root @ root.T + torch.eye(12)
        target = torch.randn(12, generator=generator)
        solution = conjugate_gradient(lambda v, m=matrix: m @ v, target, steps=40)
        torch.testing.assert_close(solution, torch.linalg.solve(matrix, target), atol=1e-4, rtol=1e-3)
    diagonal = torch.tensor([1.0, 1.0, 5.0, 5.0])  # two eigenvalues: two steps
    solution = conjugate_gradient(lambda v: diagonal * v, torch.ones(4), steps=2)
    torch.testing.assert_close(solution, 1 / diagonal)
    assert torch.equal(conjugate_gradient(lambda v: diagonal * v, torch.zeros(4), steps=5), torch.zeros(4))


def test_assign_undoes_flatten():
    agent = make_agent("trpo", *KINDS["images-continuous"])
    weights = agent.network.policy_parameters()
    strides = [one.stride() for one in weights]
    vector = torch.randn(sum(one.numel() for one in weights))
    assign(weights, vector)
    assert torch.equal(flatten(weights), vector) and [one.stride() for one in weights] == strides


@pytest.mark.parametrize("seed", range(6))
@SPACES
def test_a_step_keeps_the_bound_and_improves_the_surrogate(observations, actions, seed):
    agent = make_agent("trpo", observations, actions, seed=seed, max_kl=0.02, entropy_coefficient=0.0)
    for update in range(3):  # away from the first, nearly uniform policy
        rollout = collect(agent, observations, seed=10 * seed + update, ends=True)
        seen, chosen = rollout.observations[:-1][rollout.valid], rollout.actions[rollout.valid]
        old = policy_now(agent, seen)
        metrics = agent.update(rollout, progress=0.0)
        new = policy_now(agent, seen)
        moved = float(kl(old, new))
        assert moved == pytest.approx(metrics["policy/kl"], rel=1e-3, abs=1e-7)
        assert metrics["policy/step_accepted"] == 1 and 0.004 < moved <= 0.02 * (1 + 1e-4)
        ratios = (distribution(*new).log_prob(chosen) - distribution(*old).log_prob(chosen)).exp()
        assert metrics["policy/loss"] < 0 < ratios.min()
        assert 1 <= metrics["policy/line_search_steps"] <= 10


def test_images_and_half_precision_keep_the_bound_too():
    agent = make_agent("trpo", *KINDS["images-discrete"], precision="bfloat16", max_kl=0.01)
    rollout = collect(agent, KINDS["images-discrete"][0])
    seen = rollout.observations[:-1].flatten(0, 1)
    old = policy_now(agent, seen)
    agent.update(rollout, progress=0.0)
    assert 0.001 < float(kl(old, policy_now(agent, seen))) <= 0.01 * (1 + 1e-4)


def test_the_step_is_halved_until_it_keeps_the_bound():
    agent = make_agent("trpo", **FAR, line_search_steps=20, entropy_coefficient=0.0)
    with torch.no_grad():
        agent.network.policy[-1].weight.mul_(300)
    metrics = agent.update(collect(agent), progress=0.0)
    assert metrics["policy/line_search_steps"] > 1 and 0 < metrics["policy/kl"] <= 2


@pytest.mark.parametrize("why", ["no step is small enough", "nothing can be gained", "nothing is a number"])
def test_a_step_that_is_not_accepted_leaves_the_policy_where_it_was(why):
    agent = make_agent("trpo", **FAR, line_search_steps=1, entropy_coefficient=0.0)
    with torch.no_grad():
        agent.network.policy[-1].weight.mul_(300)
    rollout = collect(agent)
    if why != "no step is small enough":
        rewards = torch.full_like(rollout.rewards, 0.0 if why == "nothing can be gained" else torch.nan)
        rollout = dataclasses.replace(rollout, rewards=rewards, values=torch.zeros_like(rollout.values))
    before = flatten(agent.network.policy_parameters()).detach().clone()
    metrics = agent.update(rollout, progress=0.0)
    assert metrics["policy/step_accepted"] == 0 == metrics["policy/kl"]
    assert torch.equal(flatten(agent.network.policy_parameters()), before)
    assert np.isfinite(metrics["gradient/norm"]) == (why != "nothing is a number")


def test_an_entropy_bonus_is_part_of_the_objective():
    """With no rewards the bonus is all there is, and the policy becomes more random, within the bound."""
    agent = make_agent("trpo", entropy_coefficient=0.1)
    with torch.no_grad():
        agent.network.policy[-1].weight.mul_(100)
    rollout = collect(agent)
    nothing = dataclasses.replace(
        rollout, rewards=torch.zeros_like(rollout.rewards), values=torch.zeros_like(rollout.values)
    )
    before = float(distribution(*policy_now(agent, rollout.observations[:-1])).entropy().mean())
    metrics = agent.update(nothing, progress=0.0)
    assert metrics["policy/entropy"] > before + 1e-3 and metrics["policy/step_accepted"] == 1
    assert VECTORS.shape == (4,) and len(parameters(agent)) > 0
