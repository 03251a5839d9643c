"""The preference store in one process: what is kept, what is refused, which answer stands."""

import dataclasses
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from repro.preferences.segments import Segment
from repro.preferences.store import AskedOtherwise, PreferenceStore
from repro.reading import UserError


def make_segments(count, seed=0):
    generator = np.random.default_rng(seed)
    return [
        Segment(
            generator.integers(0, 256, (8, 6, 6), np.uint8),
            generator.integers(0, 5, 5),
            generator.normal(size=5).astype(np.float32),
        )
        for _ in range(count)
    ]


@pytest.fixture
def segments():
    return make_segments(6)


@pytest.fixture
def store(tmp_path, segments):
    """Three queries of run `r`, no labels."""
    with PreferenceStore(tmp_path / "preferences.db", environment="moving-dot") as store:
        for number in range(3):
            store.add_query("r", number, segments[2 * number], segments[2 * number + 1], 100 * number, "uniform")
        yield store


def rows(store, table):
    with closing(sqlite3.connect(store.path)) as connection, connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()


def test_segments_come_back_exactly_and_are_stored_once(store, segments):
    store.add_query("r", 3, segments[0], segments[5], 0, "uniform")
    assert len(rows(store, "segments")) == 6
    for segment in segments:
        stored = store.segment(segment.hash)
        for name in ("observations", "actions", "true_rewards"):
            np.testing.assert_array_equal(getattr(stored, name), getattr(segment, name), strict=True)
    with pytest.raises(UserError, match=r"preferences\.db: no segment 00"):
        store.segment("00")


def test_segments_that_differ_in_their_rewards_alone_are_both_kept(store, segments):
    """As in CliffWalking: the fall from the cliff and a step against the wall at the start lead to the same place."""
    fall = dataclasses.replace(segments[0], true_rewards=segments[0].true_rewards - 99)
    store.add_query("r", 3, segments[0], fall, 0, "uniform")
    assert [store.segment(one.hash).true_return for one in (segments[0], fall)] == [
        segments[0].true_return,
        fall.true_return,
    ]
    assert store.true_returns()[fall.hash] == fall.true_return


def test_labels_are_those_that_stand_in_order_of_number(store, segments):
    for number, answer in ((2, "tie"), (0, "left"), (1, "right")):
        store.add_label("r", number, answer, "anna", 3.5, 500)
    found = store.labelled("r")
    assert [(c.number, c.preference) for c in found] == [(0, 1.0), (1, 0.0), (2, 0.5)]
    assert [(c.left, c.right) for c in found] == [(segments[2 * n].hash, segments[2 * n + 1].hash) for n in range(3)]
    assert store.labelled("other") == []


def test_incomparable_is_an_answer_but_not_a_label_to_learn_from(store):
    store.add_label("r", 0, "incomparable", "anna", 2.0, 0)
    store.add_label("r", 1, "tie", "anna", 2.0, 0)
    assert [c.number for c in store.labelled("r")] == [1]
    assert store.waiting() == 1
    assert store.counts() == {"labels": 1, "tie": 1, "left": 0, "right": 0, "incomparable": 1}


def test_the_last_answer_of_a_person_stands_and_undo_withdraws_it(store):
    def standing():
        return [(c.number, c.preference) for c in store.labelled("r")]

    store.add_label("r", 0, "left", "anna", 1.0, 0)
    store.add_label("r", 0, "right", "anna", 1.0, 0)
    assert standing() == [(0, 0.0)]
    store.add_label("r", 0, "undo", "anna", 1.0, 0)
    assert standing() == [] and store.waiting() == 3
    assert store.counts()["labels"] == 0
    store.add_label("r", 0, "tie", "anna", 1.0, 0)
    assert standing() == [(0, 0.5)]
    assert [row[3] for row in rows(store, "labels")] == ["left", "right", "undo", "tie"]


