"""The oracle, the choice of queries, and the label schedule."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from repro.config import PreferenceConfig
from repro.preferences.oracle import Oracle
from repro.preferences.queries import uniform_pairs
from repro.preferences.schedule import labels_due
from repro.preferences.segments import Segment


def segment_with(rewards):
    rewards = np.array(rewards, np.float32)
    return Segment(np.zeros((len(rewards), 2), np.float32), np.zeros(len(rewards)), rewards)


def test_the_oracle_prefers_the_larger_sum_and_is_symmetric():
    low, high = segment_with([3, -2, 0]), segment_with([0, 0, 1.001])
    assert Oracle().answer(low, high) == "right"
    assert Oracle().answer(high, low) == "left"
    assert Oracle().answer(low, low) == "tie"


def test_the_oracle_takes_rounding_for_a_tie_but_not_a_small_difference():
    # 0.1 + 0.2 - 0.3 is not 0 in float32.
    assert Oracle().answer(segment_with([0.1, 0.2, -0.3]), segment_with([0, 0, 0])) == "tie"
    assert Oracle().answer(segment_with([1e-5]), segment_with([0])) == "left"


def test_the_oracle_sums_long_segments_exactly():
    # In float32, adding 1 to 2**24 has no effect.
    assert Oracle().answer(segment_with([2**24, 1, 1, 1]), segment_with([2**24, 0, 0, 0])) == "left"


@pytest.mark.parametrize(
    ("segments", "number", "drawn"),
    [(10, 5, 5), (11, 5, 5), (80, 20, 20), (500, 1, 1), (7, 100, 3), (2, 2, 1), (1, 1, 0), (0, 1, 0), (9, 0, 0)],
)
def test_pairs_share_no_segment_and_are_fewer_where_segments_run_out(segments, number, drawn):
    pairs = uniform_pairs(segments, number, np.random.default_rng(0))
    used = [index for pair in pairs for index in pair]
    assert len(pairs) == drawn and len(set(used)) == 2 * drawn
    assert all(isinstance(index, int) and 0 <= index < segments for index in used)


def test_all_ordered_pairs_are_equally_likely():
    generator = np.random.default_rng(2)
    counts = Counter(pair for _ in range(6000) for pair in uniform_pairs(4, 2, generator))
    assert len(counts) == 12
    expected = 12000 / 12
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 31.3  # chi-squared, 11 df, p = .001


def test_pairs_are_reproducible_and_leave_other_draws_alone():
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    assert uniform_pairs(30, 40, first) == uniform_pairs(30, 40, second)
    assert first.bit_generator.state == second.bit_generator.state


def schedule(initial, total, decay):
    return PreferenceConfig(
        annotator="oracle",
        segment_steps=25,
        total_labels=total,
        initial_labels=initial,
        initial_action_repeat=0.8,
        label_decay_steps=decay,
        queries="uniform",
    )


@pytest.mark.parametrize("total_steps", [1, 2048, 99_999, 80_000_000])
@pytest.mark.parametrize(
    ("initial", "total", "decay"), [(175, 700, 2_000_000), (500, 5500, 5_000), (3, 3, 1), (1, 999, 1)]
)
def test_labels_due_start_and_end_exactly_and_never_fall(initial, total, decay, total_steps):
    config = schedule(initial, total, decay)
    steps = np.unique(np.linspace(0, total_steps, 500).astype(int)).tolist()
    due = [labels_due(config, step, total_steps) for step in steps]
    assert due[0] == initial and due[-1] == total
    assert all(later >= earlier for earlier, later in pairwise(due))
    assert labels_due(config, total_steps + 10_000, total_steps) == total  # the last rollout may overshoot


def test_the_rate_is_that_of_the_paper():
    """The labels of a step, against decay / (step + decay) (appendix A.1), up to rounding to whole labels."""
    decay, total_steps, total = 2_000_000, 10_000_000, 1_000_000
    config = schedule(250_000, total, decay)
    width = 100_000
    steps = range(0, total_steps, width)
    asked = [labels_due(config, step + width, total_steps) - labels_due(config, step, total_steps) for step in steps]
    rates = [decay / (step + width / 2 + decay) for step in steps]
    for count, rate in zip(asked, rates, strict=True):
        assert count / sum(asked) == pytest.approx(rate / sum(rates), rel=1e-3)
    assert all(later < earlier for earlier, later in pairwise(asked))


def test_with_a_long_decay_the_rate_is_uniform():
    config = schedule(100, 1100, 10**12)
    assert [labels_due(config, step, 1000) for step in (0, 250, 500, 750, 1000)] == pytest.approx(
        [100, 350, 600, 850, 1100], abs=1
    )
