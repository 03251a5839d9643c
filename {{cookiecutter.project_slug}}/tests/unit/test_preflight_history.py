"""Checks of what was done before: the smoke run of this code, and something simpler that was solved."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import pytest
from preflight_examples import check, config, earlier_run

from repro.config import load_config
from repro.preflight import history
from repro.preflight.history import SIMPLEST_FIRST, simpler_environments
from repro.tracking.archive import read_run

PRESETS = Path(__file__).parents[2] / "presets"
TRUE = "reward.source=environment"


class TestSmoke:
    def test_nothing_has_run_yet(self, root):
        result = check("smoke", root)
        assert not result.passed and result.seen.endswith(
            "with moving-dot, ppo, learned, discrete actions, keypoints, preferences, labels by oracle has finished"
        )
        assert result.remedy.startswith(
            "a short run: repro train --seed 100 with the same --params, --ablation and --set"
        )

    def test_a_finished_run_of_this_code_however_small(self, root):
        run = earlier_run(root, "training.total_steps=512", "env.num_envs=2")
        result = check("smoke", root)
        assert result.passed and result.seen == f"{run.id} finished"

    def test_a_run_of_other_code(self, root):
        earlier_run(root)
        (root / "src").mkdir()
        (root / "src" / "new.py").write_text("x = 1\n")
        assert not check("smoke", root).passed

    @pytest.mark.parametrize("status", ["running", "failed", "interrupted", "queued"])
    def test_a_run_that_did_not_finish(self, root, status):
        earlier_run(root, status=status)
        assert not check("smoke", root).passed

    @pytest.mark.parametrize(
        "section, name", [("env", "id"), ("env", "actions"), ("agent", "algorithm"), ("reward", "source")]
    )
    def test_a_run_of_another_kind(self, root, section, name):
        earlier_run(root, change=lambda params: params[section].update({name: "other"}))
        assert not check("smoke", root).passed

    @pytest.mark.parametrize(
        "override",
        [
            "reward_model.network=cnn",
            "reward_model.target=true_return",
            "reward_model.early_stopping=10",
            "preferences.annotator=person",
        ],
    )
    def test_a_run_that_learned_its_reward_otherwise(self, root, override):
        earlier_run(root)
        assert not check("smoke", root, override, "env.image_size=44").passed
        assert check("smoke", root, "reward_model.hidden=32").passed
        earlier_run(root, TRUE)
        remedy = check("smoke", root, override, "env.image_size=44").remedy
        assert remedy.endswith("total_labels=4") == ("person" in override)  # nobody is to label hundreds for this
        if "person" not in override:  # who is not announced where rewards are true
            assert check("smoke", root, override, "env.image_size=44", TRUE).passed  # where it does not matter

    def test_unreadable_runs_do_not_count(self, root):
        run = earlier_run(root)
        (run.path / "run.json").write_text("{")
        assert not check("smoke", root).passed

    @pytest.mark.parametrize("source, rollouts", [("environment", 2), ("learned", 7)])
    def test_the_run_that_it_proposes_learns(self, root, source, rollouts):
        """60 initial labels are 120 segments of 8 steps: 4 rollouts of 256 steps, and one to be safe."""
        remedy = check("smoke", root, f"reward.source={source}").remedy
        assert remedy.endswith(f"--set training.total_steps={256 * rollouts}")

    def test_of_many_runs_with_the_same_parameters_one_is_read(self, root, monkeypatch):
        read = []
        monkeypatch.setattr(history, "read_run", lambda path: read.append(path) or read_run(path))
        for kind in ("environment", "elsewhere"):
            for _ in range(5):
                earlier_run(root, score=0.1, change=lambda params, kind=kind: params["reward"].update(source=kind))
        assert not check("smoke", root).passed and len(read) == 2
        assert not check("simpler_first", root).passed and len(read) == 4


class TestSimplerFirst:
    def test_all_environments_are_listed(self):
        assert {load_config(path).env.id for path in PRESETS.glob("*.yaml")} <= set(chain(*SIMPLEST_FIRST))

    def test_the_first_environment_with_its_true_reward_has_nothing_simpler(self, root):
        result = check("simpler_first", root, TRUE)
        assert result.passed and result.seen == "nothing simpler than moving-dot from its true reward is listed"

    def test_nothing_was_solved(self, root):
        result = check("simpler_first", root)
        assert not result.passed and result.seen == "ppo has solved none of: moving-dot from its true reward"
        assert "--set reward.source=environment" in result.remedy

    @pytest.mark.parametrize(
        "overrides, score, passed",
        [
            ([TRUE], 0.9, True),  # the success score
            ([TRUE], 0.89, False),
            ([TRUE], None, False),  # not evaluated
            ([TRUE, "evaluation.actions=greedy"], 0.1, True),  # greedy ones reached 1
            (["env.image_size=44"], 0.9, False),  # the same
            (["env.image_size=40"], 0.9, True),
            (["env.image_size=48"], 0.9, False),
        ],
    )
    def test_what_was_solved(self, root, overrides, score, passed):
        run = earlier_run(root, *overrides, score=score)
        result = check("simpler_first", root, "env.image_size=44")
        assert result.passed == passed
        assert (result.seen == f"solved before: {run.id}") == passed

    def test_another_algorithm_does_not_count(self, root):
        earlier_run(root, TRUE, score=1.0, change=lambda params: params["agent"].update(algorithm="dqn"))
        assert not check("simpler_first", root).passed

    @pytest.mark.parametrize("other, passed", [("cart", True), ("pole", False), ("maze", False), ("none", False)])
    def test_the_order_of_environments(self, root, monkeypatch, other, passed):
        monkeypatch.setattr(history, "SIMPLEST_FIRST", (("cart",), ("moving-dot", "pole"), ("maze",)))
        earlier_run(root, score=0.9, change=lambda params: params["env"].update(id=other))
        result = check("simpler_first", root, TRUE)
        assert result.passed == passed
        assert passed or result.seen == "ppo has solved none of: cart from any reward"

    def test_what_is_not_listed_is_tried_after_all_that_is(self):
        assert simpler_environments("unlisted") == list(chain(*SIMPLEST_FIRST))
        assert simpler_environments("HalfCheetah-v5") == list(SIMPLEST_FIRST[0])

    @pytest.mark.parametrize(
        "success, fetched, passed", [(True, True, True), (False, True, False), (True, False, False)]
    )
    def test_a_cell_of_the_pipeline(self, root, success, fetched, passed):
        write_cell(root, "baseline", 3, success, config(TRUE).model_dump(mode="json") if fetched else None)
        result = check("simpler_first", root)
        assert result.passed == passed
        assert not passed or result.seen == "solved before: results/cells/baseline/seed-3"

    def test_an_ablation_is_evidence_of_its_own_parameters(self, root):
        simpler, same = (config(*source).model_dump(mode="json") for source in ([TRUE], []))
        write_cell(root, "baseline", 3, False, simpler)  # this has failed
        write_cell(root, "baseline", 3, True, same, ablation="no-ensemble")
        assert not check("simpler_first", root).passed
        write_cell(root, "baseline", 4, True, simpler, ablation="random-queries")
        assert check("simpler_first", root).seen == "solved before: results/cells/baseline/random-queries/seed-4"

    def test_a_damaged_cell_is_named(self, root):
        write_cell(root, "baseline", 3, True, None)
        (root / "results/cells/baseline/seed-3.json").write_text("{")
        result = check("simpler_first", root)
        assert not result.passed and "results/cells/baseline/seed-3.json: Invalid JSON" in result.seen

    @pytest.mark.parametrize("text", ["{", "[]", "{}", "3"])
    def test_damaged_facts_of_models_are_named(self, root, text):
        write_cell(root, "baseline", 3, True, config(TRUE).model_dump(mode="json"))
        (root / "models/baseline/seed-3/run.json").write_text(text)
        result = check("simpler_first", root)
        assert not result.passed and "models/baseline/seed-3/run.json: cannot be read" in result.seen


def write_cell(root, experiment, seed, success, params, ablation=None):
    """A result of the pipeline, and the facts of its models if there are `params`."""
    score = {"score": 0.9 if success else 0.1, "return_mean": 1.0, "return_std": 0.0, "returns_sum": 1.0}
    facts = {"seed": seed, "code_hash": "c", "dirty": False, "env_steps": 1, "labels": None, "wall_seconds": 1.0}
    evaluation = {"episodes": 1, "seed": 0} | dict.fromkeys(("sampled", "greedy", "random", "optimal"), score)
    judged = {"judged": "sampled", "success": success, "success_score": 0.85, "evaluation": evaluation}
    name = f"{experiment}/{ablation}" if ablation else experiment
    cell = root / f"results/cells/{name}/seed-{seed}.json"
    cell.parent.mkdir(parents=True)
    cell.write_text(json.dumps({"experiment": experiment, "ablation": ablation, "run": "r"} | facts | judged))
    if params:
        models = root / f"models/{name}/seed-{seed}/run.json"
        models.parent.mkdir(parents=True)
        models.write_text(json.dumps({"id": "r", "params": params} | facts))
