"""Comparisons: segments of different lengths, what a bootstrap draws, which labels are kept."""

import math

import numpy as np
import pytest
import torch
from reward_examples import (
    IMAGES,
    LARGE,
    PAPER,
    SPACES,
    VECTORS,
    add_comparisons,
    amplify,
    make_model,
    make_segment,
    stacks,
)

from repro.preferences.comparisons import Comparisons, pad_segments
from repro.preferences.segments import Segment

NETWORKS = pytest.mark.parametrize(
    ("space", "settings"),
    [(VECTORS, {}), (IMAGES, {}), (LARGE, PAPER)],
    ids=["mlp", "keypoints", "cnn"],
)


# Lengths -----------------------------------------------------------------------------------------------------


def ragged_pair(space, number):
    """Two segments of 3 to 7 steps."""
    return [make_segment(space, 2 * number + side, steps=3 + (3 * number + 2 * side) % 5) for side in (0, 1)]


def add_ragged(model, space, count):
    for number in range(count):
        model.comparisons.add(number, *ragged_pair(space, number), float(number % 2))


@NETWORKS
def test_a_pair_of_three_and_seven_steps_has_the_logit_of_its_sums(space, settings):
    model = make_model(space, validation_fraction=0.999, answer_noise=0, **settings)
    amplify(model)
    left, right = make_segment(space, 0, steps=3), make_segment(space, 1, steps=7)
    sums = [model.raw(stacks(space, one)).sum(1) for one in (left, right)]
    assert model.raw(stacks(space, left)).shape[1] == 3
    torch.testing.assert_close(model.returns([left, right]), torch.stack(sums, dim=1), atol=1e-4, rtol=1e-4)
    model.comparisons.add(0, left, right, 1.0)
    expected = torch.nn.functional.softplus(-(sums[0] - sums[1]).double()).mean()  # -log sigmoid, of all members
    assert (sums[0] - sums[1]).abs().min() > 0.02
    assert model.validate()["reward_model/loss_val"] == pytest.approx(float(expected), rel=1e-3)


@NETWORKS
def test_padding_adds_exactly_nothing(space, settings):
    """Whatever is in it, rewards, gradients and batch statistics are the same, to the bit."""
    pairs = [make_segment(space, seed, steps=steps) for seed, steps in enumerate((3, 7, 7, 4))]
    observations, lengths = pad_segments(pairs)
    padding = torch.arange(7) >= lengths[:, None]
    dirty = observations.clone()
    dirty[:, observations.shape[1] - 7 :][padding] = 200 if observations.dtype == torch.uint8 else math.nan
    outcomes = []
    for seen in (observations, dirty):
        model = make_model(space, **settings)
        amplify(model)
        network = model.network.train()
        rewards = network(seen, lengths, torch.Generator().manual_seed(0))
        assert (rewards[:, padding] == 0).all() and (rewards[:, ~padding] != 0).all()
        rewards.square().sum().backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        outcomes.append([rewards.detach(), *gradients, *network.state_dict().values()])
    assert all(torch.equal(one, other) for one, other in zip(*outcomes, strict=True))


@NETWORKS
def test_a_batch_of_different_lengths_scores_each_segment_as_it_would_alone(space, settings):
    model = make_model(space, **settings)
    amplify(model)
    segments = [make_segment(space, seed, steps=1 + seed) for seed in range(7)]
    alone = torch.cat([model.returns([segment]) for segment in segments], dim=1)
    torch.testing.assert_close(model.returns(segments), alone, atol=1e-4, rtol=1e-4)


