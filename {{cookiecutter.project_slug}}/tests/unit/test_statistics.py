"""Intervals against scipy.stats, published values and values worked out by hand; alignment of curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from repro.results.proportions import wilson_interval
from repro.results.statistics import align_curves, curve_interval, t_interval


def test_t_interval_by_hand() -> None:
    mean, low, high = t_interval([1.0, 2.0, 3.0])  # s = 1, t(2 degrees, 97.5%) = 4.3027
    assert mean == 2
    assert low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-6)


@pytest.mark.parametrize("n", [2, 3, 10, 40])
def test_t_interval_equals_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(3, 2, n)
    expected = scipy.stats.t.interval(0.95, n - 1, loc=values.mean(), scale=scipy.stats.sem(values))
    assert t_interval(values)[1:] == pytest.approx(expected, rel=1e-12)


def test_t_interval_covers_as_often_as_it_says() -> None:
    samples = np.random.default_rng(0).normal(size=(3, 40_000))  # three seeds, 40,000 experiments
    _, low, high = curve_interval(samples)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.95, abs=0.005)


def test_one_value_has_no_interval() -> None:
    mean, low, high = t_interval([0.7])
    assert mean == 0.7
    assert math.isnan(low)
    assert math.isnan(high)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert t_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf, 1.0]])
def test_t_interval_refuses_what_has_no_mean(values: list[float]) -> None:
    with pytest.raises(ValueError, match="interval needs"):
        t_interval(values)


def test_wilson_interval_by_hand() -> None:
    # 9 of 10: centre (.9 + z2/20) / (1 + z2/10), with z2 = 3.8415
    assert wilson_interval(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)


# Newcombe 1998 (Statistics in Medicine 17, 857-872), method 3: without continuity correction.
@pytest.mark.parametrize(
    ("successes", "n", "published"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0000, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_the_published_wilson_intervals(successes: int, n: int, published: tuple[float, float]) -> None:
    assert tuple(round(bound, 4) for bound in wilson_interval(successes, n)) == published


@pytest.mark.parametrize("n", [1, 3, 10, 57])
def test_wilson_interval_equals_scipy(n: int) -> None:
    for successes in range(n + 1):
        expected = scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
        assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_interval_ends_exactly() -> None:
    for n in range(1, 60):
        assert wilson_interval(0, n)[0] == 0
        assert wilson_interval(n, n)[1] == 1


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_interval_refuses_what_is_no_proportion(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson_interval(successes, n)


def test_align_curves_keeps_straight_lines_within_the_common_range() -> None:
    first = np.array([0.0, 10.0, 20.0, 100.0])
    second = np.array([5.0, 50.0, 90.0])
    grid, matrix = align_curves([(first, 2 * first + 1), (second, -second)], num=18)
    assert grid[0] == 5
    assert grid[-1] == 90  # where one curve has ended, the mean would be of fewer seeds
    assert matrix.shape == (2, 18)
    np.testing.assert_allclose(matrix, [2 * grid + 1, -grid])


@pytest.mark.parametrize("steps", [([0, 1], [2, 3]), ([5], [5])])
def test_curves_without_a_common_range_are_refused(steps: tuple[list[int], list[int]]) -> None:
    with pytest.raises(ValueError, match="share no range"):
        align_curves([(np.array(each, float), np.ones(len(each))) for each in steps])


def test_curve_interval_is_the_t_interval_of_each_point() -> None:
    matrix = np.random.default_rng(1).normal(size=(4, 6))
    mean, low, high = curve_interval(matrix)
    for point in range(6):
        assert (mean[point], low[point], high[point]) == pytest.approx(t_interval(matrix[:, point]))


def test_curve_interval_of_one_seed_has_no_bounds() -> None:
    mean, low, high = curve_interval([[1.0, 2.0]])
    np.testing.assert_array_equal(mean, [1, 2])
    assert np.isnan([low, high]).all()
