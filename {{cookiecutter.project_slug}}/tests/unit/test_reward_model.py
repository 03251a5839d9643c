"""The reward model: Bradley-Terry identities, held-out comparisons, normalisation, saved states."""

import math

import numpy as np
import pytest
import torch
from reward_examples import (
    SPACES,
    VECTORS,
    add_comparisons,
    amplify,
    make_model,
    make_segment,
    stacks,
)

from repro.checkpoint import load_checkpoint, save_checkpoint


def logit(model, space, left, right, member=0):
    """The difference of two segments' summed rewards, step by step as the agent would be paid."""
    left_sum, right_sum = (model.raw(stacks(space, segment))[member].sum() for segment in (left, right))
    return float(left_sum - right_sum)


def validated_loss(space, left, right, preference, **settings):
    """The loss of one comparison that the only member holds out."""
    model = make_model(space, members=1, validation_fraction=0.999, **settings)
    amplify(model)
    model.comparisons.add(0, left, right, preference)
    return model.validate()["reward_model/loss_val"], logit(model, space, left, right)


# Preferences -------------------------------------------------------------------------------------------------


@SPACES
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("preference", [1.0, 0.0, 0.5])
def test_the_loss_is_the_cross_entropy_of_the_paper(space, noise, preference):
    """P' = (1 - noise) sigmoid(difference of summed rewards) + noise / 2."""
    left, right = make_segment(space, 0), make_segment(space, 1)
    loss, difference = validated_loss(space, left, right, preference, answer_noise=noise)
    assert 0.1 < abs(difference) < 20
    probability = (1 - noise) / (1 + math.exp(-difference)) + noise / 2
    expected = -preference * math.log(probability) - (1 - preference) * math.log(1 - probability)
    assert loss == pytest.approx(expected, rel=1e-3)


@SPACES
def test_swapping_the_segments_swaps_the_preference(space):
    left, right = make_segment(space, 0), make_segment(space, 1)
    first, _ = validated_loss(space, left, right, 1.0)
    swapped, _ = validated_loss(space, right, left, 1.0)
    other, _ = validated_loss(space, left, right, 0.0)
    assert math.exp(-first) + math.exp(-swapped) == pytest.approx(1, abs=1e-5)
    assert swapped == pytest.approx(other, rel=1e-5) and abs(first - swapped) > 0.05


@SPACES
def test_an_untrained_model_is_undecided(space):
    model = make_model(space, validation_fraction=0.5)
    add_comparisons(model, space, 20)
    model.standardise()
    assert model.validate()["reward_model/loss_val"] == pytest.approx(math.log(2), abs=0.03)
    assert model.train(1)["reward_model/loss_train"] == pytest.approx(math.log(2), abs=0.03)


@SPACES
def test_a_few_comparisons_can_be_learned_by_heart(space):
    model = make_model(space, members=2, answer_noise=0, weight_decay=0, validation_fraction=0.001)
    add_comparisons(model, space, 6)
    model.standardise()
    model.train(150)
    metrics = model.train(10)
    assert metrics["reward_model/accuracy_train"] == 1 and metrics["reward_model/loss_train"] < 0.1
    for number in range(6):
        difference = logit(model, space, make_segment(space, 2 * number), make_segment(space, 2 * number + 1))
        assert (difference > 1) if number % 2 else (difference < -1)


@SPACES
@pytest.mark.parametrize(("preference", "moves"), [(0.5, False), (1.0, True), (0.0, True)])
def test_a_tie_pulls_nowhere_where_the_model_is_undecided(space, preference, moves):
    model = make_model(space, weight_decay=0, validation_fraction=0.001)
    with torch.no_grad():
        model.network.weights[-1].zero_()
    model.comparisons.add(0, make_segment(space, 0), make_segment(space, 1), preference)
    before = [parameter.clone() for parameter in model.network.parameters()]
    model.train(1)
    unmoved = [torch.equal(one, other) for one, other in zip(before, model.network.parameters(), strict=True)]
    assert all(unmoved) != moves


def test_a_tie_pulls_the_two_together():
    model = make_model(VECTORS, members=1, weight_decay=0, validation_fraction=0.001)
    amplify(model)
    left, right = make_segment(VECTORS, 0), make_segment(VECTORS, 1)
    before = logit(model, VECTORS, left, right)
    model.comparisons.add(0, left, right, 0.5)
    model.train(100)
    assert abs(before) > 0.3 and abs(logit(model, VECTORS, left, right)) < 0.2 * abs(before)
    assert model.train(1)["reward_model/accuracy_train"] == 0.5


