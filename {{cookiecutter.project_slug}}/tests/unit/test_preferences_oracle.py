"""The oracle: exact, and with each kind of error at the rate that was asked for."""

import math

import numpy as np
import pytest
from reward_examples import PRESET

from repro.config import load_config
from repro.preferences.oracle import Oracle
from repro.preferences.segments import Segment
from repro.reading import UserError

DRAWS = 4000


def make_oracle(seed=0, **settings):
    exact = load_config(PRESET).preferences.oracle
    return Oracle(exact.model_copy(update=settings), seed)


def segment_with(rewards):
    rewards = np.array(rewards, np.float32)
    return Segment(np.zeros((len(rewards), 2), np.float32), np.zeros(len(rewards)), rewards)


LOW, HIGH = segment_with([3, -2, 0]), segment_with([0, 0, 2])  # 1 and 2


def answers(oracle, left=HIGH, right=LOW, draws=DRAWS):
    return [oracle.answer(number, left, right) for number in range(draws)]


def assert_rate(count, probability, draws=DRAWS):
    """Within four standard deviations of a binomial: a right rate is refused once in 16,000."""
    assert abs(count - draws * probability) <= 4 * math.sqrt(draws * probability * (1 - probability))


def test_the_oracle_of_the_presets_prefers_the_larger_sum_and_is_symmetric():
    oracle = make_oracle()
    assert set(answers(oracle, LOW, HIGH)) == {"right"}
    assert set(answers(oracle, HIGH, LOW)) == {"left"}
    assert set(answers(oracle, LOW, LOW)) == {"tie"}


def test_the_oracle_takes_rounding_for_a_tie_but_not_a_small_difference():
    # 0.1 + 0.2 - 0.3 is not 0 in float32.
    assert make_oracle().answer(0, segment_with([0.1, 0.2, -0.3]), segment_with([0, 0, 0])) == "tie"
    assert make_oracle().answer(0, segment_with([1e-5]), segment_with([0])) == "left"


def test_the_oracle_sums_long_segments_exactly():
    # In float32, adding 1 to 2**24 has no effect.
    assert make_oracle().answer(0, segment_with([2**24, 1, 1, 1]), segment_with([2**24, 0, 0, 0])) == "left"


def test_a_shorter_segment_is_compared_by_its_sum():
    assert make_oracle().answer(0, segment_with([1] * 9), segment_with([1] * 20)) == "right"
    assert make_oracle().answer(0, segment_with([-1] * 9), segment_with([-1] * 20)) == "left"


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 3.0])
def test_a_rationality_gives_the_rate_of_bradley_and_terry(beta):
    given = answers(make_oracle(rationality=beta))
    assert set(given) <= {"left", "right"}
    assert_rate(given.count("left"), 1 / (1 + math.exp(-beta)))  # returns of 2 and 1


def test_a_rationality_with_huge_returns_does_not_overflow():
    great = segment_with([1e30])
    assert set(answers(make_oracle(rationality=1e6), LOW, great, 100)) == {"right"}


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_mistakes_turn_preferences_round_at_their_rate_but_no_ties(rate):
    oracle = make_oracle(mistake=rate)
    assert_rate(answers(oracle).count("right"), rate)
    assert_rate(answers(oracle, LOW, HIGH).count("left"), rate)
    assert set(answers(oracle, LOW, LOW)) == {"tie"}


def test_questions_are_skipped_at_their_rate():
    given = answers(make_oracle(skip_probability=0.25))
    assert_rate(given.count("incomparable"), 0.25)
    assert_rate(given.count("left"), 0.75)


def test_what_returns_too_little_is_skipped_unless_one_returns_enough():
    assert set(answers(make_oracle(skip_threshold=2.5))) == {"incomparable"}
    assert set(answers(make_oracle(skip_threshold=2.0))) == {"left"}  # one returns 2


def test_returns_that_differ_by_less_are_a_tie():
    assert set(answers(make_oracle(equal_threshold=1.5, mistake=1.0, rationality=1.0))) == {"tie"}
    assert set(answers(make_oracle(equal_threshold=1.0))) == {"left"}


def test_a_myopic_oracle_forgets_the_first_steps():
    early, late = segment_with([5, 0, 0]), segment_with([0, 0, 2])
    assert make_oracle(discount=0.5).answer(0, early, late) == "right"  # 5 / 4 and 2
    assert make_oracle(discount=0.9).answer(0, early, late) == "left"  # 4.05 and 2
    # The thresholds are of all that a segment returned.
    assert make_oracle(discount=0.5, skip_threshold=5.0).answer(0, early, late) == "right"


def test_errors_compose_each_at_its_own_rate():
    given = answers(make_oracle(skip_probability=0.2, rationality=1.0, mistake=0.1))
    assert_rate(given.count("incomparable"), 0.2)
    right = 1 / (1 + math.exp(-1))
    assert_rate(given.count("left"), 0.8 * (0.9 * right + 0.1 * (1 - right)))


def test_answers_depend_on_seed_and_number_and_not_on_what_was_answered_before():
    settings = {"rationality": 1.0, "mistake": 0.2, "skip_probability": 0.2}
    forwards = answers(make_oracle(**settings), draws=200)
    oracle = make_oracle(**settings)
    backwards = [oracle.answer(number, HIGH, LOW) for number in reversed(range(200))]
    assert forwards == backwards[::-1]
    assert forwards != answers(make_oracle(seed=1, **settings), draws=200)


@pytest.mark.parametrize(
    ("setting", "value"), [("discount", "0"), ("mistake", "1.1"), ("rationality", "-1"), ("mystery", "1")]
)
def test_settings_that_make_no_sense_are_refused_by_name(setting, value):
    with pytest.raises(UserError, match=rf"preferences\.oracle\.{setting}"):
        load_config(PRESET, [f"preferences.oracle.{setting}={value}"])


@pytest.mark.parametrize("written", ["preferences.oracle.mistakes", "oracle.mistake", "preferences.mistake", "mistake"])
def test_a_setting_that_is_misspelled_is_named(written):
    with pytest.raises(UserError, match=r"no parameter .* did you mean 'preferences\.oracle\.mistake'"):
        load_config(PRESET, [f"{written}=0.1"])
