"""The paper's convolutions: layer by layer, members apart, dropout and batch norm alike for both segments of a pair."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from reward_examples import LARGE, PAPER, add_comparisons, amplify, make_config, make_model, make_segment, stacks
from torch import nn

from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.preferences.comparisons import pad_segments
from repro.preferences.reward_encoders import PairedDropout
from repro.preferences.reward_networks import RewardEnsemble

PLAIN = {"network": "cnn"}
NORM = {"network": "cnn", "batch_norm": "true"}
KINDS = pytest.mark.parametrize("settings", [PLAIN, NORM, PAPER], ids=["plain", "batch norm", "paper"])
CONVOLUTIONS = [(7, 3), (5, 2), (3, 1), (3, 1)]  # kernel, stride


def standard(stack, side, hidden, norm):
    """The paper's network of one member, of standard layers; without dropout."""
    layers, channels = [], stack
    for kernel, stride in CONVOLUTIONS:
        layers += [nn.Conv2d(channels, 16, kernel, stride), *([nn.BatchNorm2d(16)] if norm else []), nn.LeakyReLU(0.01)]
        channels, side = 16, (side - kernel) // stride + 1
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(16 * side**2, hidden), nn.LeakyReLU(0.01), nn.Linear(hidden, 1)
    )


def copy_member(network, member, to):
    """Give the standard layers the weights of a member."""
    encoder, own = network.encoder, slice(16 * member, 16 * (member + 1))
    convolutions = [layer for layer in to if isinstance(layer, nn.Conv2d)]
    for layer, stacked in zip(convolutions, encoder.convolutions, strict=True):
        layer.weight.data, layer.bias.data = stacked.weight.data[own].clone(), stacked.bias.data[own].clone()
    for layer, weight, bias in zip((to[-3], to[-1]), network.weights, network.biases, strict=True):
        layer.weight.data, layer.bias.data = weight.data[member].T.clone(), bias.data[member, 0].clone()


def pairs_of(count):
    """Segments of so many pairs, left ones first; observations (2B, ...) and stacks (2B * T, S, H, W)."""
    segments = [make_segment(LARGE, seed) for seed in range(2 * count)]
    return pad_segments(segments)[0], torch.from_numpy(np.concatenate([stacks(LARGE, one) for one in segments]))


def test_the_paper_s_network_has_the_paper_s_size():
    network = RewardEnsemble(Box(0, 255, (4, 84, 84), np.uint8), make_config(LARGE, **PAPER, members=2, hidden=64))
    convolutions = (4 * 49 + 1) * 16 + (16 * 25 + 1) * 16 + 2 * (16 * 9 + 1) * 16
    fully_connected = 16 * 7 * 7 * 64 + 64 + 64 + 1
    assert sum(weight.numel() for weight in network.parameters()) == 2 * (convolutions + 4 * 2 * 16 + fully_connected)
    shapes = [(layer.kernel_size[0], layer.stride[0]) for layer in network.encoder.convolutions]
    assert shapes == CONVOLUTIONS and network.dropout == 0.5
    assert network(torch.zeros(2, 28, 84, 84, dtype=torch.uint8)).shape == (2, 2, 25)


@pytest.mark.parametrize("norm", [False, True], ids=["plain", "batch norm"])
def test_each_member_is_a_network_of_standard_layers(norm):
    """In prediction, and in training, where batch statistics are those of the member alone."""
    model = make_model(LARGE, **(NORM if norm else PLAIN), members=3)
    amplify(model)
    observations, seen = pairs_of(3)
    for mode in (True, False):
        model.network.train(mode)
        rewards = model.network(observations)
        for member in range(3):
            single = standard(3, 44, 16, norm).train()
            copy_member(model.network, member, single)
            if norm and not mode:
                single(seen / 255)  # the same batch has moved its running statistics
                single.eval()
            expected = single(seen / 255).view(6, -1)
            torch.testing.assert_close(rewards[member], expected, atol=2e-4, rtol=1e-3)
    assert (rewards[0] - rewards[1]).abs().max() > 0.1


@KINDS
def test_a_step_of_the_ensemble_is_a_step_of_each_member(settings):
    """Nothing of one member reaches another: a label turned round for one alone changes that one alone."""
    reference, turned = (
        make_model(LARGE, **settings, weight_decay=0, validation_fraction=0.4, batch_size=16) for _ in range(2)
    )
    add_comparisons(reference, LARGE, 8)
    _, held_out = reference.comparisons.labels(torch.arange(8))
    number = next(n for n in range(8) if held_out[:, n].sum() == 2)
    add_comparisons(turned, LARGE, 8, lambda n: float(n % 2) if n != number else 1.0 - n % 2)
    for model in (reference, turned):
        model.train(3)
    outcomes = [model.raw(stacks(LARGE, make_segment(LARGE, 99))) for model in (reference, turned)]
    changed = [not torch.equal(one, other) for one, other in zip(*outcomes, strict=True)]
    assert changed == (~held_out[:, number]).tolist()


# Pairs -------------------------------------------------------------------------------------------------------


def paired(model, left, right, seed=0):
    """Rewards of pairs in training, with the dropout of `seed`."""
    generator = torch.Generator().manual_seed(seed)
    first, second = model.network.train()(torch.cat([left, right]), None, generator).sum(2).chunk(2, dim=1)
    model.network.eval()
    return first, second


