"""Interquartile mean, probability of improvement, bootstrap, power: against scipy; numbers of seeds: published."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from repro.results.aggregates import bootstrap_interval, interquartile_mean, probability_of_improvement
from repro.results.power import power, required_seeds
from repro.results.statistics import SEEDS_FOR_INTERVAL, paired_interval


def samples(seed: int, *sizes: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.normal(number, 1 + number, size) for number, size in enumerate(sizes)]


def test_the_interquartile_mean_by_hand() -> None:
    # Of twelve scores -50, 0, 1 and 8, 11, 100 are left out, whichever task they are of.
    tasks = [np.array([11.0, 0, 3, 4, 100]), np.array([1.0, 2, 5, 6, 7, 8, -50])]
    assert interquartile_mean(tasks) == (2 + 3 + 4 + 5 + 6 + 7) / 6


@pytest.mark.parametrize("sizes", [(1,), (3,), (5, 5), (10, 10, 10), (7, 3)])
def test_the_interquartile_mean_is_scipys_trimmed_mean(sizes: tuple[int, ...]) -> None:
    tasks = samples(1, *sizes)
    assert interquartile_mean(tasks) == pytest.approx(scipy.stats.trim_mean(np.concatenate(tasks), 0.25), rel=1e-12)


def test_the_probability_of_improvement_is_the_share_of_pairs_averaged_over_tasks() -> None:
    ours, theirs = samples(2, 6, 9), samples(3, 4, 5)
    ours[0][:2] = theirs[0][:2]  # ties
    expected = [
        scipy.stats.mannwhitneyu(one, other).statistic / (len(one) * len(other))
        for one, other in zip(ours, theirs, strict=True)
    ]
    assert probability_of_improvement(ours, theirs) == pytest.approx(np.mean(expected))
    assert probability_of_improvement(ours, theirs) + probability_of_improvement(theirs, ours) == pytest.approx(1)


def test_the_bootstrap_is_seeded_and_that_of_scipy() -> None:
    (values,) = samples(4, 30)
    mean = lambda tasks: tasks[0].mean(axis=-1)  # noqa: E731
    found = bootstrap_interval(mean, [values])
    assert found == bootstrap_interval(mean, [values]) != bootstrap_interval(mean, [values], seed=1)
    expected = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", random_state=np.random.default_rng(0)
    ).confidence_interval
    assert found == pytest.approx(tuple(expected), abs=0.04)  # in units of a deviation of 1


def test_the_bootstrap_draws_within_each_task() -> None:
    """Tasks that differ by 100 and seeds that do not differ: drawn from all scores together it would be wide."""
    tasks = [np.full(5, 0.0), np.full(5, 100.0)]
    assert bootstrap_interval(lambda drawn: np.concatenate(drawn, axis=-1).mean(axis=-1), tasks) == (50, 50)


def test_the_bootstrap_of_two_methods_draws_both() -> None:
    low, high = bootstrap_interval(probability_of_improvement, samples(5, 10), samples(6, 10))
    assert 0 <= low < probability_of_improvement(samples(5, 10), samples(6, 10)) < high <= 1


def test_paired_differences_equal_scipys_test() -> None:
    first, second = np.random.default_rng(7).normal(size=(2, 9))
    expected = scipy.stats.ttest_rel(first, second)
    interval = expected.confidence_interval(0.95)
    assert paired_interval(first, second) == pytest.approx((np.mean(first - second), interval.low, interval.high))
    with pytest.raises(ValueError, match="as many values on both sides, found 9 and 8"):
        paired_interval(first, second[:8])


# Of a two-sided test at 5% on one sample (or pairs), with 80% power: as G*Power 3 has them.
@pytest.mark.parametrize(("size", "seeds"), [(1.5, 6), (1.0, 10), (0.8, 15), (0.5, 34), (0.2, 199)])
def test_the_published_numbers_of_seeds(size: float, seeds: int) -> None:
    assert required_seeds(size, 1.0) == required_seeds(3 * size, 3.0) == seeds


def test_power_equals_scipys_and_what_is_drawn() -> None:
    critical = scipy.stats.t.ppf(0.975, 9)
    assert power(0.7, 1.0, 10) == pytest.approx(scipy.stats.nct.sf(critical, 9, 0.7 * 10**0.5))
    drawn = np.random.default_rng(0).normal(0.7, 1.0, (10, 40_000))
    low = drawn.mean(axis=0) - critical * drawn.std(axis=0, ddof=1) / 10**0.5
    assert power(0.7, 1.0, 10) == pytest.approx((low >= 0).mean(), abs=0.01)


def test_what_no_number_of_seeds_shows() -> None:
    assert required_seeds(0.0, 1.0) is None and required_seeds(-1.0, 0.0) is None and required_seeds(0.001, 1.0) is None
    assert required_seeds(0.1, 0.0) == required_seeds(100.0, 1.0) == SEEDS_FOR_INTERVAL
    equal = np.full(3, 0.7).std(ddof=1)  # but for rounding
    assert equal > 0 and required_seeds(0.1, equal) == SEEDS_FOR_INTERVAL
