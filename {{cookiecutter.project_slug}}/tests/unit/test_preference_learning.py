"""The reward model while the agent trains: which comparisons it gets and when, from which start, at which rate."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from project import assert_equal_runs, labels, write_tiny_params

from repro.agents.ppo import PPO
from repro.asking.questions import choose_pairs, collect_initial_labels
from repro.checkpoint import load_checkpoint, save_checkpoint
from repro.config import Config, load_config
from repro.envs import describe_environment
from repro.preferences.export import check_export
from repro.preferences.reward_model import RewardModel
from repro.preferences.schedule import labels_due
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.session.progress import Progress
from repro.session.run import train_run
from repro.tracking.archive import RunFolder
from repro.tracking.metrics import read_metrics
from repro.tracking.wandb import WandbSettings
from repro.training import make_trainer, trainer

# A rollout of 32 steps seldom holds a segment of 25 more than once, and no more than 8 in all environments.
SCARCE = ("preferences.segment_steps=25", "preferences.initial_labels=4", "preferences.total_labels=40")


def tiny(folder: Path, *overrides: str) -> Config:
    write_tiny_params(folder / "params.yaml")
    return load_config(folder / "params.yaml", overrides)


def train(folder: Path, *overrides: str, preferences: Path | None = None) -> list[dict]:
    """A run in `folder`, or what is left of it; its metrics."""
    folder.mkdir(exist_ok=True)
    run = RunFolder(folder, {"id": "run", "seed": 5})
    train_run(run, tiny(folder, *overrides), WandbSettings(None, "dot", "disabled"), preferences)
    return read_metrics(folder / "metrics.jsonl")


def export(folder: Path, *overrides: str) -> Path:
    config = tiny(folder, *overrides)
    with PreferenceStore(folder / "initial.db", describe_environment(config.env)) as store:
        steps = collect_initial_labels(config, 5, store, "initial")
        store.export(folder / "export", name="tiny", seed=5, env_steps=steps)
    return folder / "export"


def interrupt_at(monkeypatch: pytest.MonkeyPatch, env_step: int) -> None:
    """Stop the next run when it has done so many steps, its last rows not yet in a checkpoint."""
    update = Progress.update

    def stop(self: Progress, row: dict) -> None:
        if row["env_step"] >= env_step:
            raise KeyboardInterrupt
        update(self, row)

    monkeypatch.setattr(Progress, "update", stop)


def test_what_finds_no_segments_is_asked_for_later_and_no_segment_twice(tmp_path, monkeypatch):
    rows = train(tmp_path / "whole", *SCARCE)
    preferences = tiny(tmp_path, *SCARCE).preferences
    initial = rows[0]["env_step"] - 256
    due = [labels_due(preferences, row["env_step"] - initial, 3072 - initial) for row in rows]
    counts = [row["preferences/labels"] for row in rows]
    assert all(count <= wanted for count, wanted in zip(counts, due, strict=True)) and counts != due
    assert all(later - earlier <= 4 for earlier, later in pairwise(counts))
    assert counts[-1] > 20
    sides = [side for label in labels(tmp_path / "whole") for side in label[2:4]]
    assert len(set(sides)) == len(sides) == 2 * counts[-1]

    interrupt_at(monkeypatch, rows[-3]["env_step"])
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", *SCARCE)
    monkeypatch.undo()
    train(tmp_path / "stopped", *SCARCE)
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")


def test_an_answer_that_cannot_be_learned_from_does_not_stop_a_resume(tmp_path, monkeypatch):
    folder = export(tmp_path)
    lines = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    lines[3]["answer"] = "incomparable"
    (folder / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    whole = train(tmp_path / "whole", preferences=folder)
    assert whole[-1]["preferences/labels"] == 39  # of 40 queries
    interrupt_at(monkeypatch, whole[-1]["env_step"])
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", preferences=folder)
    monkeypatch.undo()
    assert (tmp_path / "stopped/checkpoints/last.pt").exists()
    train(tmp_path / "stopped", preferences=folder)
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(("device", "asked"), [("cpu", 16), ("cuda", 17)])
def test_on_a_gpu_a_run_that_was_killed_keeps_what_it_asked(tmp_path, device, asked):
    """There a repeated rollout need not be the same, and would contradict what the store holds of the first one."""
    config = tiny(tmp_path)
    with PreferenceStore(tmp_path / "preferences.db", describe_environment(config.env)) as store:
        steps = collect_initial_labels(config, 5, store, "run")
        made = make_trainer(config, 5, "run", store, steps)
        left, right = (store.segment(label.left) for label in store.labelled("run")[:2])
        store.add_query("run", 16, left, right, steps + 256, "uniform")
        store.add_label("run", 16, "left", "oracle", None, steps + 256)
        model = made.learning.model
        model.device = made.device = torch.device(device)
        model.standardise = model.train = lambda *_: {}
        made.learning.start(steps)
        assert made.learning.queries == len(made.learning.taken) == asked
        assert made.state_dict()["exact"] == (device == "cpu")


def stopped_between_checkpoints(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """A run that was stopped after it had asked more than its last checkpoint knows of; all its labels."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, 2560)
        train(folder)
    asked = labels(folder)
    assert load_checkpoint(folder / "checkpoints/last.pt")["trainer"]["learning"]["queries"] < len(asked) < 40
    return asked


