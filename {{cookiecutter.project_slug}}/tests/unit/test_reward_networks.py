"""The networks of the reward model: one batched pass equals its parts, and what they see of images and vectors."""

import numpy as np
import torch
from reward_examples import (
    IMAGES,
    SPACES,
    STEPS,
    VECTORS,
    add_comparisons,
    amplify,
    dot_frames,
    make_config,
    make_model,
    make_segment,
    stacks,
)

from repro.preferences import reward_model
from repro.preferences.reward_encoders import KeypointEncoder
from repro.preferences.reward_model import PREDICTION_FRAMES
from repro.preferences.reward_networks import RewardEnsemble
from repro.preferences.segments import Segment


@SPACES
def test_segments_are_scored_as_the_agent_is_paid_and_each_for_itself(space):
    """Frames that stacks share are encoded once; that, and the other segments of a batch, change nothing."""
    model = make_model(space)
    add_comparisons(model, space, 4)
    model.standardise()
    amplify(model)
    segments = [make_segment(space, seed) for seed in range(6)]
    with torch.no_grad():
        rewards = model.network(torch.from_numpy(np.stack([segment.observations for segment in segments])))
    assert rewards.shape == (3, 6, STEPS) and rewards.dtype == torch.float32
    for index, segment in enumerate(segments):
        torch.testing.assert_close(rewards[:, index], model.raw(stacks(space, segment)), atol=1e-4, rtol=1e-4)
        for step, observation in enumerate(stacks(space, segment)):
            torch.testing.assert_close(
                rewards[:, index, step], model.raw(observation[None])[:, 0], atol=1e-4, rtol=1e-4
            )
    assert rewards.std(dim=(1, 2)).min() > 1e-2


@SPACES
def test_batches_of_any_size_are_predicted_alike(space):
    model = make_model(space)
    amplify(model)
    space.seed(0)
    observations = np.stack([space.sample() for _ in range(PREDICTION_FRAMES + 3)])
    whole = model.predict(observations)
    assert whole.shape == (PREDICTION_FRAMES + 3,) and whole.dtype == np.float32
    parts = [model.predict(part) for part in np.split(observations, [1, 100, PREDICTION_FRAMES])]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4, rtol=1e-4)


def test_the_frames_of_a_pass_without_gradients_are_bounded(monkeypatch):
    """However many comparisons there are; the standardisation is that of all of them."""
    model, whole = make_model(IMAGES), make_model(IMAGES)
    for one in (model, whole):
        add_comparisons(one, IMAGES, 8)
    whole.standardise()
    passes = []
    model.network.encoder.register_forward_pre_hook(lambda _, frames: passes.append(len(frames[0])))
    monkeypatch.setattr(reward_model, "PREDICTION_FRAMES", 40)  # a comparison has 2 x 7
    model.standardise()
    model.raw(np.zeros((30, *IMAGES.shape), np.uint8))
    assert len(passes) == 4 + 3 and max(passes) <= 40 and sum(passes[:4]) == 8 * 14
    torch.testing.assert_close(model.network.input_mean, whole.network.input_mean)
    torch.testing.assert_close(model.network.input_std, whole.network.input_std)


def single_member(ensemble, member):
    """A model of one, with the weights of `member`."""
    space = IMAGES if ensemble.network.images else VECTORS
    single = make_model(space, members=1)
    share = {
        name: values.tensor_split(ensemble.config.members)[member]
        for name, values in ensemble.network.state_dict().items()
    }
    single.network.load_state_dict(share)
    return single


