"""Evaluation and published models: what cannot be judged is refused before a number is claimed."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from project import Project, here, write_tiny_params

from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.config import Config, load_config
from repro.envs import make_envs
from repro.envs.moving_dot import MovingDotVectorEnv
from repro.experience.playing import play_episodes, policy_of
from repro.reading import UserError
from repro.results.cells import cell_name
from repro.results.evaluate import evaluate, format_evaluation, load_agent, load_reward_model
from repro.session import run as session
from repro.tracking.archive import RunFolder, finish_run
from repro.tracking.wandb import WandbSettings, read_mirror
from repro.tracking.wandb_sync import is_uploaded
from repro.training import make_trainer
from repro.training.trainer import Trainer

AGENT, REWARD_MODEL = "checkpoints/agent.pt", "checkpoints/reward_model.pt"


class Trained:
    """A run of two rollouts: its folder, its parameters, and the trainer with the networks as they were at its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_tiny_params(folder / "params.yaml")
        self.config = self.configured()
        trainers: list[Trainer] = []

        def remembered(*arguments: Any) -> Trainer:
            trainers.append(make_trainer(*arguments))
            return trainers[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session, "make_trainer", remembered)
            run = RunFolder(folder, {"id": "run", "seed": 5})
            session.train_run(run, self.config, WandbSettings(None, "dot", "disabled"), None)
        (self.trainer,) = trainers

    def configured(self, *overrides: str) -> Config:
        return load_config(self.folder / "params.yaml", ["training.total_steps=1024", *overrides])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"))


def spoiled(trained: Trained, file: str, folder: Path, value: float) -> Path:
    """A copy of a published network with one number replaced."""
    state = load_checkpoint(trained.folder / file)
    network = state.get("network", state)
    next(iter(network.values()))[0, 0] = value
    save_checkpoint(folder / "spoiled.pt", state)
    return folder / "spoiled.pt"


def test_a_published_reward_model_predicts_as_it_did(trained):
    model = load_reward_model(trained.config, trained.folder / REWARD_MODEL)
    observations = np.random.default_rng(0).integers(0, 256, (40, 2, 42, 42), np.uint8)
    predictions = model.predict(observations)
    np.testing.assert_array_equal(predictions, trained.trainer.learning.model.predict(observations))
    assert predictions.shape == (40,) and predictions.std() > 0


@pytest.mark.parametrize(("load", "file"), [(load_agent, AGENT), (load_reward_model, REWARD_MODEL)])
def test_the_environment_that_tells_what_networks_see_is_closed(trained, monkeypatch, load, file):
    made = []

    def noted(*arguments, **settings):
        made.append(make_envs(*arguments, **settings))
        return made[-1]

    monkeypatch.setattr("repro.experience.playing.make_envs", noted)
    load(trained.config, trained.folder / file)
    assert [envs.closed for envs in made] == [True]


@pytest.mark.parametrize(("load", "file"), [(load_agent, AGENT), (load_reward_model, REWARD_MODEL)])
def test_networks_that_cannot_be_used_are_refused(trained, tmp_path, load, file):
    load(trained.config, trained.folder / file)
    for value in (np.nan, np.inf):
        with pytest.raises(UserError, match=r"spoiled\.pt: holds numbers that are not finite: training has diverged"):
            load(trained.config, spoiled(trained, file, tmp_path, value))
    other = REWARD_MODEL if file == AGENT else AGENT
    for wrong, config in ((file, trained.configured("env.frame_stack=3")), (other, trained.config)):
        with pytest.raises(UserError, match=r"\.pt: holds another network than the parameters describe"):
            load(config, trained.folder / wrong)


def test_returns_that_are_not_finite_are_refused(trained, monkeypatch):
    step = MovingDotVectorEnv.step

    def broken(self, actions):
        observations, rewards, *rest = step(self, actions)
        return observations, rewards / np.where(self._steps == 3, 0.0, 1.0), *rest

    monkeypatch.setattr(MovingDotVectorEnv, "step", broken)
    with np.errstate(all="ignore"), pytest.raises(UserError, match=r"a return is -?(inf|nan): look at the rewards"):
        evaluate(trained.config, trained.folder / AGENT)


