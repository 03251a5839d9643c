"""Stable-Baselines3's PPO in the place of ours: their code learns, on what ours collects."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from project import Project, here

pytest.importorskip("stable_baselines3", reason="needs the extra `baseline`: pip install '.[baseline]'")

from repro.agents import make_agent
from repro.agents.rollout import Rollout, generalised_advantages, normalise
from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.config import load_config
from repro.normalisation import NormalisedBox
from repro.reading import UserError

torch.set_num_threads(1)
PRESET = Path(__file__).parents[2] / "presets" / "moving-dot.yaml"
VECTORS, IMAGES = Box(-1, 1, (4,), np.float32), Box(0, 255, (2, 36, 36), np.uint8)
DISCRETE, CONTINUOUS = Discrete(3), Box(-1, 1, (2,), np.float32)
KINDS = pytest.mark.parametrize(
    ("observations", "actions"),
    [(VECTORS, DISCRETE), (VECTORS, CONTINUOUS), (IMAGES, DISCRETE), (NormalisedBox(VECTORS), CONTINUOUS)],
    ids=["vectors-discrete", "vectors-continuous", "images-discrete", "normalised-continuous"],
)
T, N = 16, 4


def make(observations=VECTORS, actions=DISCRETE, seed=0, precision="float32", algorithm="sb3-ppo", **settings):
    settings = {"algorithm": algorithm, "epochs": 2, "minibatches": 2} | settings
    config = load_config(PRESET, [f"agent.{name}={str(value).lower()}" for name, value in settings.items()]).agent
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    return make_agent(observations, actions, config, torch.device("cpu"), generator, precision)


def collect(agent, observations=VECTORS, seed=0):
    """A rollout of the agent on random observations, with random rewards and ends of both kinds."""
    observations.seed(seed)
    generator = torch.Generator().manual_seed(seed)
    seen = np.stack([[observations.sample() for _ in range(N)] for _ in range(T + 1)])
    actions, log_probs, values = (torch.stack(part) for part in zip(*map(agent.act, seen[:-1]), strict=True))
    done, valid = torch.rand(T, N, generator=generator) < 0.25, torch.ones(T, N, dtype=torch.bool)
    for step in range(1, T):
        valid[step] = ~done[step - 1]
        done[step] &= valid[step]
    return Rollout(
        observations=torch.from_numpy(seen),
        actions=actions,
        log_probs=log_probs,
        values=torch.cat([values, agent.value(seen[-1])[None]]),
        rewards=torch.randn(T, N, generator=generator),
        terminated=done & (torch.rand(T, N, generator=generator) < 0.5),
        done=done,
        valid=valid,
    )


def parameters(agent):
    return torch.cat([parameter.detach().flatten() for parameter in agent.network.parameters()])


def test_their_advantages_equal_ours_and_rows_that_only_reset_are_left_out():
    agent = make()
    rollout = collect(agent)
    buffer = agent._buffer(rollout)
    valid = rollout.valid.T.flatten()
    assert (~valid).sum() > 5 and rollout.terminated.any() and (rollout.done & ~rollout.terminated).any()

    def by_environment(values):
        return values.transpose(0, 1).flatten(0, 1)[valid].numpy()

    expected = generalised_advantages(rollout, agent.config.discount, agent.config.gae_lambda)
    np.testing.assert_allclose(buffer.advantages[:, 0], by_environment(expected), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(buffer.observations, by_environment(rollout.observations[:-1]))
    np.testing.assert_array_equal(buffer.actions[:, 0], by_environment(rollout.actions))
    np.testing.assert_array_equal(buffer.log_probs[:, 0], by_environment(rollout.log_probs))


@KINDS
def test_its_own_optimiser_moves_all_its_parameters(observations, actions):
    agent = make(observations, actions)
    before = {name: value.clone() for name, value in agent.network.named_parameters()}
    for progress in (0.0, 0.5):
        metrics = agent.update(collect(agent, observations), progress)
    steps = {int(state["step"]) for state in agent.state_dict()["optimizer"]["state"].values()}
    assert steps == {2 * 2 * 2}  # updates, epochs, minibatches
    assert all(not torch.equal(value, before[name]) for name, value in agent.network.named_parameters())
    assert metrics["learning_rate"] == pytest.approx(5e-4 / 2) and metrics["policy/entropy"] > 0.5
    assert all(np.isfinite(value) for value in metrics.values())


def test_the_reported_losses_are_those_of_ours():
    """Of one full batch before anything has moved, by the same networks' outputs."""
    agent = make(epochs=1, minibatches=1)
    rollout = collect(agent)
    metrics = agent.update(rollout, 0.0)
    returns = generalised_advantages(rollout, agent.config.discount, agent.config.gae_lambda) + rollout.values[:-1]
    error = (returns - rollout.values[:-1])[rollout.valid]
    assert metrics["value/loss"] == pytest.approx(float(error.square().mean()) / 2, rel=1e-4)
    assert abs(metrics["policy/loss"]) < 1e-5 and abs(metrics["policy/approx_kl"]) < 1e-6


