"""What makes cells that are missing: `dvc repro`, and what has to be listed before it makes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from claims_examples import FINAL
from preflight_examples import PROJECT
from user_files import DVC

from repro.config import load_config
from repro.reading import UserError
from repro.results.claims import Group
from repro.results.pipeline import Pipeline, read_pipeline

LISTED = ("seeds.pipeline=[0,1]", "seeds.ablations=[no-ensemble]")


def pipeline(root: Path, dvc: str | None = DVC, overrides: tuple[str, ...] = ()) -> Pipeline:
    if dvc is not None:
        (root / "dvc.yaml").write_text(dvc)
    (root / "presets").mkdir(exist_ok=True)
    for name in ("moving-dot-true-reward", "moving-dot-continuous"):
        shutil.copy(PROJECT / f"presets/{name}.yaml", root / "presets")
    return read_pipeline(root, load_config(PROJECT / "presets/moving-dot.yaml", overrides))


@pytest.mark.parametrize(
    ("experiment", "ablation", "seeds", "lists"),
    [
        ("moving-dot", None, [0, 1], None),
        ("moving-dot", "no-ensemble", [1], None),
        ("moving-dot", None, [1, 2], "seeds.pipeline in params.yaml lists them"),
        ("moving-dot", "no-noise-term", [1], "seeds.ablations in params.yaml lists no-noise-term"),
        (
            *("moving-dot-true-reward", None, [0, 2]),
            "baselines in dvc.yaml lists moving-dot-true-reward and seeds.pipeline in params.yaml lists them",
        ),
        (
            *("moving-dot", None, [50]),
            "seeds.final in params.yaml lists them and seeds.pipeline in params.yaml lists them",
        ),
    ],
)
def test_what_is_not_listed_is_named(tmp_path: Path, experiment, ablation, seeds, lists) -> None:
    said = pipeline(tmp_path, overrides=LISTED).how_to_make(Group(experiment=experiment, ablation=ablation), seeds)
    assert said == "make them: dvc repro" + (f", once {lists}" if lists else "")


def test_final_seeds_stand_in_place_of_tuning_seeds(tmp_path: Path) -> None:
    said = pipeline(tmp_path).how_to_make(Group(experiment="moving-dot"), FINAL)
    assert said.endswith("once seeds.pipeline in params.yaml lists them instead of tuning seeds")


def test_a_baseline_that_dvc_yaml_lists_needs_nothing_but_the_command(tmp_path: Path) -> None:
    listed = DVC.replace("baselines: []", "baselines: [moving-dot-true-reward]")
    made = pipeline(tmp_path, listed, LISTED)
    assert made.how_to_make(Group(experiment="moving-dot-true-reward"), [0]) == "make them: dvc repro"
    for group, like in (
        (Group(experiment="moving-dot-true-reward", ablation="no-ensemble"), "evaluate of ablations"),
        (Group(experiment="moving-dot-continuous"), "evaluate"),  # listed or not, no stage collects its labels
    ):
        assert made.how_to_make(group, [0]) == (
            f"no stages of dvc.yaml make them; add some like collect, train and {like}, with --params "
            f"presets/{group.experiment}.yaml"
        )
    assert made.how_to_make(Group(experiment="dots"), [0]) == (
        "params.yaml is of moving-dot, and there is no presets/dots.yaml; correct the claim, or add it"
    )


@pytest.mark.parametrize("dvc", [None, "", "[]", "vars:", "vars: other.yaml", "vars: [a.yaml, {baselines: }]"])
def test_a_pipeline_of_somebodys_own_has_no_baselines(tmp_path: Path, dvc: str | None) -> None:
    assert pipeline(tmp_path, dvc).baselines == []


def test_a_pipeline_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dvc\.yaml, line 1: not valid YAML"):
        pipeline(tmp_path, "vars: [")