@pytest.mark.parametrize("rounds_otherwise", [False, True])
def test_a_run_that_does_not_repeat_itself_keeps_what_it_asked_and_goes_on(
    tmp_path, monkeypatch, capsys, rounds_otherwise
):
    """Another processor may round otherwise: one other action, and the same queries are of other segments."""
    asked = stopped_between_checkpoints(tmp_path / "run", monkeypatch)
    state = load_checkpoint(tmp_path / "run/checkpoints/last.pt")["trainer"]
    for weights in state["agent"]["network"].values() if rounds_otherwise else ():
        weights *= 1.01
    capsys.readouterr()
    with PreferenceStore(tmp_path / "run/preferences.db") as store:
        made = make_trainer(tiny(tmp_path), 5, "run", store)
        made.load_state_dict(state)
        assert made.exact
        rows = list(made.rows())
    assert made.exact is not rounds_otherwise
    notes = capsys.readouterr().out.splitlines()
    assert [note.startswith("note: the run does not repeat itself bit for bit: ") for note in notes] == (
        [True] if rounds_otherwise else []
    )
    assert rows[-1]["env_step"] == 3072 and rows[-1]["preferences/labels"] == 40
    assert [row["preferences/overdue"] for row in rows] == [0] * len(rows)
    after = labels(tmp_path / "run")
    assert after[: len(asked)] == asked and [label[1] for label in after] == list(range(40))


def test_the_record_of_such_a_run_says_so(tmp_path, monkeypatch):
    stopped_between_checkpoints(tmp_path / "run", monkeypatch)
    path = tmp_path / "run/checkpoints/last.pt"
    checkpoint = load_checkpoint(path)
    for weights in checkpoint["trainer"]["agent"]["network"].values():
        weights *= 1.01
    save_checkpoint(path, checkpoint)
    assert train(tmp_path / "run")[-1]["env_step"] == 3072
    assert json.loads((tmp_path / "run/run.json").read_text())["exact"] is False


@pytest.mark.parametrize("processor", ["the same", "another"])
def test_only_on_the_same_type_of_processor_a_resume_is_taken_to_be_exact(tmp_path, monkeypatch, processor):
    monkeypatch.setattr(trainer, "cpu_model", lambda: "the same")
    asked = stopped_between_checkpoints(tmp_path / "run", monkeypatch)
    monkeypatch.setattr(trainer, "cpu_model", lambda: processor)
    rows = train(tmp_path / "run")
    assert rows[-1]["env_step"] == 3072 and labels(tmp_path / "run")[: len(asked)] == asked
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record.get("exact", True) is (processor == "the same")


