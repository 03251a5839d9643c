"""The pipeline of dvc.yaml, by the real DVC: what runs again after which change, and what a colleague gets.

It lies with the project's tests, because a researcher who changes dvc.yaml has to know the same.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from pipeline import AFTER_A_SEED, STAGE, STAGES, Pipeline
from project import assert_equal_runs, find_run


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """After the first `dvc repro` and a commit of what it made; `changed` is what git saw of it."""
    pipeline = Pipeline(tmp_path_factory.mktemp("pipeline") / "project")
    stages = pipeline.reproduce()
    assert sorted(stages) == sorted([stage.format(seed) for seed in (100, 101) for stage in AFTER_A_SEED] + ["report"])
    assert stages[-1] == "report"
    pipeline.changed = pipeline.git("status", "--porcelain", "-uall").splitlines()
    pipeline.commit("first results")
    return pipeline


def test_everything_is_there_and_the_seeds_share_nothing(pipeline: Pipeline) -> None:
    table = (pipeline.root / "reports/results.md").read_text()
    assert "100" in table and "101" in table
    assert "<!-- results:start -->\n<!-- results:end -->" not in (pipeline.root / "README.md").read_text()
    for one, other in (
        ("data/tiny/seed-100/labels.jsonl", "data/tiny/seed-101/labels.jsonl"),
        ("models/tiny/seed-100/agent.pt", "models/tiny/seed-101/agent.pt"),
    ):
        assert (pipeline.root / one).read_bytes() != (pipeline.root / other).read_bytes()
    for seed in (100, 101):
        record = find_run(pipeline.root, pipeline.cell(seed)["run"]).record
        assert (record["seed"], record["cell"], record["dirty"]) == (seed, f"tiny/seed-{seed}", False)
        assert record["commit"] == pipeline.git("rev-parse", "HEAD~1").strip()
        assert record["status"] == "finished" and record["question"].endswith(f"with seed {seed}?")


def test_the_cells_are_what_a_launch_of_the_same_seeds_comes_to(pipeline: Pipeline) -> None:
    """Whose runs collect their own labels instead of being given them; the model and the curve are copies."""
    pipeline.does("launch", "--seeds", "pipeline", "--question", "the same?", "--wait")
    launched = {run.record["seed"]: run for run in pipeline.runs() if run.record["question"] == "the same?"}
    assert launched.keys() == {100, 101}
    for seed, run in launched.items():
        cell = find_run(pipeline.root, pipeline.cell(seed)["run"])
        assert_equal_runs(cell, run)
        pipeline.does("evaluate", run.id)
        assert find_run(pipeline.root, run.id).record["evaluation"] == pipeline.cell(seed)["evaluation"]
    cell = find_run(pipeline.root, pipeline.cell(100)["run"])
    models = pipeline.root / "models/tiny/seed-100"
    assert {file.name for file in models.iterdir()} == {"agent.pt", "reward_model.pt", "run.json"}
    assert (models / "agent.pt").read_bytes() == (cell.path / "checkpoints/agent.pt").read_bytes()
    curve = pipeline.root / "results/curves/tiny/seed-100.jsonl"
    assert curve.read_bytes() == (cell.path / "metrics.jsonl").read_bytes()


def test_git_sees_results_and_hashes_only(pipeline: Pipeline) -> None:
    names = {line[3:] for line in pipeline.changed}
    assert {"README.md", "dvc.lock", "results/cells/tiny/seed-100.json", "reports/results.md"} <= names
    for name in names:
        assert re.match(r"README\.md|dvc\.lock|results/cells/|reports/|worklog/\d{4}-\d\d-\d\d\.md", name), name


def test_nothing_runs_a_second_time(pipeline: Pipeline) -> None:
    """Not even after commands that write bytecode, pages and reports."""
    pipeline.ok("log", "add", "all is well")
    pipeline.ok("report")
    assert list((pipeline.root / "src").rglob("*.pyc"))
    assert "up to date" in pipeline.dvc("status")
    assert pipeline.reproduce() == []
    (changed,) = pipeline.git("status", "--porcelain").splitlines()
    assert re.fullmatch(r" M worklog/\d{4}-\d\d-\d\d\.md", changed)


def test_a_colleague_pulls_it_all_and_has_nothing_to_run(pipeline: Pipeline) -> None:
    pipeline.dvc("push")
    clone = pipeline.root.parent / "clone"
    pipeline.git("clone", "-q", str(pipeline.root), str(clone))
    pipeline.dvc("pull", cwd=clone)
    assert "up to date" in pipeline.dvc("status", cwd=clone)
    assert STAGE.findall(pipeline.dvc("repro", cwd=clone)) == []
    assert (clone / "models/tiny/seed-101/agent.pt").exists() and not (clone / "runs").exists()
    pipeline.ok("report", cwd=clone, env=pipeline.env | {"PYTHONPATH": str(clone / "src")})
    assert pipeline.run("git", "status", "--porcelain", cwd=clone) == ""


def test_another_seed_runs_alone(pipeline: Pipeline) -> None:
    before = [pipeline.cell(seed) for seed in (100, 101)]
    pipeline.change("seeds", "pipeline", [100, 101, 102])
    assert pipeline.reproduce() == [stage.format(102) for stage in AFTER_A_SEED] + ["report"]
    assert [pipeline.cell(seed) for seed in (100, 101)] == before
    assert "102" in (pipeline.root / "reports/results.md").read_text()


def test_dvc_draws_the_scores(pipeline: Pipeline) -> None:
    pipeline.dvc("plots", "show", "--out", "drawn")
    page = (pipeline.root / "drawn/index.html").read_text()
    shutil.rmtree(pipeline.root / "drawn")
    for seed in (100, 101):
        assert str(pipeline.cell(seed)["evaluation"]["sampled"]["score"]) in page
    assert "score by seed" in page


def test_other_episodes_are_evaluated_without_training(pipeline: Pipeline) -> None:
    pipeline.change("evaluation", "episodes", 5)
    stages = pipeline.reproduce()
    seeds = json.loads(pipeline.params.read_text())["seeds"]["pipeline"]
    assert sorted(stages[:-1]) == [f"evaluate@{seed}" for seed in seeds] and stages[-1] == "report"
    assert pipeline.cell(101)["evaluation"]["episodes"] == 5


def test_other_code_runs_all_again_and_an_interrupted_pipeline_goes_on(pipeline: Pipeline) -> None:
    """Killed in the second training, it keeps the first."""
    pipeline.change("seeds", "pipeline", [100, 101])
    code = pipeline.root / "src/repro/__init__.py"
    code.write_text(code.read_text() + "\n# changed\n")
    command = [sys.executable, "-m", "dvc", "repro"]
    with subprocess.Popen(
        command, cwd=pipeline.root, env=pipeline.env, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        seen = []
        for line in process.stdout:
            seen += STAGE.findall(line)
            if len([stage for stage in seen if stage.startswith("train@")]) == 2:
                os.killpg(process.pid, 9)
                break
    stages = pipeline.reproduce()
    assert sorted(seen[:-1] + stages) == sorted(
        [stage.format(seed) for seed in (100, 101) for stage in AFTER_A_SEED] + ["report"]
    )
    assert seen[-1] in stages and not pipeline.reproduce()


def test_an_experiment_of_dvc_with_other_parameters_and_an_ablation(pipeline: Pipeline) -> None:
    """Its parameters are those of the command line; its results are DVC's, and can be dropped or kept."""
    pipeline.commit("before the experiment")
    changes = ("agent.learning_rate=1e-3", "seeds.pipeline=[100]", "seeds.ablations=[no-noise-term]")
    settings = [word for change in changes for word in ("-S", change)]
    said = pipeline.dvc("exp", "run", "--name", "faster", *settings)
    ablated = [f"{stage}-ablation@no-noise-term-100" for stage in STAGES]
    assert sorted(STAGE.findall(said)) == sorted(["train@100", "evaluate@100", *ablated, "report"])  # labels are kept
    for cell in ("seed-100", "no-noise-term/seed-100"):
        facts = json.loads((pipeline.root / f"results/cells/tiny/{cell}.json").read_text())
        params = find_run(pipeline.root, facts["run"]).record["params"]
        assert params["agent"]["learning_rate"] == 1e-3
        assert params["reward_model"]["answer_noise"] == (0.0 if "noise" in cell else 0.1)
    shown = json.loads(pipeline.dvc("exp", "show", "--json"))
    assert "faster" in json.dumps(shown)
    pipeline.git("checkout", "-q", ".")
    assert json.loads(pipeline.params.read_text())["agent"]["learning_rate"] != 1e-3
    pipeline.dvc("exp", "apply", "faster")
    assert pipeline.config().agent.learning_rate == 1e-3 and pipeline.cell(100)["run"]
