"""The running normaliser: exact statistics, one for all networks, updated last, frozen once saved."""

import copy
import itertools

import numpy as np
import pytest
import torch
from gym_examples import gym_config, gym_parameters
from gymnasium.spaces import Box
from project import assert_equal_runs

from repro.normalisation import NormalisedBox, RunningNormaliser, normaliser_of, scale_images
from repro.preferences.store import PreferenceStore
from repro.results.evaluate import evaluate, load_agent, load_reward_model
from repro.session import run as session
from repro.session.progress import Progress
from repro.session.run import train_run
from repro.tracking.archive import AGENT, REWARD_MODEL, RunFolder
from repro.tracking.wandb import WandbSettings
from repro.training import make_trainer

ENV = gym_config("Pendulum-v1", normalise_observations=True, random_return=-1200, reference_return=-150)


@pytest.mark.parametrize("offset", [0.0, 1e3, -1e7], ids="offset {}".format)
@pytest.mark.parametrize("sizes", [[1], [1000], [1, 1, 1], [7, 0, 500, 1, 64], [256] * 40], ids=str)
@pytest.mark.parametrize("features", [1, 17])
def test_its_statistics_are_those_of_all_observations_at_once(offset, sizes, features):
    generator = np.random.default_rng(0)
    scales = 10.0 ** generator.uniform(-3, 3, features)
    batches = [offset + scales * generator.standard_normal((size, features)) for size in sizes]
    normaliser = RunningNormaliser(features)
    for batch in batches:
        normaliser.update(torch.from_numpy(batch))
    everything = np.concatenate(batches)
    assert normaliser.count == len(everything)
    np.testing.assert_allclose(normaliser.mean, everything.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(normaliser.variance, everything.var(0), rtol=1e-6, atol=1e-20 * offset**2)


def test_what_it_returns_is_standardised_and_clipped():
    normaliser = RunningNormaliser(2)
    seen = torch.tensor([[3.0, -9.99], [0.25, 0.0]])
    assert torch.equal(normaliser(seen), seen)  # before the first update
    normaliser.update(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    for shape in ((2, 2), (1, 2, 2)):
        values = normaliser(torch.tensor([[2.5, 5.0], [-100.0, 6.0]], dtype=torch.float64).view(shape)).view(2, 2)
        assert values.dtype == torch.float32
        torch.testing.assert_close(values, torch.tensor([[0.5, 0.0], [-10.0, 10.0]]))


@pytest.mark.parametrize("layout", [torch.preserve_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
def test_images_are_scaled_in_the_precision_that_convolutions_have(half, layout):
    images = torch.randint(0, 256, (3, 2, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before, dtype = images.clone(), torch.bfloat16 if half else torch.float32
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        scaled = scale_images(images, layout)
    assert scaled.dtype == dtype and torch.equal(scaled, images.to(dtype) / 255) and torch.equal(images, before)
    assert scaled.is_contiguous(memory_format=torch.channels_last) == (layout == torch.channels_last)


def test_copies_of_networks_see_observations_as_the_original_does():
    network = torch.nn.Sequential(RunningNormaliser(2), torch.nn.Linear(2, 1))
    target = copy.deepcopy(network)
    network[0].update(torch.tensor([[1.0, 5.0], [3.0, 9.0]]))
    observation = torch.tensor([[2.0, 2.0]])
    assert torch.equal(target(observation), network(observation))
    assert target[1] is not network[1]


def test_only_spaces_that_say_so_have_one():
    space = Box(-1, 1, (3,), np.float32)
    assert normaliser_of(space) is None
    wrapped = NormalisedBox(space)
    assert normaliser_of(wrapped) is normaliser_of(wrapped) and wrapped.shape == (3,) and wrapped.dtype == np.float32


@pytest.fixture(params=["environment", "learned"])
def trainer(request, tmp_path):
    with PreferenceStore(tmp_path / "preferences.db") as store:
        one_minibatch = {"epochs": 1, "minibatches": 1, "rollout_steps": 64}
        config = gym_parameters(ENV, request.param, agent=one_minibatch, training={"total_steps": 4096})
        yield make_trainer(config, 100, "run", store)


def test_policy_and_reward_model_share_it(trainer):
    networks = [trainer.agent.network, *([trainer.learning.model.network] if trainer.learning else [])]
    next(trainer.rows())
    for network in networks:
        assert [one for one in network.modules() if isinstance(one, RunningNormaliser)] == [trainer.normaliser]


def test_what_policy_and_reward_model_say_depends_on_normalised_observations_alone(trainer):
    next(trainer.rows())
    observations = trainer.storage.observations[1]
    seen_by = [lambda these: trainer.agent.runner(torch.from_numpy(these))[1]]
    if trainer.learning:
        seen_by.append(trainer.learning.model.raw)
    with torch.no_grad():
        before = [say(observations) for say in seen_by]
        trainer.normaliser.mean += 5
        for say, said in zip(seen_by, before, strict=True):
            torch.testing.assert_close(say(observations + 5), said, rtol=1e-4, atol=1e-5)
            assert (say(observations) - said).abs().max() > 1e-3


def test_it_has_seen_each_observation_that_was_acted_on_once(trainer):
    """And the segments that the reward model was started with."""
    seen = [trainer.storage.observations[:0, 0]]
    if trainer.learning:
        next(trainer.rows())
        segments = trainer.learning.model.comparisons.segments(torch.arange(16))  # the initial ones
        seen = [segments.flatten(0, 1).numpy(), trainer.storage.observations[:-1][trainer.storage.valid]]
    for _ in itertools.islice(trainer.rows(), 3):
        seen.append(trainer.storage.observations[:-1][trainer.storage.valid])
    everything = np.concatenate(seen).astype(np.float64)
    assert trainer.normaliser.count == len(everything)
    np.testing.assert_allclose(trainer.normaliser.mean, everything.mean(0))
    np.testing.assert_allclose(trainer.normaliser.variance, everything.var(0))


def test_an_update_sees_what_the_actions_were_chosen_by(trainer):
    """The first minibatch of a rollout has ratios of exactly 1, but for rounding: KL is 0."""
    rows = [row["policy/approx_kl"] for row in itertools.islice(trainer.rows(), 3)]
    assert max(map(abs, rows)) < 1e-9
    update = trainer.agent.update

    def late(rollout, progress):
        trainer.normaliser.update(9 * rollout.observations[:-1].flatten(0, 1))
        return update(rollout, progress)

    trainer.agent.update = late
    assert next(trainer.rows())["policy/approx_kl"] > 1e-7  # the test would notice


def run_whole(folder, config):
    folder.mkdir()
    run = RunFolder(folder, {"id": "run", "seed": 5})
    train_run(run, config, WandbSettings(None, "dot", "disabled"), None)
    return run


@pytest.mark.parametrize("source", ["environment", "learned"])
def test_a_resumed_run_goes_on_bit_for_bit(source, tmp_path, monkeypatch):
    config = gym_parameters(ENV, source)
    whole = run_whole(tmp_path / "whole", config)

    class Stopped(Progress):
        rows = 0

        def update(self, row):
            Stopped.rows += 1
            if Stopped.rows == 4:  # after the checkpoint of the second rollout
                raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(session, "Progress", Stopped)
        with pytest.raises(InterruptedError):
            run_whole(tmp_path / "resumed", config)
    resumed = RunFolder(tmp_path / "resumed", {"id": "run", "seed": 5})
    train_run(resumed, config, WandbSettings(None, "dot", "disabled"), None)
    assert_equal_runs(whole.path, resumed.path)


def test_evaluation_changes_nothing(tmp_path):
    config = gym_parameters(ENV, "learned")
    path = run_whole(tmp_path / "run", config).path
    files = {name: (path / name).read_bytes() for name in (AGENT, REWARD_MODEL)}
    agent, model = load_agent(config, path / AGENT), load_reward_model(config, path / REWARD_MODEL)
    before = {name: value.clone() for name, value in agent.network.state_dict().items()}
    counts = [value for name, value in before.items() if name.endswith(".count")]
    assert counts == [model.network.normaliser.count] and counts[0] > 800
    observations = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    values, rewards = agent.value(observations), model.predict(observations)
    assert evaluate(config, path / AGENT) == evaluate(config, path / AGENT)
    assert torch.equal(agent.value(observations), values) and (model.predict(observations) == rewards).all()
    assert all(torch.equal(value, before[name]) for name, value in agent.network.state_dict().items())
    assert files == {name: (path / name).read_bytes() for name in (AGENT, REWARD_MODEL)}