def test_nobody_is_asked_to_compare_what_looks_the_same_whatever_its_rewards(tmp_path):
    one, alike, other = (
        Segment(np.full((3, 2), seen, np.float32), np.zeros(3, np.int64), np.full(3, reward, np.float32))
        for seen, reward in ((0, -1), (0, -100), (1, -1))
    )
    preferences = tiny(tmp_path).preferences
    assert choose_pairs([one, alike], 1, preferences, np.random.default_rng(0)) == []
    assert len(choose_pairs([one, other], 1, preferences, np.random.default_rng(0))) == 1


def test_all_answers_of_an_export_with_gaps_are_learned_from_and_the_run_goes_on_asking(tmp_path):
    folder = export(tmp_path)
    lines = [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]
    kept = [line for line in lines if line["number"] not in (3, 7)]  # what nobody has answered is not exported
    again = [line | {"repeat": True} for line in lines if line["number"] in (7, 9)]  # of 7 the first was undone
    (folder / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept + again))
    meta = json.loads((folder / "meta.json").read_text()) | {"labels": 14, "answers": 16}
    (folder / "meta.json").write_text(json.dumps(meta) + "\n")
    rows = train(tmp_path / "run", "preferences.initial_labels=14", preferences=folder)
    assert rows[-1]["preferences/labels"] == 40
    with PreferenceStore(tmp_path / "run/preferences.db") as store:
        first = store.labelled("run")[:14]
        asked_again = store.labelled("run repeats")
    assert [(one.left, one.right) for one in first] == [(line["left"], line["right"]) for line in kept]
    assert [(one.number, one.left) for one in asked_again] == [(8 - 1, lines[9]["left"])]


def test_labels_that_the_window_leaves_behind_stay_labels(tmp_path):
    rows = train(tmp_path / "run", "reward_model.label_window=20")
    assert (rows[-1]["preferences/labels"], rows[-1]["reward_model/comparisons"]) == (40, 20)


def test_exports_of_other_segments_are_refused(tmp_path):
    folder = export(tmp_path)
    environment = describe_environment(tiny(tmp_path).env)
    check_export(tiny(tmp_path), environment, folder, 5)
    with pytest.raises(UserError, match=r"holds segments of 10 steps, but preferences.segment_steps is 12; collect"):
        check_export(tiny(tmp_path, "preferences.segment_steps=12"), environment, folder, 5)


def test_both_learning_rates_follow_the_progress_before_the_rollout(tmp_path, monkeypatch):
    seen: dict[type, list[float]] = {RewardModel: [], PPO: []}
    fit, update = RewardModel.train, PPO.update

    def record_fit(self, steps, progress=0.0):
        seen[RewardModel].append(progress)
        return fit(self, steps, progress)

    def record_update(self, rollout, progress):
        seen[PPO].append(progress)
        return update(self, rollout, progress)

    monkeypatch.setattr(RewardModel, "train", record_fit)
    monkeypatch.setattr(PPO, "update", record_update)
    train(tmp_path / "run")
    pretraining, *fits = seen[RewardModel]
    assert pretraining == 0 and fits == seen[PPO] == [step / 3072 for step in range(512, 3072, 256)]


def test_the_time_before_the_first_rollout_is_no_part_of_it(tmp_path, monkeypatch):
    def slowly(*arguments):
        time.sleep(1)
        return collect_initial_labels(*arguments)

    monkeypatch.setattr(trainer, "collect_initial_labels", slowly)
    first, second, *_ = train(tmp_path / "run")
    rollout = 256 / first["throughput/steps_per_second"]
    assert first["time/wall"] - rollout > 1 and first["time/initial_labels"] > 1
    assert "time/initial_labels" not in second and second["time/wall"] > first["time/wall"]


def test_the_first_weights_of_the_reward_model_do_not_depend_on_the_policy(tmp_path):
    def weights(seed: int, *overrides: str) -> torch.Tensor:
        with PreferenceStore(tmp_path / "preferences.db") as store:
            made = make_trainer(tiny(tmp_path, *overrides), seed, "run", store)
        assert made.learning
        return torch.cat([values.flatten() for values in made.learning.model.network.parameters()])

    assert torch.equal(weights(5), weights(5, "env.actions=continuous"))
    assert not torch.equal(weights(5), weights(6))