def test_the_same_parameters_mean_the_same_objective():
    """The gradient of the first full batch is that of ours, of the same networks and advantages."""
    agent = make(epochs=1, minibatches=1, max_gradient_norm=1e9, value_coefficient=0.7, entropy_coefficient=0.05)
    rollout, policy = collect(agent), agent.model.policy
    advantages = generalised_advantages(rollout, agent.config.discount, agent.config.gae_lambda)
    rows = rollout.rows(agent.device, advantages, advantages + rollout.values[:-1])
    observations, actions, old_log_probs, row_advantages, returns = rows
    values, log_probs, entropies = policy.evaluate_actions(observations, actions)
    policy_loss = -(normalise(row_advantages) * (log_probs - old_log_probs).exp()).mean()
    value_loss = 0.5 * (values.flatten() - returns).square().mean()
    expected = torch.autograd.grad(policy_loss + 0.7 * value_loss - 0.05 * entropies.mean(), list(policy.parameters()))
    agent.update(rollout, 0.0)
    for parameter, gradient in zip(policy.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


@KINDS
def test_it_continues_exactly_from_a_saved_state(observations, actions, tmp_path):
    agent = make(observations, actions)
    agent.update(collect(agent, observations), 0.0)
    save_checkpoint(tmp_path / "agent.pt", agent.state_dict())
    resumed = make(observations, actions, seed=9)
    resumed.load_state_dict(load_checkpoint(tmp_path / "agent.pt"))
    rollouts = []
    for one in (agent, resumed):
        torch.rand(3)  # of the global generators, which must not matter
        np.random.rand(3)
        rollouts.append(collect(one, observations, seed=2))
    assert torch.equal(rollouts[0].actions, rollouts[1].actions)
    metrics = [one.update(rollout, 0.5) for one, rollout in zip((agent, resumed), rollouts, strict=True)]
    assert metrics[0] == metrics[1] and torch.equal(parameters(agent), parameters(resumed))


def test_where_it_has_diverged_it_says_which_rate_to_lower(monkeypatch):
    agent = make()
    rollout = collect(agent)
    with torch.no_grad():
        next(agent.network.parameters()).fill_(math.nan)
    for what in (lambda: agent.act(np.zeros((N, 4), np.float32)), lambda: agent.update(rollout, 0.0)):
        with pytest.raises(UserError, match=r"training has diverged: .* \(agent\.learning_rate is "):
            what()
    agent = make()
    with pytest.raises(UserError, match="an observation is nan: look at the environment"):
        agent.act(np.full((N, 4), math.nan, np.float32))
    monkeypatch.setattr(agent.model, "train", lambda: int("x"))  # any other fault is told as it is
    with pytest.raises(ValueError, match="invalid literal"):
        agent.update(rollout, 0.0)


def test_the_global_generators_are_left_as_they_were():
    agent = make()
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    agent.update(collect(agent), 0.0)
    assert (np.random.get_state()[1] == numpy_state).all() and torch.equal(torch.get_rng_state(), torch_state)


def test_rows_that_only_reset_have_no_influence():
    one, other = make(), make()
    rollout = collect(one)
    collect(other)
    masked = ~rollout.valid
    changed = dataclasses.replace(
        rollout,
        actions=torch.where(masked, 2 - rollout.actions, rollout.actions),
        log_probs=torch.where(masked, -50.0, rollout.log_probs),
        rewards=torch.where(masked, 1e6, rollout.rewards),
    )
    assert one.update(rollout, 0.0) == other.update(changed, 0.0)
    assert torch.equal(parameters(one), parameters(other))


def test_what_it_cannot_do_is_refused(monkeypatch):
    with pytest.raises(UserError, match="sb3-ppo computes in float32, not in bfloat16; set it to float32"):
        make(precision="bfloat16")
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(
        UserError, match=r"stable-baselines3, which is not installed; type: pip install '\.\[baseline\]'"
    ):
        make()


def test_it_runs_in_the_preference_loop(project: Project, monkeypatch, capsys):
    run = project.queue(100, "agent.algorithm=sb3-ppo", "training.total_steps=1536")
    project.does("resume", run.id)
    record = project.only_run().record
    assert record["status"] == "finished" and record["result_metrics"]["reward_model/accuracy_val"] > 0.2
    code, out, _ = here(project, monkeypatch, capsys, "evaluate", run.id)
    assert code == 0 and "<- judged" in out
