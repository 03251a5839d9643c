"""What keeps the reward model from learning its labels by heart: adaptive weight decay, early stopping."""

import math

import numpy as np
import pytest
import torch
from reward_examples import VECTORS, add_comparisons, make_model

from repro.preferences import regularisation
from repro.preferences.regularisation import (
    CHANGE,
    FIRST_DECAY,
    LEAST_DECAY,
    LOSS_RATIO,
    MOST_DECAY,
    AdaptiveDecay,
    EarlyStopping,
)
from repro.preferences.segments import Segment

# Adaptive weight decay ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "moves"), [(2.0, 1), (1.51, 1), (1.49, 0), (1.3, 0), (1.11, 0), (1.09, -1), (0.5, -1)]
)
def test_it_moves_towards_the_band(ratio, moves):
    decay = AdaptiveDecay()
    for _ in range(3):
        decay.update((8.0, 16.0), (ratio * 2.0, 4.0))  # means of 0.5 and 0.5 x ratio, of sets that differ in size
    assert decay.ratio == pytest.approx(ratio)
    assert decay.coefficient == pytest.approx(FIRST_DECAY * CHANGE ** (3 * moves))


def test_means_are_compared_over_many_steps():
    """Batches with nothing held out count, and do not stop it."""
    decay = AdaptiveDecay()
    decay.update((8.0, 16.0), (0.0, 0.0))
    assert decay.ratio is None and decay.coefficient == FIRST_DECAY
    decay.update((0.0, 0.0), (1.0, 1.0))
    assert decay.ratio == pytest.approx(2.0) and decay.coefficient > FIRST_DECAY
    for _ in range(200):
        decay.update((8.0, 16.0), (2.4, 4.0))
    assert decay.ratio == pytest.approx(1.2, rel=1e-3)


@pytest.mark.parametrize(("ratio", "bound"), [(9.0, MOST_DECAY), (0.1, LEAST_DECAY)])
def test_it_stays_where_it_can_come_back_from(ratio, bound):
    decay = AdaptiveDecay()
    for _ in range(2000):
        decay.update((1.0, 1.0), (ratio, 1.0))
    assert decay.coefficient == bound


def test_it_is_what_the_optimiser_uses():
    model = make_model(VECTORS, weight_decay="adaptive", bootstrap="true")
    add_comparisons(model, VECTORS, 12)
    model.train(30)
    (group,) = model.optimizer.param_groups
    assert group["weight_decay"] == model.decay.coefficient != FIRST_DECAY
    assert model.validate()["reward_model/weight_decay"] == model.decay.coefficient
    fixed = make_model(VECTORS)
    add_comparisons(fixed, VECTORS, 12)
    assert "reward_model/weight_decay" not in fixed.validate()


def noisy_comparisons(model, seed, count=150, wrong=0.15):
    """Labels by a linear reward, of which a share is wrong: enough to learn by heart what is no rule."""
    chance, weights = np.random.default_rng(seed), np.array([1.0, -2.0, 0.5, 0.0])
    for number in range(count):
        pair = [chance.normal(size=(5, 4)).astype(np.float32) for _ in range(2)]
        better = float(((pair[0] - pair[1]) @ weights).sum() > 0)
        preference = 1 - better if chance.random() < wrong else better
        segments = [Segment(one, np.zeros(5, int), np.zeros(5, np.float32)) for one in pair]
        model.comparisons.add(number, *segments, preference)


@pytest.mark.parametrize("seed", range(3))
def test_it_holds_a_model_that_overfits_within_the_band(seed):
    ratios, losses = {}, {}
    for decay in ("adaptive", 0):
        model = make_model(
            VECTORS, seed=seed, weights=seed, weight_decay=decay, bootstrap="true", hidden=32, batch_size=16
        )
        noisy_comparisons(model, seed)
        model.standardise()
        model.train(500)
        ratios[decay] = [model.train(100)["reward_model/loss_ratio"] for _ in range(2)]
        losses[decay] = model.validate()["reward_model/loss_val"]
    assert min(ratios[0]) > 2
    assert all(LOSS_RATIO[0] - 0.05 < ratio < LOSS_RATIO[1] + 0.05 for ratio in ratios["adaptive"])
    assert losses["adaptive"] < losses[0]


# Early stopping ----------------------------------------------------------------------------------------------


def test_the_best_state_is_remembered_and_too_long_ago_ends_it():
    stopping, state = EarlyStopping(20), {"weights": torch.zeros(2)}
    for step, loss in [(0, 0.7), (10, 0.5), (20, 0.6), (25, 0.5)]:
        state["weights"] += 1
        assert not stopping.over(step, loss, lambda: state)
    assert stopping.over(30, 0.55, lambda: state)
    assert stopping.best_loss == 0.5 and stopping.best_state["weights"].tolist() == [2, 2]  # a copy, of the first best


def test_an_infinite_or_undefined_loss_is_never_the_best():
    stopping = EarlyStopping(5)
    assert not stopping.over(0, math.nan, dict) and stopping.best_state is None
    assert not stopping.over(1, 0.5, dict) and stopping.best_state == {}
    assert stopping.over(6, math.nan, dict)


def test_a_fit_ends_with_the_weights_of_the_lowest_validation_loss(monkeypatch):
    seen = []
    over = EarlyStopping.over

    def record(self, step, loss, state):
        seen.append((step, loss))
        return over(self, step, loss, state)

    monkeypatch.setattr(EarlyStopping, "over", record)
    model = make_model(VECTORS, early_stopping=40, weight_decay=0, learning_rate=1e-2, validation_fraction=0.4)
    noisy_comparisons(model, 0, count=40)
    model.standardise()
    metrics = model.train(2000)
    steps, losses = zip(*seen, strict=True)
    best = losses.index(min(losses))
    assert steps[1] == regularisation.VALIDATION_STEPS and 0 < steps[best] < steps[-1] < 2000
    assert metrics["reward_model/gradient_steps"] == steps[-1] == steps[best] + 40
    everything = model.comparisons.labels(torch.arange(40))[1].any(0).nonzero().squeeze(1)
    assert model._validate(everything).loss == pytest.approx(min(losses), rel=1e-6)
    until_then = make_model(VECTORS, early_stopping=40, weight_decay=0, learning_rate=1e-2, validation_fraction=0.4)
    noisy_comparisons(until_then, 0, count=40)
    until_then.standardise()
    until_then.train(steps[best])
    seen = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(until_then.predict(seen), model.predict(seen))
    assert torch.equal(until_then.normaliser.mean, model.normaliser.mean)


def test_a_fit_that_gets_no_worse_goes_to_its_end():
    model = make_model(VECTORS, early_stopping=50, learning_rate=1e-5, validation_fraction=0.4)
    add_comparisons(model, VECTORS, 12)
    assert model.train(25)["reward_model/gradient_steps"] == 25


def test_a_fit_that_has_diverged_ends_and_shows_it():
    model = make_model(VECTORS, early_stopping=10, validation_fraction=0.4)
    add_comparisons(model, VECTORS, 12)
    with torch.no_grad():
        model.network.weights[-1].fill_(math.nan)
    assert math.isnan(model.train(25)["reward_model/loss_train"])


def test_without_anything_held_out_nothing_stops_it():
    model = make_model(VECTORS, early_stopping=1, validation_fraction=0.001)
    add_comparisons(model, VECTORS, 4)
    assert model.train(30)["reward_model/gradient_steps"] == 30