def test_an_undo_concerns_only_its_annotator(store):
    store.add_label("r", 0, "left", "anna", 1.0, 0)
    store.add_label("r", 0, "right", "bert", 1.0, 0)
    assert store.labelled("r")[0].preference == 0.0
    store.add_label("r", 0, "undo", "bert", 1.0, 0)
    assert store.labelled("r")[0].preference == 1.0
    for annotator, number in (("bert", 0), ("carl", 0), ("anna", 1)):
        with pytest.raises(UserError, match=f"{annotator} has no answer to query {number} of run r to undo"):
            store.add_label("r", number, "undo", annotator, 1.0, 0)


def test_a_replay_after_a_resume_enters_nothing_twice(store, segments):
    store.add_label("r", 0, "left", "oracle", None, 7)
    before = rows(store, "queries"), rows(store, "labels"), rows(store, "segments")
    for _ in range(2):
        store.add_query("r", 0, segments[0], segments[1], 0, "uniform")
        store.add_label("r", 0, "left", "oracle", None, 7)
    assert (rows(store, "queries"), rows(store, "labels"), rows(store, "segments")) == before


def test_a_replay_that_differs_is_refused(store, segments):
    with pytest.raises(AskedOtherwise, match="query 0 of run r was entered with other segments"):
        store.add_query("r", 0, segments[1], segments[0], 0, "uniform")
    new = make_segments(1, seed=9)[0]
    with pytest.raises(UserError, match="other segments"):
        store.add_query("r", 0, segments[0], new, 0, "uniform")
    assert len(rows(store, "segments")) == 6  # the refused one left nothing behind
    store.add_label("r", 0, "left", "oracle", None, 0)
    with pytest.raises(AskedOtherwise, match="the oracle answered left to query 0 of run r, and now tie"):
        store.add_label("r", 0, "tie", "oracle", None, 0)
    store.add_query("other-run", 0, segments[1], segments[0], 0, "uniform")  # the key is (run, number)


