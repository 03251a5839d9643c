"""Each live health check names the illness it is made for, and is silent on a healthy run."""

from __future__ import annotations

import math

import pytest

from repro.health import checks


def healthy_run(rows: int = 30) -> list[dict[str, float]]:
    """What a run that learns looks like: entropy and KL fall slowly, as with an annealed learning rate."""
    return [
        {
            "env_step": 1024 * (i + 1),
            "policy/loss": -0.01,
            "policy/entropy": 1.6 * (1 - 0.8 * i / rows),
            "policy/approx_kl": 0.008 * (1 - i / rows) + 0.001 * (i % 3),
            "value/loss": 0.5,
            "value/explained_variance": math.nan,  # where the returns do not vary; no illness
            "gradient/norm": 0.4,
            "reward_model/raw_std": 0.3,
        }
        for i in range(rows)
    ]


def found(rows) -> list[str]:
    return [finding.check for finding in checks.find_problems(rows, max_entropy=math.log(5))]


def test_a_healthy_run_is_silent_all_along():
    rows = healthy_run()
    assert all(found(rows[:length]) == [] for length in range(len(rows) + 1))


@pytest.mark.parametrize(
    "name, value, check",
    [
        ("policy/loss", math.nan, "non_finite"),
        ("gradient/norm", math.inf, "non_finite"),
        ("reward_model/loss_train", -math.inf, "non_finite"),
        ("policy/entropy", 0.01, "entropy_collapse"),
        ("policy/entropy", 0.0, "entropy_collapse"),
        ("policy/approx_kl", 0.11, "kl_spike"),
        ("reward_model/raw_std", 0.0005, "flat_reward"),
        ("reward_model/raw_std", 0.0, "flat_reward"),
    ],
)
def test_an_illness_is_named(name, value, check):
    rows = healthy_run()
    rows[-1][name] = value
    assert found(rows) == [check]
    line = str(checks.find_problems(rows, math.log(5))[0])
    assert name in line and "30,720" in line and "Try:" in line


def with_last_kl(values: list[float], rows=None) -> list[dict[str, float]]:
    rows = rows or healthy_run()
    for row, value in zip(rows[-len(values) :], values, strict=True):
        row["policy/approx_kl"] = value
    return rows


@pytest.mark.parametrize(
    "values",
    [
        [0.059],  # 12 x the median: the largest single one in runs that solved their task
        [0.0419, 0.004, 0.03, 0.028, 0.002],  # of CartPole, PPO, seed 100
        [0.0105],
        [0.0377, 0.03, 0.0287],  # of CartPole, PPO, seed 109
    ],
)
def test_single_and_small_updates_are_no_spike(values):
    assert found(with_last_kl(values)) == []


@pytest.mark.parametrize("values", [[0.06, 0.07, 0.06], [0.06, 0.001, 0.06], [0.042, 0.042, 0.042]])
def test_several_large_updates_are_a_spike(values):
    rows = with_last_kl(values)
    assert found(rows[:-2]) == [] and found(rows) == ["kl_spike"]


def test_a_spike_is_seen_against_recent_finite_values():
    rows = healthy_run(checks.RECENT_ROWS + 100)
    for row in rows[:100]:
        row["policy/approx_kl"] = 1.0  # long ago; then too large and non-finite ones that do not count
    for row in rows[120:300:2]:
        row["policy/approx_kl"] = math.nan
    assert found(rows) == []
    rows = with_last_kl([0.045] * 3, rows)
    assert found(rows) == ["kl_spike"] == found(rows[-checks.RECENT_ROWS :])
    assert "is 0.045 of late (at most 5 times the usual 0.00" in str(checks.find_problems(rows)[0])


def test_few_rows_give_no_median_and_an_unbounded_entropy_no_collapse():
    rows = with_last_kl([0.045] * 3, healthy_run()[:12])
    rows[-1]["policy/entropy"] = -3.0  # of a Gaussian
    assert checks.find_problems(rows, max_entropy=None) == []


def test_rows_without_the_metric_are_silent():
    assert found([{"env_step": 1}, {"env_step": 2}]) == []
