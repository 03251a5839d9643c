"""Preferences leave a store as files and come back exactly; damaged files enter nothing."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from repro.preferences.segments import Segment, load_segments, save_segments
from repro.preferences.store import PreferenceStore
from repro.reading import UserError

ANSWERS = ["left", "right", "tie", "incomparable"]


def fill(store, order=(0, 1, 2, 3)):
    """Four labelled queries and one without a label, entered in the given order."""
    generator = np.random.default_rng(0)
    segments = [
        Segment(
            generator.integers(0, 256, (8, 6, 6), np.uint8),
            generator.integers(0, 5, 5),
            generator.normal(size=5).astype(np.float32),
        )
        for _ in range(6)
    ]
    for number in order:
        store.add_query("r", number, segments[number], segments[number + 1], 10 * number, "uniform")
    for number in order:
        annotator, latency = ("anna", 1.5) if number else ("oracle", None)
        store.add_label(
            "r", number, ANSWERS[number], annotator, latency, 50, created=f"2026-11-21T10:00:0{number}+01:00"
        )
    store.add_query("r", 4, segments[4], segments[5], 40, "uniform")


@pytest.fixture
def exported(tmp_path):
    with PreferenceStore(tmp_path / "source.db", "moving-dot") as store:
        fill(store)
        store.export(tmp_path / "data", name="dot", seed=100, env_steps=640)
    return tmp_path / "data"


def contents(path):
    """Everything in a store but the order of entry and the times of day of oracles."""
    with closing(sqlite3.connect(path)) as connection, connection:
        columns = "run, number, answer, annotator, latency_seconds, env_step, iif(annotator = 'oracle', 0, created)"
        return [
            sorted(connection.execute(query).fetchall())
            for query in (f"SELECT {columns} FROM labels", "SELECT * FROM queries", "SELECT * FROM segments")
        ]


def test_labels_are_readable_one_a_line_and_name_their_segments(exported):
    labels = [json.loads(line) for line in (exported / "labels.jsonl").read_text().splitlines()]
    segments = {segment.hash: segment for segment in load_segments(exported / "segments.npz")}
    assert [label["number"] for label in labels] == [0, 1, 2, 3]
    assert [label["answer"] for label in labels] == ANSWERS
    assert labels[1] == {
        "number": 1,
        "repeat": False,
        "answer": "right",
        "annotator": "anna",
        "left": labels[0]["right"],
        "right": labels[2]["left"],
        "strategy": "uniform",
        "env_step": 10,
        "latency_seconds": 1.5,
        "labelled_at": 50,
        "created": "2026-11-21T09:00:01.000+00:00",
        "true_returns": [segments[labels[1][side]].true_return for side in ("left", "right")],
    }
    assert len(segments) == 5  # those of the query without a label stay out
    assert json.loads((exported / "meta.json").read_text()) == {
        "format": 3,
        "name": "dot",
        "seed": 100,
        "env_steps": 640,
        "environment": "moving-dot",
        "labels": 4,
        "answers": 4,
    }


def test_the_same_content_gives_the_same_bytes(exported, tmp_path, monkeypatch):
    """Whatever the order and time of entry, and whether or not an answer was changed on the way."""
    with PreferenceStore(tmp_path / "second.db", "moving-dot") as store:
        fill(store, order=(2, 0, 3, 1))
        store.add_label("r", 2, "left", "anna", 9.0, 51)
        store.add_label("r", 2, "undo", "anna", 9.0, 52)
        store.add_label("r", 2, "tie", "anna", 1.5, 50, created="2026-11-21T10:00:02+01:00")
        store.export(tmp_path / "second", name="dot", seed=100, env_steps=640)
    for name in ("labels.jsonl", "segments.npz", "meta.json"):
        assert (exported / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_round_trip_is_exact_and_repeatable(exported, tmp_path):
    with PreferenceStore(tmp_path / "copy.db", "moving-dot") as store:
        assert store.import_from(exported, "r") == 4
        once = contents(store.path)
        assert store.import_from(exported, "r") == 0
        assert contents(store.path) == once
        with PreferenceStore(tmp_path / "source.db") as source:
            assert store.labelled("r") == source.labelled("r") and store.counts() == source.counts()
            for comparison in store.labelled("r"):
                for name in (comparison.left, comparison.right):
                    ours, theirs = store.segment(name), source.segment(name)
                    np.testing.assert_array_equal(ours.true_rewards, theirs.true_rewards, strict=True)
                    np.testing.assert_array_equal(ours.observations, theirs.observations, strict=True)
        store.export(tmp_path / "again", name="dot", seed=100, env_steps=640)
    for path in exported.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_an_import_never_overrides_a_later_answer(exported, tmp_path):
    with PreferenceStore(tmp_path / "copy.db") as store:
        store.import_from(exported, "r")
        store.add_label("r", 1, "left", "anna", 2.0, 0)
        store.import_from(exported, "r")
        assert store.labelled("r")[1].preference == 1.0


def test_an_import_does_not_mix_with_other_queries_of_the_run(exported, tmp_path):
    with PreferenceStore(tmp_path / "copy.db") as store:
        fill(store, order=(3, 2))
        segment = store.segment(store.labelled("r")[0].left)
        store.add_query("r", 1, segment, segment, 0, "uniform")
        before = contents(store.path)
        with pytest.raises(UserError, match="query 1 of run r was entered with other segments"):
            store.import_from(exported, "r")
        assert contents(store.path) == before
        store.import_from(exported, "imported")
        assert len(store.labelled("imported")) == 3


def test_exports_that_say_too_little_or_too_much_are_refused(tmp_path):
    with PreferenceStore(tmp_path / "a.db") as store:
        with pytest.raises(UserError, match=r"a\.db: holds no labels yet"):
            store.export(tmp_path / "data", name="dot", seed=1, env_steps=0)
        fill(store)
        segment = store.segment(store.labelled("r")[0].left)
        store.add_query("other", 0, segment, segment, 0, "uniform")
        store.add_label("other", 0, "tie", "anna", 1.0, 0)
        with pytest.raises(UserError, match=r"holds several runs \(other, r\)"):
            store.export(tmp_path / "data", name="dot", seed=1, env_steps=0)
        assert not (tmp_path / "data").exists()
        store.export(tmp_path / "data", name="dot", seed=1, env_steps=0, run="other")
    assert len((tmp_path / "data" / "labels.jsonl").read_text().splitlines()) == 1


def edited(exported, index, **changes):
    """Change fields of one line of labels.jsonl; None takes the field away."""
    path = exported / "labels.jsonl"
    lines = path.read_text().splitlines()
    label = json.loads(lines[index]) | changes
    lines[index] = json.dumps({field: value for field, value in label.items() if value is not None})
    path.write_text("\n".join(lines) + "\n")


def rewritten(path, text):
    path.write_text(text)


def cut(path, fraction):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])


DAMAGE = {
    "segment not there": (
        lambda data: edited(data, 2, left="0" * 64),
        rf"labels\.jsonl, line 3: left names segment {'0' * 64}, which segments\.npz does not hold",
    ),
    "fewer segments": (
        lambda data: save_segments(data / "segments.npz", load_segments(data / "segments.npz")[:3]),
        r"labels\.jsonl, line 3: right names segment",
    ),
    "unknown answer": (
        lambda data: edited(data, 1, answer="both"),
        r"line 2: answer: \"both\" will not do",
    ),
    "undo": (lambda data: edited(data, 1, answer="undo"), r'line 2: answer: "undo" will not do'),
    "missing field": (lambda data: edited(data, 3, annotator=None), r"line 4: annotator: missing"),
    "wrong type": (
        lambda data: edited(data, 0, number="0"),
        r'line 1: number: "0" will not do',
    ),
    "truth value": (lambda data: edited(data, 0, number=True), r"line 1: number: true will not do"),
    "negative": (lambda data: edited(data, 0, number=-1), r"line 1: number: -1 will not do"),
    "too large": (lambda data: edited(data, 3, env_step=2**63), r"line 4: env_step: 9223372036854775808 will not do"),
    "half a character": (
        lambda data: edited(data, 1, annotator="\ud800"),
        r"line 2: Invalid JSON",
    ),
    "labelled twice": (lambda data: edited(data, 3, number=2), r"line 4: query 2 is labelled twice by anna"),
    "no JSON": (
        lambda data: rewritten(data / "labels.jsonl", "left\n"),
        r"labels\.jsonl, line 1: Invalid JSON",
    ),
    "no object": (lambda data: rewritten(data / "labels.jsonl", "[1]\n"), r"line 1: Input should be an object"),
    "deep nesting": (lambda data: rewritten(data / "labels.jsonl", "[" * 100_000 + "\n"), r"line 1: Invalid JSON"),
    "no text": (lambda data: (data / "labels.jsonl").write_bytes(b"\xff\xfe\n"), r"labels\.jsonl: cannot be read"),
    "empty labels": (lambda data: rewritten(data / "labels.jsonl", ""), r"labels\.jsonl: truncated"),
    "truncated labels": (lambda data: cut(data / "labels.jsonl", 0.7), r"labels\.jsonl: truncated"),
    "a line less": (
        lambda data: rewritten(data / "labels.jsonl", (data / "labels.jsonl").read_text().split("\n")[0] + "\n"),
        r"labels\.jsonl: holds 1 answers where meta\.json says 4",
    ),
    "truncated segments": (lambda data: cut(data / "segments.npz", 0.7), r"segments\.npz: not a complete file"),
    "no segments": (lambda data: (data / "segments.npz").unlink(), r"segments\.npz: no such file"),
    "no labels": (lambda data: (data / "labels.jsonl").unlink(), r"labels\.jsonl: no such file"),
    "no meta": (lambda data: (data / "meta.json").unlink(), r"holds no exported preferences \(no meta\.json\)"),
    "meta of something else": (
        lambda data: rewritten(data / "meta.json", '{"format": 3}\n'),
        r"meta\.json: name: missing",
    ),
    "older meta": (lambda data: rewritten(data / "meta.json", "{}\n"), r"meta\.json: has format 1; .* export the"),
    "newer meta": (
        lambda data: rewritten(data / "meta.json", '{"format": 4}\n'),
        r"meta\.json: has format 4; this code reads format 3 only; use the newer code",
    ),
    "no time": (
        lambda data: edited(data, 1, created="yesterday"),
        r'line 2: created: "yesterday" .* a time with',
    ),
    "no zone": (
        lambda data: edited(data, 1, created="2026-11-21T10:00"),
        r"line 2: created: .* a time with its",
    ),
    "before time": (lambda data: edited(data, 1, created="0001-01-01T00:00+14:00"), r"line 2: created: .* will not do"),
    "half a repeat": (lambda data: edited(data, 1, repeat=2), r"line 2: repeat: 2 will not do"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_export_is_refused_and_nothing_enters(exported, tmp_path, damage):
    break_it, reason = DAMAGE[damage]
    break_it(exported)
    with PreferenceStore(tmp_path / "copy.db") as store:
        with pytest.raises(UserError, match=reason) as caught:
            store.import_from(exported, "r")
        assert str(exported) in str(caught.value) and "\n" not in str(caught.value)
        assert contents(store.path) == [[], [], []]


def test_preferences_for_another_environment_are_refused(exported, tmp_path):
    with PreferenceStore(tmp_path / "copy.db", "pong") as store:
        with pytest.raises(UserError, match="holds preferences for moving-dot, not for pong"):
            store.import_from(exported, "r")
        assert contents(store.path) == [[], [], []]