def test_what_was_trained_on_a_gpu_can_be_evaluated_without(trained, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    scores = evaluate(trained.configured("training.device=cuda"), trained.folder / AGENT)
    assert scores == evaluate(trained.config, trained.folder / AGENT)


def test_more_episodes_than_fit_at_once_are_played_one_after_the_other(trained, monkeypatch):
    seeds, played = [], []

    def noted(envs, seed, policy):
        seeds.append((envs.num_envs, seed))
        played.append(play_episodes(envs, seed, policy))
        return played[-1]

    monkeypatch.setattr("repro.results.evaluate.play_episodes", noted)
    monkeypatch.setattr("repro.results.evaluate.MOST_AT_ONCE", 3)
    config = trained.configured("evaluation.episodes=7", "evaluation.seed=50")
    evaluation = evaluate(config, trained.folder / AGENT, play=["greedy"])
    assert seeds == [batch for batch in ((3, 50), (3, 53), (1, 56)) for _ in ("greedy", "random")]
    assert evaluation["episodes"] == 7 and "sampled" not in evaluation
    for name, batches in (("greedy", played[::2]), ("random", played[1::2])):
        returns, lengths, lowest, best = np.concatenate(batches, axis=1)
        row = evaluation[name]
        assert row["returns_sum"] == returns.sum() and row["return_std"] == returns.std(ddof=1)
        assert (row["return_mean"], row["return_min"], row["return_max"]) == (
            *(returns.mean(), returns.min(), returns.max()),
        )
        assert row["length_mean"] == 50 and (lengths == 50).all()
        assert row["score"] == pytest.approx(returns.sum() / best.sum()) and (lowest == 0).all()
    assert evaluation["optimal"]["score"] == 1 and evaluation["optimal"]["returns_sum"] == best.sum()


def test_the_table_fits_a_terminal(trained):
    row = {"score": -1234.5678, "return_mean": -123456.78, "return_std": 12345.6, "return_min": -234567.8}
    row |= {"return_max": 1234567.8, "returns_sum": 0.0, "length_mean": 27000.0}
    evaluation = {"episodes": 100, "seed": 1000} | dict.fromkeys(("sampled", "greedy", "random"), row)
    table = format_evaluation(evaluation | {"optimal": {**row, "score": 1.0}}, trained.config).splitlines()
    assert max(map(len, table)) <= 80 and len({line.index(" -1234.568") for line in table[2:5]}) == 1
    assert [line.split()[0] for line in table[2:6]] == ["sampled", "greedy", "random", "best"]
    assert table[2].endswith("<- judged") and table[-1].startswith("no success: ")


class TestCommand:
    @pytest.fixture
    def run(self, project: Project, trained: Trained) -> RunFolder:
        """The trained run in the archive of a project."""
        run = project.queue(5, "training.total_steps=1024")
        shutil.copytree(trained.folder / "checkpoints", run.path / "checkpoints")
        return run

    def test_parameters_are_for_cells(self, project, run, monkeypatch, capsys):
        code, out, error = here(project, monkeypatch, capsys, "evaluate", run.id, "--params", "params.yaml")
        assert (code, out) == (2, "") and error.count("\n") == 1
        assert "--params params.yaml: is for cells; a run is evaluated by its own parameters" in error

    def test_other_code_than_that_of_the_run_is_noted(self, project, run, monkeypatch, capsys):
        code, out, _ = here(project, monkeypatch, capsys, "evaluate", run.id)
        assert code == 0 and "note:" not in out
        assert project.only_run().record["evaluation"]["code_hash"] == run.record["code_hash"]
        (project.root / "src/repro/extra.py").write_text("")
        code, out, _ = here(project, monkeypatch, capsys, "evaluate", run.id)
        now = project.only_run().record["evaluation"]["code_hash"]
        assert code == 0 and now != run.record["code_hash"]
        (note,) = [line for line in out.splitlines() if line.startswith("note: ")]
        assert now in note and run.record["code_hash"] in note

    def test_it_is_yet_to_be_uploaded(self, project, run, monkeypatch, capsys):
        (run.path / "wandb").mkdir()
        (run.path / "wandb/mirror.json").write_text('{"mode": "online", "url": "there", "uploaded": 5}')
        (run.path / "metrics.jsonl").write_text("1234\n")
        assert is_uploaded(run.path)
        assert here(project, monkeypatch, capsys, "evaluate", run.id)[0] == 0
        assert not is_uploaded(run.path) and read_mirror(run.path) == {"mode": "online", "url": "there"}

    def test_a_page_of_the_future_is_met_before_anything_is_played(self, project, run, monkeypatch, capsys):
        pages = project.root / "worklog"
        pages.mkdir()
        (pages / "2999-01-01.md").write_text("# 2999-01-01\n")
        monkeypatch.setattr("repro.results.evaluate.evaluate", None)
        code, out, error = here(project, monkeypatch, capsys, "evaluate", run.id)
        assert (code, out) == (2, "") and error.count("\n") == 1 and "2999-01-01" in error

    def test_what_other_settings_give_is_shown_and_not_recorded(self, project, run, monkeypatch, capsys):
        code, out, error = here(project, monkeypatch, capsys, "evaluate", run.id)
        record = project.only_run().record["evaluation"]
        assert (code, error) == (0, "") and record["episodes"] == 4 and "not recorded" not in out
        options = ("--episodes", "2", "--seed", "7", "--actions", "greedy")
        code, out, error = here(project, monkeypatch, capsys, "evaluate", run.id, *options)
        assert (code, error) == (0, "") and "2 full episodes from fixed starts (evaluation seed 7)" in out
        assert "greedy" in out and "sampled" not in out and "success" not in out
        assert f"not recorded, since other settings than those of {run.id} were asked for" in out
        assert project.only_run().record["evaluation"] == record

    def test_videos_are_of_the_episodes_that_are_asked_for(self, project, run, monkeypatch, capsys):
        options = ("--video", "2", "--seed", "7", "--actions", "greedy")
        code, out, error = here(project, monkeypatch, capsys, "evaluate", run.id, *options)
        assert (code, error) == (0, "")
        said = [line for line in out.splitlines() if ".mp4" in line]
        assert sorted(path.name for path in (run.path / "videos").iterdir()) == [
            *("evaluation-greedy-seed-7.mp4", "evaluation-greedy-seed-8.mp4")
        ]
        assert [line.split(":")[0] for line in said] == [
            *(f"runs/{run.id}/videos/evaluation-greedy-seed-{seed}.mp4" for seed in (7, 8))
        ]
        agent = load_agent(project.config(), run.path / AGENT)
        returns, *_ = play_episodes(make_envs(project.config().env, 1), 8, policy_of(agent, "greedy"))
        assert said[1].endswith(f": return {returns[0]:.1f} in 50 steps")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ("--video 5", "--video 5: there are only 4 episodes; ask for more of them"),
            ("--episodes 0", "--episodes 0: write a number of at least 1"),
            ("--actions fast", "--actions fast: write one of 'sampled', 'greedy'"),
            ("--video -1", "--video -1: write a number of at least 0"),
            ("--seed -1", "--seed -1: write a number of at least 0"),
        ],
    )
    def test_what_cannot_be_played_is_refused(self, project, run, monkeypatch, capsys, options, message):
        monkeypatch.setattr("repro.results.evaluate.evaluate", lambda *_: pytest.fail("played"))
        code, out, error = here(project, monkeypatch, capsys, "evaluate", run.id, *options.split())
        assert (code, out) == (2, "") and message in error and error.count("\n") == 1

    def test_a_cell_is_evaluated_as_its_parameters_say(self, project, monkeypatch, capsys):
        code, out, error = here(project, monkeypatch, capsys, "evaluate", "--cell", "--seed", "5", "--episodes", "2")
        assert (code, out) == (2, "") and "--episodes, --actions and --video are for runs" in error

    def test_a_run_without_a_final_agent_is_refused(self, project, run, monkeypatch, capsys):
        (run.path / "checkpoints/agent.pt").unlink()
        run.update(status="interrupted")
        code, out, error = here(project, monkeypatch, capsys, "evaluate", run.id)
        assert (code, out) == (2, "")
        assert f"is interrupted and has no final agent to evaluate; go on: repro resume {run.id}" in error

    def test_several_are_evaluated_once_all_of_them_can_be(self, project, run, trained, monkeypatch, capsys):
        other = project.queue(6, "training.total_steps=1024", status="interrupted")
        with monkeypatch.context() as without_playing:
            without_playing.setattr("repro.results.evaluate.evaluate", lambda *_: pytest.fail("played"))
            code, out, error = here(project, without_playing, capsys, "evaluate", run.id, other.id)
        assert (code, out) == (2, "") and error.startswith(f"error: {other.id}: is interrupted")
        shutil.copytree(trained.folder / "checkpoints", other.path / "checkpoints")
        code, out, error = here(project, monkeypatch, capsys, "evaluate", run.id, other.id)
        assert (code, error) == (0, "")
        assert [line[:-1] for line in out.splitlines() if line.startswith("20")] == [run.id, other.id]
        assert [one.record["evaluation"]["episodes"] for one in project.runs()] == [4, 4]

    def test_a_cell_closes_the_run_that_trained_its_models(self, project, run, monkeypatch, capsys):
        models = project.root / "models" / cell_name(project.config(), 5)
        shutil.copytree(run.path / "checkpoints", models)
        params = project.config("training.total_steps=1024").model_dump(mode="json")
        project.params.write_text(json.dumps(params))
        facts = {"id": run.id, "seed": 5, "code_hash": run.record["code_hash"], "dirty": False, "params": params}
        (models / "run.json").write_text(json.dumps(facts | {"env_steps": 1, "labels": 1, "wall_seconds": 1.0}))
        run.update(prediction={"failure_probability": 0.5, "surprise": "very", "causes": []})
        finish_run(run, "finished", 0, "return 6")

        def evaluate_cell():
            code, out, error = here(project, monkeypatch, capsys, "evaluate", "--cell", "--seed", "5")
            assert code == 0 and "written: results/cells/" in out
            return out, error

        out, error = evaluate_cell()
        assert f"closed as failed; say what went wrong: repro close {run.id} " in out and error == ""
        record = project.only_run().record
        assert (record["closed"]["outcome"], record["closed"]["by"]) == ("failed", "success criterion")
        assert record["evaluation"]["sampled"]["score"] < 0.85
        page = project.root / "worklog" / f"{date.today()}.md"
        page.write_text("mine\n")
        out, error = evaluate_cell()  # for the pipeline this is no failure
        assert error.startswith(f"warning: {run.id} is closed, but its row in the work log is not: ")
        shutil.rmtree(run.path)
        out, error = evaluate_cell()  # the models were trained elsewhere
        assert "closed" not in out and error == ""

    def test_a_cell_of_other_parameters_is_refused_before_it_plays(self, project, run, monkeypatch, capsys):
        models = project.root / "models" / cell_name(project.config(), 5)
        shutil.copytree(run.path / "checkpoints", models)
        facts = '{"id": "x", "seed": 5, "code_hash": "c0de", "dirty": false, "env_steps": 1, "labels": 1, '
        (models / "run.json").write_text(facts + '"wall_seconds": 1.0, "params": {}}')
        monkeypatch.setattr("repro.results.evaluate.evaluate", lambda *_: pytest.fail("played"))
        code, out, error = here(project, monkeypatch, capsys, "evaluate", "--cell", "--seed", "5")
        assert (code, out) == (2, "") and "trained with env.id = None, but it is moving-dot now" in error
