"""Environments whose episodes are shorter than a segment, or of any length: nothing crashes, and sums are compared."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from project import DISABLED_WANDB, SOURCE, assert_equal_runs, write_tiny_params

from repro.asking.questions import collect_initial_labels
from repro.config import Config, load_config
from repro.preferences.store import PreferenceStore
from repro.preflight.reward_models import check_overfits_batch
from repro.reading import UserError
from repro.session.progress import Progress
from repro.session.run import train_run
from repro.tracking.archive import RunFolder
from repro.tracking.metrics import read_metrics

CARTPOLE = (
    *(
        "env.num_envs=4",
        "env.fixed_horizon=false",
        "env.max_steps=500",
        "agent.rollout_steps=64",
        "agent.minibatches=4",
    ),
    *(
        "agent.epochs=2",
        "preferences.initial_labels=20",
        "preferences.total_labels=60",
        "training.checkpoint_rollouts=3",
    ),
    *("reward_model.pretraining_steps=20", "reward_model.steps_per_rollout=4", "training.total_steps=4096"),
    *("evaluation.video_rollouts=0", "preferences.label_decay_steps=2000"),
)
LONG, QUERIES = "preferences.segment_steps=50", ("preferences.queries=disagreement", "preferences.query_candidates=4")


def configuration(*overrides: str) -> Config:
    return load_config(SOURCE / "presets/cartpole-preferences.yaml", [*CARTPOLE, *overrides])


def train(folder: Path, seed: int, *overrides: str) -> list[dict]:
    folder.mkdir(exist_ok=True)
    run = RunFolder(folder, {"id": "run", "seed": seed})
    train_run(run, configuration(*overrides), DISABLED_WANDB, None)
    return read_metrics(folder / "metrics.jsonl")


def comparisons(folder: Path) -> list[tuple]:
    """Of each: lengths of left and right, true returns, and the preference."""
    with PreferenceStore(folder / "preferences.db") as store:
        return [
            (len(left), len(right), left.true_return, right.true_return, label.preference)
            for label in store.labelled(folder.name)
            for left, right in [(store.segment(label.left), store.segment(label.right))]
        ]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_plain_cartpole_with_segments_longer_than_its_first_episodes(tmp_path, seed):
    """A pole that is left to chance falls after 9 to 60 steps."""
    rows = train(tmp_path, seed, LONG)
    assert rows[-1]["preferences/labels"] == 60 and rows[-1]["preferences/overdue"] == 0
    compared = comparisons(tmp_path)
    lengths = [length for left, right, *_ in compared for length in (left, right)]
    assert min(lengths) < 25 and max(lengths) <= 50 and len(set(lengths)) > 10
    for left, right, left_return, right_return, preference in compared:
        assert (left_return, right_return) == (left, right)  # one a step: the longer one was better
        assert preference == (1.0 if left > right else 0.0 if left < right else 0.5)


def test_segments_of_one_step(tmp_path):
    rows = train(tmp_path, 3, "preferences.segment_steps=1", *QUERIES)
    assert rows[-1]["preferences/labels"] == 60
    assert {length for left, right, *_ in comparisons(tmp_path) for length in (left, right)} == {1}


def test_a_resume_equals_an_uninterrupted_run_whatever_the_oracle_draws(tmp_path, monkeypatch):
    """With short episodes, informative queries, and an oracle that errs in every way."""
    errs = ("rationality=0.3", "mistake=0.2", "skip_probability=0.1", "equal_threshold=2", "discount=0.9")
    settings = (LONG, *QUERIES, *(f"preferences.oracle.{setting}" for setting in errs))
    rows = train(tmp_path / "whole", 4, *settings)
    assert rows[-1]["preferences/labels"] < 60 and rows[-1]["preferences/ties"] > 0  # some were skipped
    update = Progress.update

    def stop(self: Progress, row: dict) -> None:
        if row["env_step"] >= rows[-3]["env_step"]:
            raise KeyboardInterrupt
        update(self, row)

    monkeypatch.setattr(Progress, "update", stop)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", 4, *settings)
    monkeypatch.undo()
    train(tmp_path / "stopped", 4, *settings)
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")


def test_queries_by_disagreement_say_so_and_others_than_uniform_ones_are_asked(tmp_path):
    train(tmp_path / "uniform", 5)
    train(tmp_path / "best", 5, *QUERIES)
    asked = {}
    for name in ("uniform", "best"):
        with PreferenceStore(tmp_path / name / "preferences.db") as store:
            asked[name] = store._connection.execute(
                "SELECT number, strategy, left_hash FROM queries ORDER BY number"
            ).fetchall()
    assert asked["uniform"][:20] == asked["best"][:20]  # the initial ones, for which there is no model yet
    assert {strategy for _, strategy, _ in asked["best"][20:]} == {"disagreement"}
    assert [left for *_, left in asked["best"]] != [left for *_, left in asked["uniform"]]


def test_too_few_segments_in_all_the_steps_there_are_is_refused(tmp_path):
    write_tiny_params(tmp_path / "params.yaml")
    config = load_config(tmp_path / "params.yaml", ["preferences.segment_steps=32", "training.total_steps=512"])
    with PreferenceStore(tmp_path / "preferences.db") as store:
        with pytest.raises(
            UserError, match=r"initial_labels \(16\): only 0 comparisons, and 8 more segments of 32 steps"
        ):
            collect_initial_labels(config, 0, store, "run")
        assert store.query_count("run") == 0


def test_rollouts_without_segments_are_noted_and_made_up_for(tmp_path, capsys):
    """Segments as long as a rollout: there are none where an episode began within it."""
    write_tiny_params(tmp_path / "params.yaml")
    settings = ("preferences.segment_steps=32", "env.max_frames=132", "preferences.initial_labels=4")
    config = load_config(tmp_path / "params.yaml", [*settings, "preferences.total_labels=8"])
    train_run(RunFolder(tmp_path, {"id": "run", "seed": 5}), config, DISABLED_WANDB, None)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    overdue = [row["preferences/overdue"] for row in rows]
    said = capsys.readouterr().out
    assert max(overdue) > 0 and said.count("note: labels are overdue: ") == 1
    assert all(later >= earlier for earlier, later in pairwise(row["preferences/labels"] for row in rows))


def test_nobody_is_asked_to_compare_what_is_the_same(tmp_path):
    """FrozenLake has 16 states and 4 actions: segments of a step are often alike."""
    config = load_config(
        SOURCE / "presets/frozenlake.yaml",
        ["reward.source=learned", "preferences.segment_steps=1", "preferences.initial_labels=40", "env.num_envs=4"],
    )
    with PreferenceStore(tmp_path / "preferences.db") as store:
        collect_initial_labels(config, 0, store, "run")
        labels = store.labelled("run")
    assert [label.number for label in labels] == list(range(40))
    assert all(label.left != label.right for label in labels)


@pytest.mark.parametrize("seed", [100, 101])
def test_a_few_labels_are_learned_by_heart_where_padding_pays_nothing(seed: int, tmp_path: Path) -> None:
    """The preflight check must leave padding out, as training does: with it, all sums are nearly equal."""
    config = configuration(LONG, f"seeds.tuning=[{seed}]", f"seeds.pipeline=[{seed}]")
    assert check_overfits_batch(config, tmp_path).passed
