"""Networks and action distributions against torch.distributions and known shapes."""

import copy
import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import nn

from repro.agents.distributions import Categorical, DiagonalGaussian, make_distribution
from repro.agents.flat_parameters import flatten_parameters
from repro.agents.networks import ActorCritic, NatureCNN, ScaleImages, SeparateActorCritic, TwinEncoder, tanh
from repro.normalisation import NormalisedBox

torch.set_num_threads(1)
IMAGES, VECTORS = Box(0, 255, (4, 84, 84), np.uint8), Box(-1, 1, (3,), np.float32)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_categorical_equals_torch():
    logits = 3 * torch.randn(50, 6, generator=generator())
    actions = torch.randint(6, (50,), generator=generator(1))
    ours, theirs = Categorical(logits), torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    assert torch.equal(ours.mode(), theirs.probs.argmax(-1))


def test_categorical_samples_by_its_probabilities_and_from_its_generator_alone():
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).expand(20_000, -1)
    samples = Categorical(logits).sample(generator(2))
    assert samples.shape == (20_000,) and samples.dtype == torch.int64
    shares, expected = torch.bincount(samples, minlength=4) / 20_000, logits[0].softmax(-1)
    assert (shares - expected).abs().max() < 5 * math.sqrt(0.25 / 20_000)
    torch.rand(3)  # of the global generator
    assert torch.equal(samples, Categorical(logits).sample(generator(2)))
    assert not torch.equal(samples, Categorical(logits).sample(generator(3)))


def test_categorical_is_finite_where_the_policy_is_certain():
    policy = Categorical(torch.tensor([[1e4, 0.0, -1e4]]))
    assert float(policy.entropy()) == 0 and float(policy.log_prob(torch.tensor([0]))) == 0
    assert torch.isfinite(policy.log_prob(torch.tensor([2]))).all()


def test_gaussian_equals_torch():
    mean, log_std = torch.randn(50, 3, generator=generator()), torch.tensor([0.3, -1.0, 0.0])
    actions = torch.randn(50, 3, generator=generator(1))
    ours, theirs = DiagonalGaussian(mean, log_std), torch.distributions.Normal(mean, log_std.exp())
    torch.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions).sum(-1))
    torch.testing.assert_close(ours.entropy(), theirs.entropy().sum(-1))
    assert torch.equal(ours.mode(), mean)


def test_gaussian_samples_by_its_mean_and_deviation_and_from_its_generator_alone():
    mean, log_std = torch.tensor([[2.0, -3.0]]).expand(20_000, -1), torch.tensor([0.0, -1.0])
    samples = DiagonalGaussian(mean, log_std).sample(generator(2))
    assert samples.shape == (20_000, 2) and samples.dtype == torch.float32
    torch.testing.assert_close(samples.mean(0), mean[0], atol=0.04, rtol=0)
    torch.testing.assert_close(samples.std(0), log_std.exp(), atol=0.02, rtol=0)
    assert torch.equal(samples, DiagonalGaussian(mean, log_std).sample(generator(2)))


def test_nature_cnn_has_the_published_size():
    assert sum(parameter.numel() for parameter in NatureCNN(4, 84, 84).parameters()) == 1_684_128


def test_images_from_36_pixels_on_will_do():
    assert NatureCNN(4, 36, 36)(torch.zeros(2, 4, 36, 36, dtype=torch.uint8)).shape == (2, 512)
    with pytest.raises(RuntimeError):
        NatureCNN(4, 35, 35)


def test_images_are_scaled_to_one_and_keep_their_places():
    images = torch.randint(0, 256, (3, 4, 5, 7), dtype=torch.uint8, generator=generator())
    scaled = ScaleImages()(images)
    torch.testing.assert_close(scaled, images.float() / 255)
    assert scaled.dtype == torch.float32


@pytest.mark.parametrize("space", [IMAGES, VECTORS], ids=["images", "vectors"])
def test_weights_are_orthogonal_with_the_gains_of_huang_and_biases_are_zero(space):
    network = ActorCritic(space, Discrete(5))
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)}
    assert len(layers) == (6 if space is IMAGES else 2)
    for name, layer in layers.items():
        gain = {"policy": 0.01, "value": 1.0}.get(name, math.sqrt(2))
        rows = layer.weight.detach().flatten(1)
        rows = rows.T if rows.shape[0] > rows.shape[1] else rows
        torch.testing.assert_close(rows @ rows.T / gain**2, torch.eye(len(rows)), atol=1e-4, rtol=0)
        assert not layer.bias.any()


