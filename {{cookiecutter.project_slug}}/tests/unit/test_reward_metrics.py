"""Diagnostics of the reward model, against numbers by hand; regression on true returns, which nothing else sees."""

import math

import numpy as np
import pytest
import torch
from reward_examples import VECTORS, make_model, make_segment, stacks

from repro.preferences.reward_losses import calibration_error, cross_entropy, lowest_cross_entropy
from repro.preferences.reward_metrics import Validation
from repro.preferences.segments import Segment

WEIGHTS = np.array([1.0, -2.0, 0.5, 0.0], np.float32)


def rewarded_segment(seed, steps=5, scale=1.0):
    """A segment whose true reward is linear in what is observed."""
    observations = np.random.default_rng(seed).normal(size=(steps, 4)).astype(np.float32)
    return Segment(observations, np.zeros(steps, int), scale * observations @ WEIGHTS)


def add_rewarded(model, count, scale=1.0, returns=True):
    for number in range(count):
        left, right = (rewarded_segment(2 * number + side, 4 + number % 3, scale) for side in (0, 1))
        preference = float(left.true_return > right.true_return)
        if not returns:
            left, right = (Segment(one.observations, one.actions, 0 * one.true_rewards) for one in (left, right))
        model.comparisons.add(number, left, right, preference)


# By hand -----------------------------------------------------------------------------------------------------


def test_calibration_by_hand():
    """Sides that are thought better with 0.9, 0.9, 0.9 and 0.6: of the first three two are right, the last is a tie."""
    logits = torch.tensor([math.log(9), -math.log(9), math.log(9), -math.log(1.5)])
    answers = torch.tensor([1.0, 0.0, 0.0, 0.5])
    expected = (3 * abs(0.9 - 2 / 3) + 1 * abs(0.6 - 0.5)) / 4
    assert calibration_error(logits, answers, 0.0) == pytest.approx(expected, rel=1e-5)
    with_noise = (3 * abs(0.8 * 0.9 + 0.1 - 2 / 3) + 1 * abs(0.8 * 0.6 + 0.1 - 0.5)) / 4
    assert calibration_error(logits, answers, 0.2) == pytest.approx(with_noise, rel=1e-5)


def test_a_side_changes_nothing_of_the_calibration_and_certainty_has_a_bin():
    logits, answers = torch.tensor([2.0, -0.5, 60.0, 0.3]), torch.tensor([1.0, 1.0, 0.0, 0.5])
    assert calibration_error(logits, answers, 0.1) == pytest.approx(calibration_error(-logits, 1 - answers, 0.1))
    assert calibration_error(torch.tensor([60.0]), torch.tensor([0.0]), 0.0) == 1


def test_a_calibrated_model_has_next_to_no_error_and_a_boastful_one_has():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, generator=generator)
    answers = (torch.rand(20_000, generator=generator) < torch.sigmoid(logits)).float()
    assert calibration_error(logits, answers, 0.0) < 0.02 < 0.1 < calibration_error(5 * logits, answers, 0.0)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.4])
def test_the_floor_is_the_lowest_loss_there_is(noise):
    answers = torch.tensor([1.0, 0.0, 0.5, 1.0])
    logits = torch.linspace(-40, 40, 4001)[:, None]
    lowest = cross_entropy(logits, answers.expand(4001, 4), noise).min(0).values.mean()
    assert lowest_cross_entropy(answers, noise) == pytest.approx(float(lowest), abs=1e-5)


def test_validation_by_hand():
    """Eight comparisons in age, two members; the first holds out the even ones, the second none."""
    validation, count = Validation(), 8
    left = torch.tensor([[1.0, 1, -1, 1, 1, 1, 1, 1], [0.0] * 8])
    answers = torch.tensor([1.0, 1, 1, 1, 0.5, 1, 1, 1])
    held_out = torch.stack([torch.arange(count) % 2 == 0, torch.zeros(count, dtype=torch.bool)])
    true_returns = torch.cat([torch.tensor([3.0, 0, -3, 0, 3, 0, 3, 0]), torch.zeros(count)])
    losses = torch.arange(16.0).view(2, 8)
    returns = torch.cat([left, torch.zeros(2, count)], dim=1)
    for part in torch.arange(count).split(3):
        both = torch.cat([part, part + count])
        places = (part + 0.5) / count
        validation.add(losses[:, part], returns[:, both], answers[part], held_out[:, part], true_returns[both], places)
    assert validation.loss == (0 + 2 + 4 + 6) / 4
    metrics = validation.metrics(0.0)
    assert metrics["reward_model/accuracy_val"] == (1 + 0 + 0.5 + 1) / 4
    assert metrics["reward_model/accuracy_oldest"] == 1 and metrics["reward_model/accuracy_newest"] == 1
    assert metrics["reward_model/return_correlation"] == pytest.approx(1)  # proportional; the second has nothing to say
    assert "reward_model/calibration_error" not in validation.metrics(None)


