"""Several annotators in one store, what they are asked once more, and how both leave a store and come back."""

import json

import numpy as np
import pytest

from repro.preferences.schema import REPEATS
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.reading import UserError

ANSWERS = {1.0: "left", 0.0: "right", 0.5: "tie"}  # by the preference that they say
NOON, LATER = "2026-11-21T12:00:00+00:00", "2026-11-21T12:30:00+00:00"


@pytest.fixture
def segments():
    generator = np.random.default_rng(0)
    return [
        Segment(generator.normal(size=(5, 3)).astype(np.float32), np.arange(5), np.ones(5, np.float32))
        for _ in range(4)
    ]


@pytest.fixture
def store(tmp_path, segments):
    """Three queries of run `r`; the second was asked once more, with its sides exchanged."""
    with PreferenceStore(tmp_path / "preferences.db", "dot") as store:
        for number in range(3):
            store.add_query("r", number, segments[number], segments[number + 1], 0, "uniform")
        store.add_query("r" + REPEATS, 1, segments[2], segments[1], 0, "repeat")
        yield store


def standing(store, run="r"):
    return [(label.number, ANSWERS[label.preference]) for label in store.labelled(run)]


def test_the_latest_of_several_people_counts_whatever_the_order_of_entry(store):
    store.add_label("r", 0, "left", "anna", 1.0, 0, LATER)
    store.add_label("r", 0, "right", "bert", 1.0, 0, NOON)  # an import
    assert standing(store) == [(0, "left")]
    store.add_label("r", 0, "tie", "bert", 1.0, 0, "2026-11-21T13:31:00+01:00")  # 12:31 in UTC
    assert standing(store) == [(0, "tie")]


def test_a_person_counts_before_the_oracle_also_if_it_answers_later(store):
    store.add_label("r", 0, "left", "anna", 1.0, 0, NOON)
    store.add_label("r", 0, "right", "oracle", None, 0)
    assert standing(store) == [(0, "left")]
    store.add_label("r", 0, "undo", "anna", 1.0, 0)
    assert standing(store) == [(0, "right")]


def test_what_is_asked_once_more_is_neither_learned_from_nor_counted_as_waiting(store):
    store.add_label("r", 1, "left", "anna", 1.0, 0)
    assert store.waiting() == 2
    store.add_label("r" + REPEATS, 1, "left", "anna", 1.0, 0)
    assert standing(store) == [(1, "left")]
    assert store.waiting() == 2 and store.counts()["labels"] == 1


@pytest.fixture
def exported(store, tmp_path):
    store.add_label("r", 0, "right", "oracle", None, 7)
    store.add_label("r", 0, "left", "anna", 2.5, 8, LATER)
    store.add_label("r", 1, "left", "anna", 1.5, 8, NOON)
    store.add_label("r", 1, "right", "bert", 3.5, 8, LATER)
    store.add_label("r" + REPEATS, 1, "right", "anna", 4.5, 9, LATER)
    store.add_label("r", 2, "tie", "bert", 1.0, 9, NOON)
    store.add_label("r", 2, "undo", "bert", None, 9, LATER)
    store.export(tmp_path / "data", name="dot", seed=3, env_steps=0)
    return tmp_path / "data"


def test_an_export_holds_every_answer_that_was_not_withdrawn(exported):
    lines = [json.loads(line) for line in (exported / "labels.jsonl").read_text().splitlines()]
    found = [[line[name] for name in ("number", "repeat", "annotator", "answer", "created")] for line in lines]
    later, noon = LATER.replace("+", ".000+"), NOON.replace("+", ".000+")
    assert found == [
        [0, False, "anna", "left", later],
        [0, False, "oracle", "right", None],
        [1, False, "anna", "left", noon],
        [1, False, "bert", "right", later],
        [1, True, "anna", "right", later],
    ]
    meta = json.loads((exported / "meta.json").read_text())
    assert (meta["labels"], meta["answers"]) == (2, 5)


def test_a_round_trip_keeps_who_said_what_when_and_which_answer_stands(exported, store, tmp_path):
    with PreferenceStore(tmp_path / "copy.db", "dot") as copy:
        copy.import_from(exported, "new")
        assert standing(copy, "new") == standing(store) == [(0, "left"), (1, "right")]
        assert len(copy.labelled("new")) == 2  # not the repeat
        copy.export(tmp_path / "again", name="dot", seed=3, env_steps=0)
    for path in exported.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_answers_from_elsewhere_join_those_to_the_same_queries_only(exported, tmp_path, segments):
    with PreferenceStore(tmp_path / "run.db", "dot") as run:
        run.add_query("run", 0, segments[0], segments[1], 0, "uniform")
        with pytest.raises(UserError, match="run run has not asked query 1, or of other segments; import into"):
            run.import_from(exported, "run", new_queries=False)
        assert run.value("SELECT count(*) FROM labels") == 0
        run.add_query("run", 1, segments[1], segments[2], 0, "uniform")
        run.add_label("run", 1, "tie", "anna", 1.0, 0)
        run.import_from(exported, "run", new_queries=False)
        annotators = run.rows("SELECT annotator, answer FROM answers WHERE run = 'run' AND number = 1 ORDER BY 1")
        assert [tuple(row.values()) for row in annotators] == [("anna", "tie"), ("bert", "right")]
