"""The choice of queries, and the label schedule."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from reward_examples import PRESET, SPACES, make_model, make_segment, stacks

from repro.config import load_config
from repro.preferences.queries import informative_pairs, uniform_pairs
from repro.preferences.schedule import labelling_minutes, labels_due, person_labels


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


def returns_of(members, segments, seed=0):
    return np.random.default_rng(seed).normal(size=(members, segments)) * 3


def preferred(returns, pair):
    return 1 / (1 + np.exp(returns[:, pair[1]] - returns[:, pair[0]]))


SCORES = {
    "disagreement": lambda returns, pair: preferred(returns, pair).var(),
    "entropy": lambda returns, pair: -np.log(max(p := preferred(returns, pair).mean(), 1 - p)),  # in the same order
}
BOTH = pytest.mark.parametrize("strategy", ["disagreement", "entropy"])


@BOTH
def test_where_all_pairs_are_candidates_the_best_come_first_and_share_no_segment(strategy):
    returns = returns_of(3, 12)
    chosen = informative_pairs(returns, 4, 100, strategy, np.random.default_rng(0))
    free = set(range(12))
    for left, right in chosen:  # each is the best of those that are still free
        best = max((SCORES[strategy](returns, (i, j)), {i, j}) for i in free for j in free if i < j)
        assert {left, right} == best[1]
        free -= {left, right}
    assert len(chosen) == 4


@BOTH
def test_ten_candidates_a_query_are_better_than_chance_and_not_the_best_of_all(strategy):
    returns, score = returns_of(5, 400), SCORES[strategy]
    chosen, random, best = (
        [score(returns, pair) for pair in pairs]
        for pairs in (
            informative_pairs(returns, 20, 10, strategy, np.random.default_rng(1)),
            uniform_pairs(400, 20, np.random.default_rng(1)),
            informative_pairs(returns, 20, 4000, strategy, np.random.default_rng(1)),
        )
    )
    assert np.mean(random) < min(chosen) and max(chosen) < np.mean(best) < 0.7


@BOTH
@pytest.mark.parametrize(("segments", "number", "drawn"), [(10, 5, 5), (11, 9, 5), (300, 7, 7), (1, 1, 0), (2, 3, 1)])
def test_informative_pairs_have_two_segments_each_and_are_fewer_where_segments_run_out(
    strategy, segments, number, drawn
):
    for seed in range(20):
        pairs = informative_pairs(returns_of(2, segments, seed), number, 10, strategy, np.random.default_rng(seed))
        assert len(pairs) == drawn and len({index for pair in pairs for index in pair}) == 2 * drawn


def test_disagreement_and_entropy_differ_where_members_agree_on_a_tie():
    agreed_tie, disputed = [0.0, 0.0], [3.0, -3.0]
    returns = np.array([[*agreed_tie[:1], 0.0, disputed[0], 0.0], [*agreed_tie[1:], 0.0, disputed[1], 0.0]])
    (first,) = informative_pairs(returns, 1, 100, "disagreement", np.random.default_rng(0))
    assert 2 in first
    sure = np.array([[0.0, 0.1, 50.0, -50.0]] * 2)
    (first,) = informative_pairs(sure, 1, 100, "entropy", np.random.default_rng(0))
    assert set(first) == {0, 1}


def test_with_members_that_all_agree_pairs_are_uniform_and_no_side_is_preferred():
    generator, same = np.random.default_rng(3), np.zeros((3, 4))
    counts = Counter(pair for _ in range(3000) for pair in informative_pairs(same, 1, 10, "disagreement", generator))
    assert len(counts) == 12
    assert sum((count - 250) ** 2 / 250 for count in counts.values()) < 31.3  # chi-squared, 11 df, p = .001
    large = np.zeros((3, 40))
    lefts = sum(
        left < right for _ in range(2000) for left, right in informative_pairs(large, 1, 10, "entropy", generator)
    )
    assert abs(lefts - 1000) < 4 * 500**0.5


def test_huge_returns_neither_overflow_nor_warn():
    returns = np.array([[1e6, -1e6, 0.0, 1e300], [-1e6, 1e6, 0.0, -1e300]])
    with np.errstate(all="raise", under="ignore"):
        for strategy in ("disagreement", "entropy"):
            assert len(informative_pairs(returns, 2, 10, strategy, np.random.default_rng(0))) == 2


@SPACES
def test_predicted_returns_are_the_sums_of_what_the_agent_would_be_given(space):
    model = make_model(space)
    segments = [make_segment(space, seed) for seed in range(4)]
    returns = model.returns(segments)
    for index, segment in enumerate(segments):
        np.testing.assert_allclose(returns[:, index], model.raw(stacks(space, segment)).sum(1), rtol=1e-5)
    assert returns.shape == (3, 4)


def schedule(initial, total, decay):
    settings = {"initial_labels": initial, "total_labels": total, "label_decay_steps": decay}
    return load_config(PRESET).preferences.model_copy(update=settings)


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


@pytest.mark.parametrize("decay", [10**12, None])
def test_with_a_long_decay_or_none_the_rate_is_uniform(decay):
    config = schedule(100, 1100, decay)
    assert [labels_due(config, step, 1000) for step in (0, 250, 500, 750, 1000)] == pytest.approx(
        [100, 350, 600, 850, 1100], abs=1
    )


def test_a_run_waits_for_a_person_where_it_does_not_go_on_without():
    person = ["preferences.annotator=person", "preferences.initial_labels=175", "preferences.total_labels=700"]
    waits = load_config(PRESET, [*person, "preferences.when_unlabelled=wait"])
    goes_on = load_config(PRESET, [*person, "preferences.when_unlabelled=continue"])
    assert person_labels(load_config(PRESET)) == 0
    assert (person_labels(waits), person_labels(goes_on)) == (700, 175)
    assert (person_labels(waits, given=True), person_labels(goes_on, given=True)) == (525, 0)
    assert person_labels(waits, fixed=True) == 0
    assert labelling_minutes(900) == 60.0  # the backflip's 900 took less than an hour (3.2)
