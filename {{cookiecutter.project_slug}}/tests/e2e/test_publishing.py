"""From runs that a launch did, on a cluster for example, to claims that hold in a colleague's clone."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline import STAGE, Pipeline
from project import find_run

SEEDS = [0, 1, 2, 3, 4]
CLAIMS = """\
paper: {title: A paper, url: "https://example.com"}
claims:
  - id: tiny
    claim: It does better than nothing.
    where: nowhere
    environment: moving-dot
    metric: judged.score
    paper_value: null
    target: -5
    tolerance: null
    min_seeds: 5
    cells: {experiment: tiny, seeds: final}
"""


def test_a_launch_is_published_without_training_again_and_its_claim_holds_in_a_clone(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path / "project")
    pipeline.write("paper/claims.yaml", CLAIMS)
    pipeline.change("training", "total_steps", 1024)
    pipeline.change("seeds", "final", SEEDS)
    pipeline.commit("claims")
    said = pipeline.does("launch", "--seeds", "final", "--wait")
    hint = "dvc repro, with 0, 1, 2, 3, 4 in seeds.pipeline of params.yaml, committed; it trains none of these again\n"
    assert said.endswith(hint)
    launched = {run.record["seed"]: run.id for run in pipeline.runs()}

    pipeline.change("seeds", "pipeline", SEEDS)
    pipeline.commit("the pipeline's seeds")
    stages = pipeline.reproduce()
    assert len(stages) == 3 * len(SEEDS) + 1 and {f"train@{seed}" for seed in SEEDS} < {*stages}
    assert {run.record["seed"]: run.id for run in pipeline.runs()} == launched  # and no other
    for seed in SEEDS:
        cell = pipeline.cell(seed)
        assert (cell["run"], cell["dirty"], cell["seed"]) == (launched[seed], False, seed)
        models, run = pipeline.root / f"models/tiny/seed-{seed}", pipeline.root / "runs" / launched[seed]
        assert (models / "agent.pt").read_bytes() == (run / "checkpoints/agent.pt").read_bytes()
        assert find_run(pipeline.root, launched[seed]).record["evaluation"] == cell["evaluation"]
    assert pipeline.reproduce() == []
    pipeline.commit("results")
    pipeline.dvc("push")

    clone = tmp_path / "clone"
    pipeline.git("clone", "-q", str(pipeline.root), str(clone))
    env = pipeline.env | {"PYTHONPATH": str(clone / "src")}
    (claim,) = json.loads(pipeline.ok("claims", "--check", "--json", cwd=clone, env=env))["claims"]
    assert claim["verdict"] == "reproduced" and not (clone / "runs").exists()
    pipeline.dvc("pull", cwd=clone)
    assert STAGE.findall(pipeline.dvc("repro", cwd=clone)) == []


def test_a_baseline_runs_with_the_same_seeds_and_its_launch_is_published_too(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path / "project")
    pipeline.change("seeds", "pipeline", [100])
    baseline = pipeline.config("name=tiny-true-reward", "reward.source=environment").model_dump(mode="json")
    (pipeline.root / "presets").mkdir()
    pipeline.write("presets/tiny-true-reward.yaml", json.dumps(baseline, indent=1))
    text = (pipeline.root / "dvc.yaml").read_text()
    pipeline.write("dvc.yaml", text.replace("baselines: []", "baselines: [tiny-true-reward]"))
    pipeline.commit("a baseline")
    pipeline.does("launch", "--params", "presets/tiny-true-reward.yaml", "--seeds", "100", "--wait")
    launched = pipeline.only_run()
    stages = ["collect@100", "train@100", "evaluate@100", "train-baseline@tiny-true-reward-100"]
    assert sorted(pipeline.reproduce()) == sorted([*stages, "evaluate-baseline@tiny-true-reward-100", "report"])
    facts = json.loads((pipeline.root / "results/cells/tiny-true-reward/seed-100.json").read_text())
    assert (facts["run"], facts["experiment"], facts["labels"]) == (launched.id, "tiny-true-reward", None)
    assert len(pipeline.runs()) == 2 and pipeline.cell(100)["run"] != launched.id

    said = pipeline.dvc("repro", "--force", "--single-item", "train-baseline@tiny-true-reward-100")
    assert f"{launched.id} did what this cell is, so it is published, and nothing is trained" in said
    assert len(pipeline.runs()) == 2
