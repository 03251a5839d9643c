"""Pearson's correlation: of arrays and tensors of any shape, and undefined where there is nothing to correlate."""

import numpy as np
import pytest
import torch

from repro.correlation import correlation


def test_it_is_pearsons():
    first, second = np.random.default_rng(0).normal(size=(2, 3, 7)).astype(np.float32)
    expected = np.corrcoef(first.ravel().astype(float), second.ravel().astype(float))[0, 1]
    assert correlation(first, second) == pytest.approx(expected, rel=1e-12)
    assert correlation(torch.from_numpy(first), torch.from_numpy(second)) == correlation(first, second)
    assert correlation(first, 3 * first - 7) == pytest.approx(1) and correlation(first, -first) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1.0, 2.0, 4.0], [0.1] * 3),
        (np.full(1000, 0.1, np.float32), np.arange(1000.0)),  # whose standard deviation is not 0 by rounding
        ([1.0, 2.0], [3.0, 5.0]),
        ([], []),
    ],
)
def test_where_it_is_undefined(first, second):
    assert np.isnan(correlation(first, second))