# Held-out comparisons ----------------------------------------------------------------------------------------


def held_out(model, count):
    return model.comparisons.labels(torch.arange(count))[1]


def test_members_hold_out_their_own_share_drawn_from_the_number_alone():
    model = make_model(VECTORS, validation_fraction=0.3)
    add_comparisons(model, VECTORS, 300)
    masks = held_out(model, 300)
    assert masks.shape == (3, 300) and masks.dtype == torch.bool
    assert (masks.float().mean(1) - 0.3).abs().max() < 0.1
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(float((masks[one] & masks[other]).float().mean()) - 0.09) < 0.06
    late = make_model(VECTORS, validation_fraction=0.3, weights=1)
    for number in (17, 3, 299):
        late.comparisons.add(number, make_segment(VECTORS, 0), make_segment(VECTORS, 1), 1.0)
    assert torch.equal(held_out(late, 3), masks[:, [3, 17, 299]])
    other = make_model(VECTORS, validation_fraction=0.3, seed=1)
    add_comparisons(other, VECTORS, 300)
    assert not torch.equal(held_out(other, 300), masks)


@SPACES
def test_a_member_learns_nothing_from_what_it_holds_out(space):
    """The label of one comparison is turned round: members that hold it out stay the same, bit for bit."""
    reference = make_model(space, validation_fraction=0.4)
    add_comparisons(reference, space, 12)
    masks = held_out(reference, 12)
    number = next(n for n in range(12) if masks[:, n].sum() in (1, 2))
    turned = make_model(space, validation_fraction=0.4)
    add_comparisons(turned, space, 12, lambda n: float(n % 2) if n != number else 1.0 - n % 2)
    metrics = [model.train(12) for model in (reference, turned)]
    assert metrics[0] != metrics[1]
    observations = stacks(space, make_segment(space, 99))
    for member in range(3):
        same = torch.equal(reference.raw(observations)[member], turned.raw(observations)[member])
        assert same == bool(masks[member, number])


def test_a_batch_that_is_all_held_out_teaches_nothing_and_has_no_metrics():
    model = make_model(VECTORS, members=1, validation_fraction=0.7, batch_size=1, weight_decay=0)
    add_comparisons(model, VECTORS, 12)
    outcomes = [model.train(1) for _ in range(20)]
    assert {} in outcomes and model.normaliser.steps == 20
    assert all(math.isfinite(value) for metrics in outcomes for value in metrics.values())


def test_held_out_segments_do_not_reach_the_weights_either():
    model, other = (make_model(VECTORS, members=1, validation_fraction=0.4) for _ in range(2))
    add_comparisons(model, VECTORS, 12)
    masks = held_out(model, 12)[0]
    for number in range(12):
        seed = 2 * number + (500 if masks[number] else 0)  # other segments where they are held out
        left, right = make_segment(VECTORS, seed), make_segment(VECTORS, seed + 1)
        other.comparisons.add(number, left, right, float(number % 2))
    assert 2 <= masks.sum() <= 10
    model.train(10), other.train(10)
    observations = make_segment(VECTORS, 99).observations
    assert torch.equal(model.raw(observations), other.raw(observations))


def test_validation_looks_at_what_is_held_out_alone():
    """Labels of comparisons that are trained on are turned round: the validation metrics stay."""
    models = [make_model(VECTORS, validation_fraction=0.3) for _ in range(2)]
    add_comparisons(models[0], VECTORS, 30)
    anyone = held_out(models[0], 30).any(0)
    add_comparisons(models[1], VECTORS, 30, lambda n: float(n % 2) if anyone[n] else 1.0 - n % 2)
    for model in models:
        amplify(model)
    assert models[0].validate() == models[1].validate()
    assert 0 <= models[0].validate()["reward_model/accuracy_val"] <= 1


def test_validation_changes_no_weights_and_needs_something_held_out():
    model = make_model(VECTORS, members=1, validation_fraction=0.001)
    add_comparisons(model, VECTORS, 2)
    assert model.validate() == {}
    model = make_model(VECTORS)
    add_comparisons(model, VECTORS, 30)
    before = model.predict(np.ones((2, 4), np.float32))
    assert {"reward_model/loss_val", "reward_model/accuracy_val"} <= set(model.validate())
    np.testing.assert_array_equal(model.predict(np.ones((2, 4), np.float32)), before)