def metrics_after_training(turned_round):
    """Of a model fitted to 80 labels, of which the first so many are the wrong way round."""
    model = make_model(VECTORS, validation_fraction=0.3, learning_rate=1e-2)
    for number in range(80):
        left, right = rewarded_segment(2 * number), rewarded_segment(2 * number + 1)
        preference = float(left.true_return > right.true_return)
        model.comparisons.add(number, left, right, 1 - preference if number < turned_round else preference)
    model.standardise()
    model.train(150)
    return model.validate()


def test_accuracy_by_age_sees_labels_that_have_come_to_mean_something_else():
    metrics = metrics_after_training(turned_round=20)
    assert metrics["reward_model/accuracy_oldest"] < 0.4 and metrics["reward_model/accuracy_newest"] > 0.6


def test_predicted_returns_go_with_true_ones_where_labels_are_right():
    assert metrics_after_training(turned_round=0)["reward_model/return_correlation"] > 0.7
    assert metrics_after_training(turned_round=80)["reward_model/return_correlation"] < -0.7


# True returns ------------------------------------------------------------------------------------------------


def test_comparisons_are_learned_from_without_the_true_returns():
    with_returns, without = make_model(VECTORS), make_model(VECTORS)
    add_rewarded(with_returns, 20)
    add_rewarded(without, 20, returns=False)
    for model in (with_returns, without):
        model.standardise()
    assert with_returns.train(20) == without.train(20)
    seen = make_segment(VECTORS, 99).observations
    np.testing.assert_array_equal(with_returns.predict(seen), without.predict(seen))
    validations = [model.validate() for model in (with_returns, without)]
    differ = {name for name in validations[0] if validations[0][name] != validations[1].get(name)}
    assert differ == {"reward_model/return_correlation"}


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_regression_recovers_a_linear_reward(scale):
    """Of segments of 4 to 6 steps, of which it is told the sums alone; in units of its own."""
    model = make_model(VECTORS, target="true_return", hidden=32, weight_decay=0, learning_rate=5e-3, batch_size=16)
    add_rewarded(model, 150, scale)
    model.standardise()
    for progress in (0.0, 0.5, 0.8):
        metrics = model.train(200, progress)
    segments = [rewarded_segment(seed, scale=scale) for seed in range(1000, 1040)]
    predicted = model.raw(np.concatenate([stacks(VECTORS, one) for one in segments])) * model.return_scale
    true = torch.from_numpy(np.concatenate([one.true_rewards for one in segments]))
    assert (predicted - true).abs().mean() < 0.3 * true.abs().mean()
    assert metrics["reward_model/loss_train"] < 0.2
    names = model.validate()
    assert names["reward_model/return_correlation"] > 0.95 and names["reward_model/accuracy_val"] > 0.85
    assert not {"reward_model/calibration_error", "reward_model/loss_floor"} & set(names)


def test_the_error_of_regression_by_hand():
    model = make_model(VECTORS, members=1, target="true_return", validation_fraction=0.999)
    left, right = rewarded_segment(0, 3), rewarded_segment(1, 7)
    model.comparisons.add(0, left, right, 1.0)
    model.standardise()
    assert model.return_scale == pytest.approx(
        math.sqrt(((left.true_return / 3) ** 2 + (right.true_return / 7) ** 2) / 2)
    )
    errors = [model.returns([one]) - one.true_return / model.return_scale for one in (left, right)]
    expected = sum(float(error) ** 2 for error in errors) / 2
    assert model.validate()["reward_model/loss_val"] == pytest.approx(expected, rel=1e-4)
    state = model.state_dict()
    other = make_model(VECTORS, members=1, target="true_return")
    other.load_state_dict(state)
    assert other.return_scale == model.return_scale


def test_returns_that_are_all_zero_do_no_harm():
    model = make_model(VECTORS, target="true_return")
    add_rewarded(model, 10, returns=False)
    model.standardise()
    assert model.return_scale == 1 and math.isfinite(model.train(3)["reward_model/loss_train"])
    assert "reward_model/return_correlation" not in model.validate()