@SPACES
def test_statistics_are_of_the_steps_that_there_are(space):
    model = make_model(space, learning_rate=1e-12, weight_decay=0, batch_size=16, members=2)
    add_ragged(model, space, 6)
    model.standardise()
    segments = [
        make_segment(space, number, steps=3 + (3 * (number // 2) + 2 * (number % 2)) % 5) for number in range(12)
    ]
    inputs = torch.cat([model.network._inputs(torch.from_numpy(one.observations)[None]) for one in segments], dim=1)
    torch.testing.assert_close(model.network.input_mean, inputs.mean(1, keepdim=True).detach(), atol=1e-5, rtol=1e-4)
    amplify(model)
    model.train(100)
    raw = model.raw(np.concatenate([stacks(space, one) for one in segments]))
    normalised = model.normalise(raw)
    torch.testing.assert_close(normalised.mean(1), torch.zeros(2), atol=0.1, rtol=0)
    torch.testing.assert_close(normalised.std(1), torch.ones(2), atol=0, rtol=0.1)


@NETWORKS
def test_short_segments_are_learned_from(space, settings):
    model = make_model(space, answer_noise=0, weight_decay=0, validation_fraction=0.001, **settings)
    add_ragged(model, space, 6)
    model.standardise()
    model.train(80)
    for number in range(6):
        returns = model.returns(ragged_pair(space, number)).mean(0)
        assert bool(returns[0] > returns[1]) == bool(number % 2)


# Draws -------------------------------------------------------------------------------------------------------


def drawn(comparisons):
    return comparisons.drawn(torch.arange(len(comparisons)))[1]


def fill(comparisons, numbers):
    for number in numbers:
        comparisons.add(number, make_segment(VECTORS, 0), make_segment(VECTORS, 1), 1.0)
    return comparisons


def test_a_bootstrap_draws_as_many_as_there_are_and_leaves_a_share_of_1_in_e_out():
    draws = drawn(fill(Comparisons(3, 0.1, seed=0, bootstrap=True), range(2000)))
    assert draws.shape == (3, 2000) and (draws.mean(1) - 1).abs().max() < 0.08
    assert ((draws == 0).float().mean(1) - 1 / math.e).abs().max() < 0.04
    assert ((draws == 2).float().mean(1) - 1 / (2 * math.e)).abs().max() < 0.03
    for one, other in ((0, 1), (0, 2), (1, 2)):  # members draw by themselves
        assert abs(float(torch.corrcoef(draws[[one, other]])[0, 1])) < 0.08


def test_what_is_drawn_and_what_is_held_out_are_disjoint_and_all_there_is():
    comparisons = fill(Comparisons(3, 0.1, seed=0, bootstrap=True), range(100))
    _, held_out = comparisons.labels(torch.arange(100))
    assert torch.equal(held_out, drawn(comparisons) == 0) and held_out.any() and not held_out.all()


def test_draws_depend_on_the_number_alone():
    every = drawn(fill(Comparisons(3, 0.1, seed=0, bootstrap=True), range(50)))
    some = drawn(fill(Comparisons(3, 0.1, seed=0, bootstrap=True), (17, 3, 49)))  # kept in their order
    assert torch.equal(some, every[:, [3, 17, 49]])
    assert not torch.equal(every, drawn(fill(Comparisons(3, 0.1, seed=1, bootstrap=True), range(50))))


def test_a_member_learns_from_a_comparison_as_often_as_it_drew_it():
    model = make_model(VECTORS, members=3, bootstrap="true", answer_noise=0, batch_size=40)
    add_comparisons(model, VECTORS, 12)
    amplify(model)
    indices = torch.randint(12, (40,), generator=torch.Generator().manual_seed(model.seed))  # as the model draws
    draws = drawn(model.comparisons)[:, indices]
    logits = [
        model.returns([make_segment(VECTORS, 2 * number), make_segment(VECTORS, 2 * number + 1)])
        @ torch.tensor([1.0, -1])
        for number in range(12)
    ]
    signs = torch.tensor([1.0 if number % 2 else -1.0 for number in range(12)])
    losses = torch.nn.functional.softplus(-signs * torch.stack(logits, dim=1))[:, indices]
    held_out = draws == 0
    metrics = model.train(1)
    training = float((losses * draws).sum() / draws.sum())
    assert metrics["reward_model/loss_train"] == pytest.approx(training, rel=1e-4)
    validation = float(losses[held_out].mean())
    assert metrics["reward_model/loss_ratio"] == pytest.approx(validation / training, rel=1e-4)


def test_a_member_learns_nothing_from_what_it_did_not_draw():
    reference, turned = (make_model(VECTORS, bootstrap="true") for _ in range(2))
    add_comparisons(reference, VECTORS, 12)
    out = drawn(reference.comparisons) == 0
    number = next(n for n in range(12) if out[:, n].sum() in (1, 2))
    add_comparisons(turned, VECTORS, 12, lambda n: float(n % 2) if n != number else 1.0 - n % 2)
    for model in (reference, turned):
        model.train(12)
    seen = make_segment(VECTORS, 99).observations
    same = [torch.equal(reference.raw(seen)[member], turned.raw(seen)[member]) for member in range(3)]
    assert same == out[:, number].tolist()


# Window ------------------------------------------------------------------------------------------------------


def test_only_the_last_labels_are_learned_from():
    model, few, all_of_them = make_model(VECTORS, label_window=10), make_model(VECTORS), make_model(VECTORS)
    for number in range(25):
        left, right = make_segment(VECTORS, 2 * number), make_segment(VECTORS, 2 * number + 1)
        for one in (model, all_of_them) if number < 15 else (model, few, all_of_them):
            one.comparisons.add(number, left, right, float(number % 2))
    assert len(model.comparisons) == 10
    outcomes = [one.train(20) | one.validate() for one in (model, few, all_of_them)]
    assert outcomes[0] == outcomes[1] != outcomes[2]


def test_a_corrected_label_is_as_old_as_it_was():
    """So that a resumed run, which reads the labels as they stand, learns from them in the same order."""
    corrected, read = make_model(VECTORS), make_model(VECTORS)
    add_comparisons(corrected, VECTORS, 12)
    corrected.comparisons.remove(5)
    corrected.comparisons.add(5, make_segment(VECTORS, 10), make_segment(VECTORS, 11), 0.0)
    add_comparisons(read, VECTORS, 12, lambda number: float(number % 2) if number != 5 else 0.0)
    assert corrected.train(10) | corrected.validate() == read.train(10) | read.validate()


def test_true_returns_are_those_of_the_segments():
    comparisons = Comparisons(1, 0.1, 0)
    left, right = (
        Segment(np.zeros((steps, 4), np.float32), np.zeros(steps, int), np.arange(steps, dtype=np.float32))
        for steps in (3, 5)
    )
    comparisons.add(0, left, right, 0.0)
    comparisons.add(1, right, left, 1.0)
    assert comparisons.true_returns(torch.arange(2)).tolist() == [3, 10, 10, 3]
    assert comparisons.lengths(torch.tensor([1])).tolist() == [5, 3]