# Normalisation -----------------------------------------------------------------------------------------------


@SPACES
@pytest.mark.parametrize("reward_std", [1.0, 0.05])
def test_each_member_is_normalised_over_the_labelled_segments_then_averaged(space, reward_std):
    model = make_model(space, reward_std=reward_std, learning_rate=1e-9, batch_size=32)
    add_comparisons(model, space, 20)
    model.standardise()
    amplify(model)
    with torch.no_grad():
        model.network.biases[-1] += 7.0  # an offset that preferences do not determine
    model.train(60)
    observations = np.concatenate([stacks(space, make_segment(space, seed)) for seed in range(40)])
    normalised = model.normalise(model.raw(observations))
    torch.testing.assert_close(normalised.mean(1), torch.zeros(3), atol=0.1 * reward_std, rtol=0)
    torch.testing.assert_close(normalised.std(1), torch.full((3,), reward_std), atol=0, rtol=0.1)
    np.testing.assert_allclose(model.predict(observations), normalised.mean(0), atol=1e-6)


def test_the_statistics_follow_a_model_that_changes():
    model = make_model(VECTORS, learning_rate=1e-9)
    add_comparisons(model, VECTORS, 20)
    amplify(model)
    model.train(100)
    with torch.no_grad():
        model.network.weights[-1] *= 10
    model.train(250)
    observations = np.concatenate([make_segment(VECTORS, seed).observations for seed in range(40)])
    torch.testing.assert_close(model.normalise(model.raw(observations)).std(1), torch.ones(3), atol=0.15, rtol=0)


@pytest.mark.parametrize(
    ("anneal", "progress", "share"), [("true", 0.25, 0.75), ("true", 1.0, 0.0), ("false", 0.5, 1.0)]
)
def test_the_learning_rate_falls_linearly_if_asked_to(anneal, progress, share):
    moved = []
    for at in (0.0, progress):
        model = make_model(VECTORS, anneal_learning_rate=anneal, weight_decay=0, learning_rate=1e-3)
        add_comparisons(model, VECTORS, 6)
        before = model.network.weights[0].detach().clone()
        model.train(1, at)
        moved.append(model.network.weights[0].detach() - before)
    assert moved[0].abs().max() > 5e-4
    torch.testing.assert_close(moved[1], share * moved[0], atol=2e-7, rtol=1e-3)


# State -------------------------------------------------------------------------------------------------------


@SPACES
def test_it_continues_exactly_from_a_saved_state(space, tmp_path):
    model = make_model(space)
    add_comparisons(model, space, 12)
    model.standardise()
    model.train(5)
    save_checkpoint(tmp_path / "model.pt", model.state_dict())
    resumed = make_model(space, weights=1)
    add_comparisons(resumed, space, 12)
    resumed.load_state_dict(load_checkpoint(tmp_path / "model.pt"))
    observations = stacks(space, make_segment(space, 99))
    np.testing.assert_array_equal(model.predict(observations), resumed.predict(observations))
    assert model.train(5) == resumed.train(5) and model.validate() == resumed.validate()
    np.testing.assert_array_equal(model.predict(observations), resumed.predict(observations))
    assert model.normaliser.steps == resumed.normaliser.steps == 10


@SPACES
def test_the_inference_state_is_all_that_predictions_depend_on(space, tmp_path):
    model = make_model(space)
    add_comparisons(model, space, 8)
    model.standardise()
    model.train(5)
    save_checkpoint(tmp_path / "model.pt", model.inference_state())
    state = load_checkpoint(tmp_path / "model.pt")
    other = make_model(space, weights=1)
    other.network.load_state_dict(state["network"])
    other.normaliser.load_state_dict(state["normaliser"])
    observations = stacks(space, make_segment(space, 99))
    np.testing.assert_array_equal(model.predict(observations), other.predict(observations))


def test_without_comparisons_there_is_nothing_to_learn():
    model = make_model(VECTORS)
    assert model.train(5) == {} and model.validate() == {} and model.normaliser.steps == 0


def test_no_steps_change_nothing():
    model = make_model(VECTORS)
    add_comparisons(model, VECTORS, 4)
    before = model.generator.get_state()
    assert model.train(0) == {} and model.normaliser.steps == 0 and torch.equal(model.generator.get_state(), before)