def test_labels_without_a_query_or_with_another_answer_are_refused(store):
    with pytest.raises(UserError, match="run r has no query 9 to label"):
        store.add_label("r", 9, "left", "anna", 1.0, 0)
    with pytest.raises(UserError, match="answer 'Left' will not do: use one of left, right, tie, incomparable, undo"):
        store.add_label("r", 0, "Left", "anna", 1.0, 0)
    assert rows(store, "labels") == []


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM labels", "UPDATE labels SET answer = 'right'", "UPDATE labels SET created = '' WHERE id = 1"],
)
def test_the_database_itself_refuses_to_change_labels(store, statement):
    store.add_label("r", 0, "left", "anna", 1.0, 0)
    before = rows(store, "labels")
    with (
        closing(sqlite3.connect(store.path)) as connection,
        connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute(statement)
    assert rows(store, "labels") == before


def test_a_transaction_is_all_or_nothing(store, segments):
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.add_query("r", 3, segments[0], segments[3], 0, "uniform")
        store.add_label("r", 3, "left", "anna", 1.0, 0)
        _ = 1 / 0
    assert store.waiting() == 3 and len(rows(store, "queries")) == 3
    with store.transaction():
        store.add_label("r", 0, "left", "anna", 1.0, 0)
    assert len(rows(store, "labels")) == 1


def test_each_sees_what_the_other_commits(store):
    with PreferenceStore(store.path) as other:
        assert other.waiting() == 3
        store.add_label("r", 0, "left", "anna", 1.0, 0)
        assert other.waiting() == 2
        other.add_label("r", 1, "left", "anna", 1.0, 0)
    assert store.waiting() == 1


def test_another_sees_all_after_the_first_has_closed(store):
    store.add_label("r", 0, "left", "anna", 1.0, 0)
    store.close()
    with PreferenceStore(store.path, "moving-dot") as other:
        assert len(other.labelled("r")) == 1


def test_the_environment_is_that_of_the_first_who_said_it(tmp_path):
    path = tmp_path / "preferences.db"
    with PreferenceStore(path) as store:
        assert store.environment is None
    PreferenceStore(path, "pong").close()
    with PreferenceStore(path) as store:
        assert store.environment == "pong"
    with pytest.raises(UserError, match="holds preferences for pong, not for moving-dot"):
        PreferenceStore(path, "moving-dot")


def test_odd_paths_open_the_file_they_name(tmp_path):
    path = tmp_path / "50% ?mode=memory #1 ü" / "a.db"
    path.parent.mkdir()
    PreferenceStore(path).close()
    assert path.stat().st_size > 0


def test_files_that_are_no_usable_store_are_refused_untouched(tmp_path, store, segments):
    store.close()
    good = store.path.read_bytes()
    (tmp_path / "text.db").write_text("not a database, " * 100)
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as connection, connection:
        connection.execute("CREATE TABLE labels (id)")
    (tmp_path / "short.db").write_bytes(good[: len(good) // 2])
    (tmp_path / "holes.db").write_bytes(good[:4096] + bytes(len(good) - 4096))
    (tmp_path / "newer.db").write_bytes(good)
    with closing(sqlite3.connect(tmp_path / "newer.db")) as connection, connection:
        connection.execute("PRAGMA user_version = 5")
    for name, reason in {
        "text.db": "not a database",
        "foreign.db": "not a preference database",
        "newer.db": "has format version 5; this code reads version 4 only; use the newer code that wrote it",
        "short.db": "malformed|damaged",
        "holes.db": "malformed|damaged",
    }.items():
        before = (tmp_path / name).read_bytes()
        with pytest.raises(UserError, match=rf"{name}: .*({reason})") as caught:
            PreferenceStore(tmp_path / name, "moving-dot")
        assert "\n" not in str(caught.value)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(UserError, match=r"no-folder/a\.db: unable to open"):
        PreferenceStore(tmp_path / "no-folder" / "a.db")


def test_a_page_lost_anywhere_is_noticed_on_opening(tmp_path, store):
    store.close()
    good = store.path.read_bytes()
    page = 4096
    assert len(good) > 10 * page
    for start in range(page, len(good), page):
        (tmp_path / "holed.db").write_bytes(good[:start] + bytes(page) + good[start + page :])
        with pytest.raises(UserError, match=r"holed\.db: .*(damaged|malformed)"):
            PreferenceStore(tmp_path / "holed.db")


@pytest.mark.parametrize("column", ["observations", "actions", "true_rewards"])
@pytest.mark.parametrize("damage", ["truncated", "foreign"])
def test_a_damaged_segment_is_refused(store, segments, column, damage):
    expression = (
        f"substr({column}, 1, 20)"
        if damage == "truncated"
        else ("true_rewards" if column != "true_rewards" else "actions")
    )
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute(f"UPDATE segments SET {column} = {expression}")
    with pytest.raises(UserError, match=f"segment {segments[0].hash} is damaged"):
        store.segment(segments[0].hash)


def test_several_may_create_the_same_store_at_once(tmp_path):
    def open_and_write(path, number, pair):
        with PreferenceStore(path, "moving-dot") as store:
            store.add_query("r", number, *pair, 0, "uniform")

    pair = make_segments(2)
    with ThreadPoolExecutor(4) as pool:
        for attempt in range(10):
            path = tmp_path / f"{attempt}.db"
            list(pool.map(open_and_write, [path] * 4, range(4), [pair] * 4))
            with PreferenceStore(path) as store:
                assert store.waiting() == 4


def test_creation_waits_for_another_process_that_writes(tmp_path):
    """SQLite by itself fails at once where the journal is changed while another connection writes."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        opening = pool.submit(lambda: PreferenceStore(path, "moving-dot").close())
        with pytest.raises(TimeoutError):
            opening.result(timeout=0.3)
        other.execute("ROLLBACK")
        opening.result(timeout=30)