@pytest.mark.parametrize("space", [IMAGES, VECTORS], ids=["images", "vectors"])
def test_outputs_are_float32_and_each_row_is_for_itself(space):
    torch.manual_seed(0)
    spaces = (Discrete(5), Box(-1, 1, (2,), np.float32))
    discrete, continuous = (ActorCritic(space, actions) for actions in spaces)
    space.seed(0)
    observations = torch.from_numpy(np.stack([space.sample() for _ in range(6)]))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert [output.dtype for output in discrete(observations)] == [torch.float32] * 2
    with torch.no_grad():
        policy, values = discrete(observations)
        assert policy.shape == (6, 5) and values.shape == (6,)
        assert continuous(observations)[0].shape == (6, 2) and continuous.log_std.shape == (2,)
        for row in range(6):
            one_policy, one_value = discrete(observations[row : row + 1])
            torch.testing.assert_close(one_policy[0], policy[row], atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(one_value[0], values[row], atol=1e-5, rtol=1e-5)


def test_a_twin_encoder_is_two_encoders_with_weights_of_their_own():
    twin = TwinEncoder(VECTORS)
    vectors = torch.randn(7, *VECTORS.shape, generator=generator())
    for index, features in enumerate(twin(vectors)):
        expected = vectors
        for weight, bias in ((twin.first[index], twin.first_bias), (twin.second[index], twin.second_bias)):
            rows = weight.detach()
            torch.testing.assert_close(rows @ rows.T / 2, torch.eye(len(rows)), atol=1e-4, rtol=0)
            assert not bias.any()
            expected = torch.tanh(expected @ weight + bias[index])
        torch.testing.assert_close(features, expected)
    assert not torch.equal(twin.second[0], twin.second[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_tanh_and_its_gradient_are_pytorch_s(dtype):
    inputs = torch.cat([torch.linspace(-12, 12, 999), torch.tensor([0.0, 1e-30, -1e-6, torch.inf, -torch.inf])])
    ours, theirs = (inputs.to(dtype, copy=True).requires_grad_() for _ in range(2))
    for one, function in ((ours, tanh), (theirs, torch.tanh)):
        (function(one) * torch.linspace(1, 2, len(one))).sum().backward()
    torch.testing.assert_close(tanh(ours), torch.tanh(theirs), atol=0, rtol=1e-6)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("space", [IMAGES, VECTORS], ids=["images", "vectors"])
def test_parameters_and_gradients_are_views_of_one_vector(space):
    network = ActorCritic(space, Box(-1, 1, (2,), np.float32))
    plain = copy.deepcopy(network)
    flat = flatten_parameters(network)
    space.seed(0)
    observations = torch.from_numpy(np.stack([space.sample() for _ in range(6)]))
    for one in (plain, network):
        policy, values = one(observations)
        (policy.square().sum() + values.sum() + one.log_std.sum()).backward()
    for (name, ours), theirs in zip(network.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs) and ours.stride() == theirs.stride(), name
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
    norm = float(sum(one.grad.square().sum() for one in plain.parameters())) ** 0.5
    assert float(flat.grad.norm()) == pytest.approx(norm, rel=1e-4)
    with torch.no_grad():
        flat.zero_(), flat.grad.zero_()
    assert not any(one.any() or one.grad.any() for one in network.parameters())


@pytest.mark.parametrize(("space", "moves"), [(IMAGES, True), (VECTORS, False)], ids=["images", "vectors"])
def test_errors_of_values_move_the_policy_only_where_images_are_encoded_for_both(space, moves):
    network = ActorCritic(space, Discrete(5))
    space.seed(0)
    observations = torch.from_numpy(np.stack([space.sample() for _ in range(6)]))
    before, values = network(observations)
    values.square().sum().backward()
    torch.optim.SGD([one for one in network.parameters() if one.grad is not None], 0.1).step()
    assert (not torch.equal(network(observations)[0], before)) == moves


def test_an_untrained_policy_is_nearly_uniform():
    network = ActorCritic(IMAGES, Discrete(5))
    images = torch.randint(0, 256, (8, 4, 84, 84), dtype=torch.uint8, generator=generator())
    with torch.no_grad():
        assert (Categorical(network(images)[0]).log_probabilities.exp() - 0.2).abs().max() < 0.02


def test_kl_divergences_equal_torch():
    one, other = torch.randn(2, 50, 3, generator=generator())
    kl = torch.distributions.kl_divergence
    expected = kl(torch.distributions.Categorical(logits=one), torch.distributions.Categorical(logits=other))
    torch.testing.assert_close(make_distribution(one, None).kl(make_distribution(other, None)), expected)
    narrow, wide = torch.tensor([-1.0, 0.2, -0.5]), torch.tensor([0.3, 0.2, 0.0])
    expected = kl(torch.distributions.Normal(one, narrow.exp()), torch.distributions.Normal(other, wide.exp())).sum(-1)
    torch.testing.assert_close(make_distribution(one, narrow).kl(make_distribution(other, wide)), expected)


@pytest.mark.parametrize("actions", [Discrete(5), Box(-1, 1, (2,), np.float32)], ids=["discrete", "continuous"])
@pytest.mark.parametrize("space", [IMAGES, VECTORS], ids=["images", "vectors"])
def test_separate_networks_share_nothing(space, actions):
    network = SeparateActorCritic(space, actions)
    space.seed(0)
    observations = torch.from_numpy(np.stack([space.sample() for _ in range(6)]))
    outputs, values = network(observations)
    assert outputs.shape == (6, 5 if isinstance(actions, Discrete) else 2) and values.shape == (6,)
    policy, value = network.policy_parameters(), list(network.value.parameters())
    gradients = torch.autograd.grad(values.sum(), [*policy, *value], allow_unused=True, retain_graph=True)
    assert [gradient is None for gradient in gradients] == [True] * len(policy) + [False] * len(value)
    gradients = torch.autograd.grad(outputs.sum(), value, allow_unused=True)
    assert not any(gradient is not None for gradient in gradients)
    assert len(policy) + len(value) == len(list(network.parameters()))


def test_separate_networks_see_observations_normalised_alike():
    space = NormalisedBox(VECTORS)
    network = SeparateActorCritic(space, Discrete(2))
    space.normaliser.update(torch.randn(100, 3, generator=generator()) * 5 + 20)
    plain = SeparateActorCritic(VECTORS, Discrete(2))
    kept = {name: value for name, value in network.state_dict().items() if value.dtype == torch.float32}
    renamed = {name.replace("0.1.", "0.0.").replace("0.3.", "0.2."): value for name, value in kept.items()}
    plain.load_state_dict(renamed)
    observations = torch.randn(6, 3, generator=generator(1)) * 5 + 20
    for ours, theirs in zip(network(observations), plain(space.normaliser(observations)), strict=True):
        torch.testing.assert_close(ours, theirs)