@SPACES
def test_a_batched_ensemble_equals_its_members_one_by_one(space):
    model = make_model(space)
    add_comparisons(model, space, 8)
    model.standardise()
    amplify(model)
    observations = np.concatenate([stacks(space, make_segment(space, seed)) for seed in range(6)])
    together = model.raw(observations)
    for member in range(3):
        alone = single_member(model, member).raw(observations)
        torch.testing.assert_close(together[member], alone[0], atol=1e-4, rtol=1e-4)
    assert all((together[i] - together[j]).abs().max() > 0.1 for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_batched_ensemble_learns_as_its_members_do_one_by_one():
    """The first member: it holds out the same comparisons in either."""
    model = make_model(VECTORS, validation_fraction=0.4)
    single = single_member(model, 0)
    single.comparisons.validation_fraction = 0.4
    for one in (model, single):
        add_comparisons(one, VECTORS, 12)
        one.train(20)
    observations = np.concatenate([make_segment(VECTORS, seed).observations for seed in range(6)])
    # Preferences do not determine an offset, so that it follows the last bits of the gradients.
    rewards = [one.raw(observations)[0] for one in (model, single)]
    torch.testing.assert_close(*(one - one.mean() for one in rewards), atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(model.normaliser.variance[0], single.normaliser.variance[0], atol=1e-6, rtol=1e-3)


def test_keypoints_follow_a_dot():
    torch.manual_seed(0)
    encoder = KeypointEncoder(members=2, keypoints=3)
    with torch.no_grad():
        left, middle, right, down = encoder(torch.from_numpy(dot_frames([(12, 16), (16, 16), (20, 16), (16, 20)])))
        size = encoder(torch.from_numpy(dot_frames([(8, 8), (28, 8)])))
    rows, columns = (torch.arange(12) % 2 == axis for axis in (0, 1))
    seen = (right - left)[columns].abs() > 0.1  # a filter may be blind to a bright dot
    assert seen.sum() >= 4
    step = 2 * 4 / 35  # of four pixels, on the scale from -1 to 1
    torch.testing.assert_close((right - middle)[columns][seen], torch.full((int(seen.sum()),), step), atol=0.02, rtol=0)
    torch.testing.assert_close((middle - left)[columns][seen], torch.full((int(seen.sum()),), step), atol=0.02, rtol=0)
    torch.testing.assert_close((down - middle)[rows][seen], torch.full((int(seen.sum()),), step), atol=0.02, rtol=0)
    torch.testing.assert_close((right - left)[rows], torch.zeros(6), atol=1e-3, rtol=0)
    assert size.abs().max() <= 1


def test_motion_is_told_apart_wherever_it_happens():
    """Right against left, up and down: learned from a few clips, held for others at other places."""
    model = make_model(IMAGES, members=1, keypoints=4, validation_fraction=0.001, answer_noise=0)
    chance = np.random.default_rng(0)
    for number in range(30):
        right = make_segment(IMAGES, int(chance.integers(10**6)), (1, 0))
        other = make_segment(IMAGES, int(chance.integers(10**6)), [(-1, 0), (0, 1), (0, -1)][number % 3])
        model.comparisons.add(number, *((right, other) if number % 2 else (other, right)), float(number % 2))
    model.standardise()
    model.train(100)
    means = [
        np.mean([model.raw(stacks(IMAGES, make_segment(IMAGES, seed, move))).mean() for seed in range(100, 110)])
        for move in ((1, 0), (-1, 0))
    ]
    spread = np.std([model.raw(stacks(IMAGES, make_segment(IMAGES, seed, (1, 0)))).mean() for seed in range(100, 110)])
    assert means[0] - means[1] > 4 * spread


def test_inputs_are_standardised_from_the_comparisons():
    model = make_model(VECTORS)
    generator = np.random.default_rng(0)
    scales = np.array([1.0, 100.0, 0.01, 0.0], np.float32)
    for number in range(20):
        pair = [generator.normal(5, 1, (STEPS, 4)).astype(np.float32) * scales for _ in range(2)]
        segments = [Segment(one, np.zeros(STEPS, int), np.zeros(STEPS, np.float32)) for one in pair]
        model.comparisons.add(number, *segments, 1.0)
    model.standardise()
    mean, std = model.network.input_mean[0, 0], model.network.input_std[0, 0]
    torch.testing.assert_close(mean, torch.from_numpy(5 * scales), atol=0.1, rtol=0.1)
    torch.testing.assert_close(std[:2], torch.from_numpy(scales[:2]), rtol=0.2, atol=0)
    assert std.min() > 0 and np.isfinite(model.predict(np.ones((3, 4), np.float32))).all()


def test_the_units_of_the_inputs_do_not_matter():
    scale, shift = np.array([1.0, 100.0, 0.5, 10.0], np.float32), np.array([0.0, 500.0, 3.0, -20.0], np.float32)
    models = [make_model(VECTORS) for _ in range(2)]
    for number in range(20):
        pair = [make_segment(VECTORS, 2 * number), make_segment(VECTORS, 2 * number + 1)]
        other = [Segment(one.observations * scale + shift, one.actions, one.true_rewards) for one in pair]
        models[0].comparisons.add(number, *pair, 1.0)
        models[1].comparisons.add(number, *other, 1.0)
    for model in models:
        model.standardise()
        amplify(model)
    observations = make_segment(VECTORS, 99).observations
    torch.testing.assert_close(
        models[0].raw(observations), models[1].raw(observations * scale + shift), atol=1e-3, rtol=1e-3
    )


def test_inputs_that_never_change_are_no_accident():
    model = make_model(VECTORS)
    same = Segment(np.ones((STEPS, 4), np.float32), np.zeros(STEPS, int), np.zeros(STEPS, np.float32))
    model.comparisons.add(0, same, same, 0.5)
    model.standardise()
    assert np.isfinite(model.predict(same.observations)).all()


@SPACES
def test_half_precision_is_used_and_is_close(space):
    full, half = (make_model(space, precision=precision, keypoints=4) for precision in ("float32", "bfloat16"))
    for model in (full, half):
        add_comparisons(model, space, 8)
        model.standardise()
        amplify(model)
    half.network.load_state_dict(full.network.state_dict())
    observations = np.concatenate([stacks(space, make_segment(space, seed)) for seed in range(10)])
    one, other = full.raw(observations), half.raw(observations)
    assert other.dtype == torch.float32 and (one - other).std() < 0.1 * one.std()
    assert torch.equal(one, other) == (space is VECTORS)  # only the convolutions are worth it
    assert half.predict(observations).dtype == np.float32
    assert np.isfinite(half.train(5)["reward_model/loss_train"])
    assert all(parameter.dtype == torch.float32 for parameter in half.network.parameters())


def test_ensembles_of_any_size_are_built():
    for members in (1, 4):
        network = RewardEnsemble(IMAGES, make_config(IMAGES, members=members, hidden=8))
        assert network(torch.zeros(2, 7, 36, 36, dtype=torch.uint8)).shape == (members, 2, 5)
