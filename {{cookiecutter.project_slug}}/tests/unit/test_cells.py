"""Cells claim no more than was done, reports mix no seeds, and precision is chosen aloud."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from ledger_examples import write_run
from report_examples import make_cell
from reward_examples import VECTORS, add_comparisons, make_model

from repro import device
from repro.config import Config, load_config
from repro.gate.prelaunch import Given
from repro.preflight import estimate
from repro.reading import UserError
from repro.report.writing import write_report
from repro.results.cells import cell_name, count_tuning_runs, publish_evaluation, publish_training, read_model_facts
from repro.runs import preparing
from repro.tracking.parameters import params_hash
from repro.tracking.video import video_path

PRESET = Path(__file__).parents[2] / "presets" / "moving-dot.yaml"
SCORE = {"score": 0.9, "return_mean": 80.0, "return_std": 1.0, "returns_sum": 8000.0}
EVALUATION = {"episodes": 100, "seed": 1000} | dict.fromkeys(("sampled", "greedy", "random", "optimal"), SCORE)


def make_models(root: Path, config: Config, seed: int) -> str:
    """models/<cell>/run.json as training with `config` leaves it."""
    cell = cell_name(config, seed)
    folder = root / "models" / cell
    folder.mkdir(parents=True)
    params = config.model_dump(mode="json")
    params["training"]["precision"] = "float32"  # what auto was resolved to
    facts = {"id": "run", "seed": seed, "code_hash": "c0de", "dirty": False, "params": params}
    facts |= {"env_steps": 48000, "labels": 700, "wall_seconds": 100.0}
    (folder / "run.json").write_text(json.dumps(facts))
    return cell


def test_a_cell_is_written_for_models_of_the_same_parameters(tmp_path):
    config = load_config(PRESET)
    cell = make_models(tmp_path, config, 100)
    written = json.loads(publish_evaluation(tmp_path, config, cell, EVALUATION).read_text())
    assert written["success"] and written["run"] == "run" and written["seed"] == 100
    judged_anew = load_config(PRESET, ["evaluation.success_score=0.95"])  # evaluation may change without training
    assert not json.loads(publish_evaluation(tmp_path, judged_anew, cell, EVALUATION).read_text())["success"]


@pytest.mark.parametrize("trained_dirty", [False, True])
def test_a_cell_is_of_committed_code_if_training_and_evaluation_were(repository, trained_dirty):
    config = load_config(PRESET)
    cell = make_models(repository, config, 100)
    facts = repository / "models" / cell / "run.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"dirty": trained_dirty}))
    dirty = lambda: json.loads(publish_evaluation(repository, config, cell, EVALUATION).read_text())["dirty"]  # noqa: E731
    assert dirty() == trained_dirty
    (repository / "pyproject.toml").write_text("[project]\n")  # what evaluates now is in no commit
    assert dirty()


def test_a_cell_says_how_many_runs_were_looked_at_before_it(tmp_path):
    later = {"started": "2026-11-22T10:00:00+01:00"}
    final = write_run(tmp_path, "f1aa", seed=0, **later, ablation=None)
    assert count_tuning_runs(tmp_path, final) == 0
    for code in ("a1aa", "a2aa"):
        write_run(tmp_path, code, status="crashed", ablation=None)
    write_run(tmp_path, "a3aa", seed=57, ablation=None)  # in neither list, and a look all the same
    write_run(tmp_path, "a4aa", seed=1, ablation=None)  # final
    write_run(tmp_path, "a5aa", ablation="no-ensemble")
    write_run(tmp_path, "a6aa", ablation=None, name="other")
    write_run(tmp_path, "a7aa", ablation=None, rerun_of="2026-11-21_moving-dot_a1aa")
    write_run(tmp_path, "a8aa", ablation=None, started="2026-11-23T10:00:00+01:00")  # after it
    (tmp_path / "runs/2026-11-21_moving-dot_a1aa.bak").mkdir()
    copied = (tmp_path / "runs/2026-11-21_moving-dot_a1aa/run.json").read_bytes()
    (tmp_path / "runs/2026-11-21_moving-dot_a1aa.bak/run.json").write_bytes(copied)
    assert count_tuning_runs(tmp_path, final) == 3
    ablated = write_run(tmp_path, "f2aa", seed=0, **later, ablation="no-ensemble")
    assert count_tuning_runs(tmp_path, ablated) == 1
    assert count_tuning_runs(tmp_path, write_run(tmp_path, "f3aa", seed=100, **later, ablation=None)) is None


def test_models_of_an_earlier_run_are_gone_before_others_come(tmp_path):
    run = write_run(tmp_path, ablation=None)
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints/agent.pt").write_text("new")
    (run.path / "metrics.jsonl").write_text('{"env_step": 5}\n')
    models = tmp_path / "models" / "moving-dot/seed-100"
    models.mkdir(parents=True)
    for name in ("run.json", "agent.pt", "reward_model.pt", "segments.mp4"):
        (models / name).write_text("old")
    (run.path / "videos").mkdir()
    for step in (200, 1000):
        video_path(run.path, step).write_text(f"after {step}")
    publish_training(tmp_path, run, "moving-dot/seed-100")
    assert {path.name for path in models.iterdir()} == {"run.json", "agent.pt", "episode.mp4"}
    assert (models / "episode.mp4").read_text() == "after 1000"
    assert (models / "agent.pt").read_text() == "new" and json.loads((models / "run.json").read_text())["id"] == run.id
    (run.path / "metrics.jsonl").unlink()  # it breaks off once networks and videos are there
    with pytest.raises(UserError, match="cannot be written"):
        publish_training(tmp_path, run, "moving-dot/seed-100")
    assert {path.name for path in models.iterdir()} == {"agent.pt", "episode.mp4"}


def test_auto_is_what_it_was_resolved_to_at_launch(tmp_path):
    config = load_config(PRESET, ["training.device=auto"])
    cell = make_models(tmp_path, load_config(PRESET, ["training.device=cpu"]), 100)
    assert config.training.precision == "auto" and publish_evaluation(tmp_path, config, cell, EVALUATION)
    facts = tmp_path / "models" / cell / "run.json"
    other = json.loads(facts.read_text())
    hashes = []
    for precision in ("float32", "bfloat16"):
        other["params"]["training"]["precision"] = precision
        facts.write_text(json.dumps(other))
        hashes.append(json.loads(publish_evaluation(tmp_path, config, cell, EVALUATION).read_text())["params_hash"])
    assert hashes[0] != hashes[1] == params_hash(other["params"])  # seeds of two precisions are no one experiment
    with pytest.raises(UserError, match=r"training\.device = cpu, but it is cuda now"):
        read_model_facts(tmp_path, load_config(PRESET, ["training.device=cuda"]), cell)


def test_a_cell_is_refused_for_models_of_other_parameters(tmp_path):
    cell = make_models(tmp_path, load_config(PRESET, ["agent.learning_rate=1.0"]), 100)
    with pytest.raises(UserError, match=r"agent\.learning_rate = 1\.0, but it is 0\.0005 now"):
        publish_evaluation(tmp_path, load_config(PRESET), cell, EVALUATION)
    assert not (tmp_path / "results").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    config = load_config(PRESET)
    cell = make_models(tmp_path, config, 100)
    (tmp_path / "results").write_text("no folder")
    with pytest.raises(UserError, match=r"results/cells/moving-dot: cannot be written"):
        publish_evaluation(tmp_path, config, cell, EVALUATION)


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"id": 1}'])
def test_damaged_facts_of_models_are_named(tmp_path, content):
    cell = make_models(tmp_path, load_config(PRESET), 100)
    (tmp_path / "models" / cell / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"run\.json"):
        read_model_facts(tmp_path, load_config(PRESET), cell)


def test_a_report_leaves_out_seeds_that_are_not_asked_for(tmp_path):
    (tmp_path / "README.md").write_text("<!-- results:start -->\n<!-- results:end -->\n")
    for seed in (100, 101, 102):
        make_cell(tmp_path, seed)
    outcome = write_report(tmp_path, load_config(PRESET, ["seeds.pipeline=[100, 101]"]))
    assert any("seeds 102 are not in seeds.pipeline" in warning for warning in outcome.warnings)
    assert "| seed 101 |" in (page := (tmp_path / "reports/results.md").read_text()) and "| seed 102 |" not in page
    with pytest.raises(UserError, match=r"dvc repro"):
        write_report(tmp_path, load_config(PRESET, ["seeds.pipeline=[7]"]))


def test_without_answer_noise_sure_predictions_have_finite_losses():
    model = make_model(VECTORS, answer_noise=0.0)
    add_comparisons(model, VECTORS, 8)
    with torch.no_grad():
        model.network.weights[-1] *= 1e6
    model.train(3)
    assert all(torch.isfinite(parameter).all() for parameter in model.network.parameters())


@pytest.mark.parametrize(("flags", "chosen"), [("fpu avx2 avx512_bf16", "bfloat16"), ("fpu avx2", "float32")])
def test_precision_follows_the_processor_only_where_it_may(monkeypatch, flags, chosen):
    monkeypatch.setattr(Path, "read_text", lambda self: flags)
    cpu = torch.device("cpu")
    assert device.choose_precision("auto", cpu) == chosen
    assert device.choose_precision("float32", cpu) == "float32"
    assert device.choose_precision("bfloat16", cpu) == "bfloat16"


def test_the_device_is_settled_at_launch_and_kept_on_resume(project, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    gate = {"passed": "below threshold", "estimate_minutes": 1.0}
    monkeypatch.setattr(preparing, "pass_gate", lambda *_, **__: gate)
    monkeypatch.setattr(estimate, "estimate_minutes", lambda *_: 1.0)
    for there, name in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        run = preparing.prepare_run(project.root, project.config("training.device=auto"), preparing.RunRequest(5))
        assert run.record["params"]["training"]["device"] == name
    monkeypatch.undo()
    if not torch.cuda.is_available():
        run.update(status="queued")
        assert project.refuses("resume", run.id).startswith("training.device: cuda was asked for, but torch finds no")


@pytest.mark.parametrize(("cell", "whole"), [(False, ""), (True, "; all 2 runs of the sweep: about 1.50 h, 0.15 USD")])
def test_what_a_run_takes_is_told_once_before_the_gate(project, monkeypatch, capsys, cell, whole):
    passed = []
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(estimate, "estimate_minutes", lambda *_: 45.0)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(preparing, "pass_gate", lambda *given, **_: passed.extend(given) or {"passed": "answered"})
    config = project.config("training.device=cpu", "reward.source=environment")
    preparing.prepare_run(project.root, config, preparing.RunRequest(100, question="why?", cell=cell))
    assert capsys.readouterr().out == f"tiny: about 45.0 min, 0.08 USD{whole}\n"
    assert passed[3:] == [Given(question="why?"), 90.0 if cell else 45.0]


@pytest.mark.parametrize("native", [True, False])
def test_precision_follows_the_gpu_only_where_it_is_not_emulated(monkeypatch, native):
    """Older ones emulate bfloat16, many times slower than float32."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert device.choose_precision("auto", torch.device("cuda")) == ("bfloat16" if native else "float32")
