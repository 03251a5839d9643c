"""A person as annotator, seen from the trainer: labels come from another thread or process, when they come."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from project import DISABLED_WANDB, Project, tensors, wait_until, write_tiny_params

from repro.config import Config, load_config
from repro.preferences.schema import UNDO
from repro.preferences.store import PreferenceStore
from repro.session.progress import Progress
from repro.session.run import train_run
from repro.tracking.archive import RunFolder
from repro.tracking.metrics import read_metrics
from repro.training import make_trainer

PERSON = ("preferences.annotator=person",)
CONTINUES = (*PERSON, "preferences.when_unlabelled=continue")
INITIAL = 16  # labels, of 40


def tiny(folder: Path, *overrides: str) -> Config:
    folder.mkdir(exist_ok=True)
    write_tiny_params(folder / "params.yaml")
    return load_config(folder / "params.yaml", overrides)


def train(folder: Path, *overrides: str) -> list[dict]:
    config = tiny(folder, *overrides)
    train_run(RunFolder(folder, {"id": "run", "seed": 5}), config, DISABLED_WANDB, None)
    return read_metrics(folder / "metrics.jsonl")


def as_the_oracle(store: PreferenceStore, left: str, right: str) -> str:
    difference = store.segment(left).true_return - store.segment(right).true_return
    return "tie" if abs(difference) <= 1e-6 else "left" if difference > 0 else "right"


def unanswered(store: PreferenceStore) -> list[tuple[str, int, str, str]]:
    return store._connection.execute(
        "SELECT run, number, left_hash, right_hash FROM queries WHERE NOT EXISTS "
        "(SELECT 1 FROM labels WHERE labels.run = queries.run AND labels.number = queries.number) ORDER BY number"
    ).fetchall()


def label_all(path: Path, answer: Callable = as_the_oracle, below: int = 10**9) -> int:
    """Answer what has no answer yet, once; returns how many it were."""
    with PreferenceStore(path) as store:
        asked = [query for query in unanswered(store) if query[1] < below]
        for run, number, left, right in asked:
            store.add_label(run, number, answer(store, left, right), "ann", 0.1, 0)
    return len(asked)


@contextmanager
def somebody_labels(folder: Path, below: int = 10**9) -> Iterator[None]:
    """A thread that answers like the oracle, a moment after it is asked."""
    done = threading.Event()

    def label() -> None:
        while not done.is_set():
            if (folder / "preferences.db").exists():
                label_all(folder / "preferences.db", below=below)
            time.sleep(0.02)

    thread = threading.Thread(target=label)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_person_who_answers_as_the_oracle_does_trains_the_same_networks(tmp_path, capsys, monkeypatch):
    rows = train(tmp_path / "oracle")
    capsys.readouterr()
    path = tmp_path / "person/preferences.db"  # answered whenever the trainer has said that it waits, and sleeps
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: label_all(path))
    monkeypatch.setattr("repro.asking.learning.time", clock)
    waited = train(tmp_path / "person", *PERSON)
    for name, tensor in tensors(tmp_path / "oracle").items():
        assert torch.equal(tensor, tensors(tmp_path / "person")[name]), name
    assert [row["preferences/labels"] for row in waited] == [row["preferences/labels"] for row in rows]
    assert {row["preferences/queries_waiting"] for row in waited} == {0}
    assert max(row["time/waiting_for_labels"] for row in waited) > 0
    assert not any("time/waiting_for_labels" in row for row in rows)
    said = capsys.readouterr().out
    assert f"waiting for labels: 0 of {INITIAL}; `repro label` in another terminal" in said
    assert f"all {INITIAL} labels are there: going on" in said


def test_training_goes_on_without_labels_that_are_due(tmp_path, capsys):
    with somebody_labels(tmp_path, below=INITIAL):
        rows = train(tmp_path, *CONTINUES)
    assert {row["preferences/labels"] for row in rows} == {INITIAL}
    waiting = [row["preferences/queries_waiting"] for row in rows]
    assert waiting == sorted(waiting) and waiting[-1] == 40 - INITIAL
    said = capsys.readouterr().out
    assert said.count("note: labels are awaited: ") == 1 and "training goes on (when_unlabelled: continue)" in said


def test_answers_that_are_corrected_undone_or_late_are_taken_as_they_stand(tmp_path):
    config = tiny(tmp_path, *CONTINUES)
    with PreferenceStore(tmp_path / "preferences.db") as store:
        trainer = make_trainer(config, 5, "run", store)
        with somebody_labels(tmp_path, below=INITIAL):
            next(trainer.rows())
        learning = trainer.learning
        assert learning

        def held() -> dict[int, float]:
            comparisons = learning.model.comparisons
            order = [number for number, _ in sorted(learning.taken.items(), key=lambda item: item[0])]
            assert len(comparisons) == len(order)
            return {number: learning.taken[number][1] for number in order}

        before = held()
        assert list(before) == list(range(INITIAL)) and learning.queries > INITIAL
        first_left = next(number for number in before if before[number] == 1.0)
        undone = next(number for number in before if number != first_left)
        store.add_label("run", first_left, "right", "ann", 1.0, 0)
        store.add_label("run", undone, UNDO, "ann", None, 0)
        store.add_label("run", INITIAL, "tie", "ann", 1.0, 0)
        learning.load_labels(learning.queries)
        expected = {number: preference for number, preference in before.items() if number != undone}
        assert held() == expected | {first_left: 0.0, INITIAL: 0.5}
        everything = torch.arange(len(learning.model.comparisons))
        assert sorted(learning.model.comparisons.labels(everything)[0].tolist()) == sorted(held().values())
        store.add_label("run", undone, "incomparable", "ann", 1.0, 0)
        learning.load_labels(learning.queries)
        assert undone not in held()
        for number in held():
            store.add_label("run", number, UNDO, "ann", None, 0)
        metrics = learning.learn(trainer.storage, trainer.env_step, 0.5)
        assert metrics["preferences/labels"] == 0 and "reward_model/loss_train" not in metrics


def test_a_run_that_was_stopped_keeps_its_questions_and_takes_what_was_answered_meanwhile(
    tmp_path, monkeypatch, capsys
):
    update = Progress.update

    def stop(self: Progress, row: dict) -> None:
        if row["env_step"] >= 2304:
            raise KeyboardInterrupt
        update(self, row)

    monkeypatch.setattr(Progress, "update", stop)
    with somebody_labels(tmp_path, below=INITIAL), pytest.raises(KeyboardInterrupt):
        train(tmp_path, *CONTINUES)
    monkeypatch.undo()
    answered = label_all(tmp_path / "preferences.db")
    assert answered and (tmp_path / "checkpoints/last.pt").exists()
    rows = train(tmp_path, *CONTINUES)
    resumed = next(row for row in rows if row["preferences/labels"] > INITIAL)
    assert resumed["preferences/labels"] == INITIAL + answered
    assert rows[-1]["preferences/labels"] + rows[-1]["preferences/queries_waiting"] == 40
    assert "not bit for bit" in capsys.readouterr().out


def test_when_nothing_was_answered_by_a_preference_it_is_said(tmp_path):
    with PreferenceStore(tmp_path / "preferences.db") as store:
        trainer = make_trainer(tiny(tmp_path, "preferences.oracle.skip_probability=1"), 5, "run", store)
        with pytest.raises(ValueError, match=r"none of the 16 initial comparisons .* nothing to learn from"):
            next(trainer.rows())


def test_ctrl_c_while_waiting_interrupts_and_a_resume_takes_the_labels(project: Project):
    run = project.queue(100, *PERSON, "training.total_steps=1024", "preferences.total_labels=16")
    with project.start("resume", run.id) as process:
        log = run.path / "output.log"
        wait_until(lambda: log.exists() and "waiting for labels: 0 of 16" in log.read_text(), process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and f"interrupted; go on with: repro resume {run.id}" in err
    assert project.only_run().record["status"] == "interrupted"
    assert label_all(run.path / "preferences.db") == INITIAL
    project.does("resume", run.id)
    record = project.only_run().record
    assert record["status"] == "finished" and record["result_metrics"]["preferences/labels"] == INITIAL
