"""Generalised advantages against closed forms and a double loop over the definition."""

import pytest
import torch

from repro.agents.rollout import Rollout, generalised_advantages

T, N = 12, 5


def make_rollout(values, rewards, terminated=None, done=None):
    rows = rewards.shape
    none = torch.zeros(rows, dtype=torch.bool)
    terminated = none if terminated is None else terminated
    return Rollout(
        observations=torch.zeros(rows[0] + 1, rows[1], 1),
        actions=torch.zeros(rows, dtype=torch.int64),
        log_probs=torch.zeros(rows),
        values=values,
        rewards=rewards,
        terminated=terminated,
        done=terminated if done is None else done,
        valid=torch.ones(rows, dtype=torch.bool),
    )


def random_rollout(seed, terminations=True, ends=True):
    generator = torch.Generator().manual_seed(seed)
    terminated = torch.rand(T, N, generator=generator) < (0.15 if terminations else 0.0)
    truncated = torch.rand(T, N, generator=generator) < (0.15 if ends else 0.0)
    values = torch.randn(T + 1, N, generator=generator)
    return make_rollout(values, torch.randn(T, N, generator=generator), terminated, terminated | truncated)


def advantages_by_definition(rollout, discount, gae_lambda):
    """Equation 16 as it is written: for each row the discounted sum over the deltas up to the end of the episode."""
    advantages = torch.zeros(T, N, dtype=torch.float64)
    for n in range(N):
        for t in range(T):
            for k in range(t, T):
                after = 0.0 if rollout.terminated[k, n] else float(rollout.values[k + 1, n])
                delta = float(rollout.rewards[k, n]) + discount * after - float(rollout.values[k, n])
                advantages[t, n] += (discount * gae_lambda) ** (k - t) * delta
                if rollout.done[k, n]:
                    break
    return advantages


@pytest.mark.parametrize(("discount", "gae_lambda"), [(0.9, 0.95), (0.99, 0.5), (1.0, 1.0), (0.9, 0.0), (0.0, 0.9)])
@pytest.mark.parametrize("seed", range(4))
def test_they_equal_their_definition(seed, discount, gae_lambda):
    rollout = random_rollout(seed)
    assert rollout.terminated.any() and (rollout.done & ~rollout.terminated).any()
    advantages = generalised_advantages(rollout, discount, gae_lambda)
    assert advantages.dtype == torch.float32 and advantages.shape == (T, N)
    torch.testing.assert_close(
        advantages.double(), advantages_by_definition(rollout, discount, gae_lambda), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(("discount", "gae_lambda"), [(0.9, 0.95), (0.99, 0.0)])
def test_closed_form_with_a_constant_critic_and_reward(discount, gae_lambda):
    rollout = make_rollout(torch.full((T + 1, N), 3.0), torch.full((T, N), 2.0))
    decay = discount * gae_lambda
    delta = 2.0 + discount * 3.0 - 3.0
    expected = torch.tensor([delta * (1 - decay ** (T - t)) / (1 - decay) for t in range(T)])
    torch.testing.assert_close(generalised_advantages(rollout, discount, gae_lambda), expected[:, None].expand(T, N))


def test_lambda_one_gives_discounted_returns_less_the_value():
    rollout = random_rollout(1, terminations=False, ends=False)
    advantages = generalised_advantages(rollout, 0.9, 1.0)
    following = rollout.values[-1]
    for t in reversed(range(T)):
        following = rollout.rewards[t] + 0.9 * following
        torch.testing.assert_close(advantages[t], following - rollout.values[t], atol=1e-5, rtol=1e-5)


def test_lambda_zero_gives_one_step_errors():
    rollout = random_rollout(2)
    bootstrap = torch.where(rollout.terminated, 0.0, rollout.values[1:])
    expected = rollout.rewards + 0.9 * bootstrap - rollout.values[:-1]
    torch.testing.assert_close(generalised_advantages(rollout, 0.9, 0.0), expected)


def test_the_exact_critic_of_a_reward_that_never_ends_leaves_no_advantage_at_a_truncation():
    done = torch.zeros(T, N, dtype=torch.bool)
    done[4] = True
    values, rewards = torch.full((T + 1, N), 10.0), torch.ones(T, N)  # 1 / (1 - 0.9)
    truncated = generalised_advantages(make_rollout(values, rewards, done=done), 0.9, 0.95)
    torch.testing.assert_close(truncated, torch.zeros(T, N), atol=1e-5, rtol=0)
    terminated = generalised_advantages(make_rollout(values, rewards, terminated=done), 0.9, 0.95)
    torch.testing.assert_close(terminated[4], torch.full((N,), 1.0 - 10.0))


def test_a_truncation_bootstraps_from_the_last_observation_of_its_episode():
    """Not from the observation before it, nor from the first one of the episode that follows."""
    done = torch.zeros(3, 1, dtype=torch.bool)
    done[0] = True
    values = torch.tensor([[1.0], [20.0], [300.0], [4000.0]])  # V(s), V(last), V(first of the next), ...
    advantages = generalised_advantages(make_rollout(values, torch.zeros(3, 1), done=done), 0.5, 0.9)
    assert float(advantages[0, 0]) == 0.5 * 20.0 - 1.0


@pytest.mark.parametrize("kind", ["terminated", "done"])
def test_nothing_after_the_end_of_an_episode_reaches_into_it(kind):
    first, second = random_rollout(3, False, False), random_rollout(4, False, False)
    end = torch.zeros(T, N, dtype=torch.bool)
    end[6] = True
    values = torch.cat([first.values[:8], second.values[8:]])
    rewards = torch.cat([first.rewards[:7], second.rewards[7:]])
    one = generalised_advantages(make_rollout(first.values, first.rewards, **{kind: end}), 0.9, 0.95)
    other = generalised_advantages(make_rollout(values, rewards, **{kind: end}), 0.9, 0.95)
    assert torch.equal(one[:7], other[:7]) and not torch.isclose(one[7:], other[7:]).any()
    values[7] += 5.0  # of the last observation: a terminated episode does not ask for it
    moved = generalised_advantages(make_rollout(values, rewards, **{kind: end}), 0.9, 0.95)
    assert torch.equal(one[:7], moved[:7]) == (kind == "terminated")