@torch.no_grad()
@KINDS
def test_both_sides_of_a_pair_are_treated_alike_while_training(settings):
    model = make_model(LARGE, **settings)
    amplify(model)
    left, right = pairs_of(4)[0].chunk(2)
    same = paired(model, left, left)
    assert torch.equal(*same)
    first, second = paired(model, left, right)
    swapped = paired(model, right, left)
    torch.testing.assert_close(first - second, swapped[1] - swapped[0], atol=1e-4, rtol=1e-4)
    assert (first - second).abs().min() > 1e-3
    probability, other = torch.sigmoid(first - second), torch.sigmoid(swapped[0] - swapped[1])
    torch.testing.assert_close(probability + other, torch.ones_like(other), atol=1e-4, rtol=0)


@torch.no_grad()
def test_dropout_is_new_for_each_pair_each_member_and_each_draw():
    model = make_model(LARGE, **PAPER, members=2)
    amplify(model)
    segment = pairs_of(1)[0][:1]
    rewards = paired(model, segment.repeat(6, 1, 1, 1), segment.repeat(6, 1, 1, 1))[0]
    assert all(len(own.unique()) == 6 for own in rewards)  # the same segment in six pairs
    other = paired(model, segment.repeat(6, 1, 1, 1), segment.repeat(6, 1, 1, 1), seed=1)[0]
    assert not torch.isclose(rewards, other).any()
    # With one mask for all steps, a segment in which nothing moves is paid the same at each of them.
    still = segment[:, :1].expand(2, 9, 44, 44)
    steps = model.network.train()(still, None, torch.Generator().manual_seed(0))
    torch.testing.assert_close(steps, steps[..., :1].expand_as(steps), atol=1e-5, rtol=1e-5)


def test_dropout_drops_its_share_and_keeps_the_mean():
    dropout = PairedDropout(0.3, torch.tensor([0, 0, 1, 0]), torch.Generator().manual_seed(0))
    activations = dropout(torch.ones(4, 50, 40, 10))
    assert abs(float((activations == 0).float().mean()) - 0.3) < 0.01 and abs(float(activations.mean()) - 1) < 0.02
    assert set(activations.unique().tolist()) == {0.0, float(torch.tensor(1 / 0.7))}
    assert torch.equal(activations[0], activations[1]) and torch.equal(activations[0], activations[3])
    assert not torch.equal(activations[0], activations[2])


# Prediction --------------------------------------------------------------------------------------------------


def test_predictions_have_no_noise_and_change_no_statistics():
    model = make_model(LARGE, **PAPER)
    add_comparisons(model, LARGE, 10)
    model.train(5)
    before = {name: values.clone() for name, values in model.network.state_dict().items()}
    seen = stacks(LARGE, make_segment(LARGE, 99))
    first = model.predict(seen)
    np.testing.assert_array_equal(first, model.predict(seen))
    np.testing.assert_allclose(first[:1], model.predict(seen[:1]), atol=1e-5)
    model.validate()
    after = model.network.state_dict()
    assert all(torch.equal(values, after[name]) for name, values in before.items())
    assert any("running_mean" in name and values.abs().max() > 0 for name, values in before.items())


def test_predictions_are_normalised_as_they_are_without_noise():
    """Over the labelled segments: mean 0 and the chosen deviation, though training has dropout and other statistics."""
    model = make_model(LARGE, **PAPER, reward_std=0.05)
    add_comparisons(model, LARGE, 12)
    model.train(20)
    segments = [make_segment(LARGE, seed) for seed in range(24)]
    normalised = model.normalise(model.raw(np.concatenate([stacks(LARGE, one) for one in segments])))
    torch.testing.assert_close(normalised.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.std(1), torch.full((3,), 0.05), atol=0, rtol=1e-4)


@KINDS
def test_it_continues_exactly_from_a_saved_state(settings, tmp_path):
    settings = settings | {"weight_decay": "adaptive", "bootstrap": "true", "early_stopping": 10}
    model = make_model(LARGE, **settings)
    add_comparisons(model, LARGE, 12)
    model.train(12)
    save_checkpoint(tmp_path / "model.pt", model.state_dict())
    resumed = make_model(LARGE, weights=1, **settings)
    add_comparisons(resumed, LARGE, 12)
    resumed.load_state_dict(load_checkpoint(tmp_path / "model.pt"))
    seen = stacks(LARGE, make_segment(LARGE, 99))
    np.testing.assert_array_equal(model.predict(seen), resumed.predict(seen))
    assert model.train(12) == resumed.train(12) and model.validate() == resumed.validate()
    np.testing.assert_array_equal(model.predict(seen), resumed.predict(seen))
    assert torch.equal(model.normaliser.mean, resumed.normaliser.mean)
    assert torch.equal(model.normaliser.variance, resumed.normaliser.variance)


def test_half_precision_is_close():
    full, half = (make_model(LARGE, **NORM, precision=precision) for precision in ("float32", "bfloat16"))
    for model in (full, half):
        add_comparisons(model, LARGE, 8)
        amplify(model)
    seen = np.concatenate([stacks(LARGE, make_segment(LARGE, seed)) for seed in range(10)])
    one, other = full.raw(seen), half.raw(seen)
    assert other.dtype == torch.float32 and (one - other).std() < 0.1 * one.std()
    assert np.isfinite(half.train(3)["reward_model/loss_train"])
