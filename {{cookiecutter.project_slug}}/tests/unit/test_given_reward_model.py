"""A run that starts with the reward model of another: nobody is asked again, and its rewards are that model's."""

import shutil

import numpy as np
import pytest
import torch
from gym_examples import gym_config, gym_parameters
from project import Project, assert_equal_runs, here, labels, rows

from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.preferences.store import PreferenceStore
from repro.training import make_trainer

GIVEN = ("train", "--seed", "101", "--skip", "a test")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A finished run, and one that was given its reward model and nothing else."""
    project = Project(tmp_path_factory.mktemp("given") / "project")
    project.does("train", "--seed", "100", "--skip", "a test")
    project.first = project.only_run()
    project.does(*GIVEN, "--reward-model", project.first.id)
    project.given = next(run for run in project.runs() if run.id != project.first.id)
    return project


def reward_model(run):
    return torch.load(run.path / "checkpoints/reward_model.pt", weights_only=True)


def test_a_model_that_is_given_alone_stays_as_it_is_and_asks_nothing(project):
    assert labels(project.given) == []
    assert {row["preferences/labels"] for row in rows(project.given)} == {"0"}
    assert project.given.record["reward_model"] == f"runs/{project.first.id}/checkpoints/reward_model.pt"
    before, after = reward_model(project.first), reward_model(project.given)
    for name, tensor in before["network"].items():
        assert torch.equal(tensor, after["network"][name]), name
    assert torch.equal(before["normaliser"]["mean"], after["normaliser"]["mean"])


def test_with_comparisons_it_learns_on_and_asks_what_is_missing_of_the_total(project):
    project.does("prefs", "export", project.first.id, "--out", "data/x")
    start = (*GIVEN, "--reward-model", project.first.id, "--preferences", "data/x")
    known = {run.id for run in project.runs()}
    project.does(*start, "--set", "preferences.initial_labels=40")  # the total, too
    run = next(run for run in project.runs() if run.id not in known)
    pairs = lambda run: {label[1:4] for label in labels(run)}  # noqa: E731
    assert pairs(run) == pairs(project.first) and len(labels(run)) == 40
    assert not torch.equal(reward_model(run)["normaliser"]["mean"], reward_model(project.first)["normaliser"]["mean"])


def test_a_resumed_run_and_a_rerun_have_it_too(project, tmp_path):
    shutil.copytree(project.given.path, tmp_path / "straight")
    project.given.update(status="interrupted", exit_code=143)
    (project.given.path / "checkpoints/last.pt").unlink()
    project.does("resume", project.given.id)
    assert_equal_runs(project.given.path, tmp_path / "straight")
    known = {run.id for run in project.runs()}
    project.does("rerun", project.given.id)
    again = next(run for run in project.runs() if run.id not in known)
    assert labels(again) == [] and rows(again) == rows(project.given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "reward.source=environment"), "reward.source is environment, which needs none"),
        (("--set", "env.frame_stack=3"), "its reward model is for moving-dot, discrete actions, "),
        (("--set", "reward_model.members=5"), "reward_model.pt: holds another network than the parameters describe"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_at_once(project, monkeypatch, capsys, arguments, message):
    known = len(project.runs())
    code, _, error = here(project, monkeypatch, capsys, *GIVEN, "--reward-model", project.first.id, *arguments)
    assert code == 2 and message in error and error.count("\n") == 1
    assert len(project.runs()) == known


def test_a_run_without_a_final_model_is_refused(project, monkeypatch, capsys):
    queued = project.queue()
    code, _, error = here(project, monkeypatch, capsys, *GIVEN, "--reward-model", queued.id)
    assert code == 2 and f"{queued.id}: has no final reward model" in error


PENDULUM = gym_config("Pendulum-v1", normalise_observations=True, random_return=-1200, reference_return=-150)


def trained_model(folder):
    """What a run whose policy and reward model share a normaliser leaves for others."""
    with PreferenceStore(folder / "first.db") as store:
        trainer = make_trainer(gym_parameters(PENDULUM, "learned"), 5, "run", store)
        list(trainer.rows())
        save_checkpoint(folder / "given.pt", trainer.learning.model.inference_state())
    return load_checkpoint(folder / "given.pt")


def test_a_fixed_model_sees_observations_as_it_did_while_the_policys_normaliser_moves_on(tmp_path):
    given = trained_model(tmp_path)
    observations = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    with PreferenceStore(tmp_path / "second.db") as store:
        first, resumed = (make_trainer(gym_parameters(PENDULUM, "learned"), 6, "run", store, 0) for _ in range(2))
        for trainer in (first, resumed):
            trainer.learning.begin_with(given, fixed=True)
        predicted = first.learning.model.predict(observations)
        list(first.rows())
        assert first.normaliser.count > 0
        np.testing.assert_array_equal(first.learning.model.predict(observations), predicted)
        resumed.load_state_dict(first.state_dict())
        np.testing.assert_array_equal(resumed.learning.model.predict(observations), predicted)
        assert torch.equal(resumed.normaliser.mean, first.normaliser.mean)


def test_a_model_that_learns_on_keeps_its_statistics_and_its_unit(tmp_path):
    given = trained_model(tmp_path) | {"return_scale": 7.0}
    given["normaliser"]["mean"] += 100
    with PreferenceStore(tmp_path / "first.db") as store:
        learning = make_trainer(gym_parameters(PENDULUM, "learned"), 5, "run", store, 0).learning
        learning.begin_with(given, fixed=False)
        learning.load_labels(16)
        learning.model.train(1)
        assert (learning.model.normaliser.mean > 90).all()  # the step is one among those before
        assert learning.model.inference_state()["return_scale"] == 7.0
