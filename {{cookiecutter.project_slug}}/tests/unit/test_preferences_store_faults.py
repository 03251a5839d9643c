"""The preference store under hard use: deleted while open, not to be written, rows torn apart, many writers."""

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import repro
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.reading import UserError


def segment(number=0):
    return Segment(np.full((5, 2), number, np.float32), np.zeros(5), np.zeros(5, np.float32))


@pytest.fixture
def store(tmp_path):
    """Two queries of run `r`, the first with a label."""
    with PreferenceStore(tmp_path / "preferences.db", "dot") as store:
        for number in range(2):
            store.add_query("r", number, segment(number), segment(number + 1), 0, "uniform")
        store.add_label("r", 0, "left", "anna", 1.0, 0)
        yield store


def rescued_copy(store):
    return next(store.path.parent.glob("preferences.db.rescued-*"))


def lose(store, how):
    if how == "replaced":
        PreferenceStore(store.path.with_name("other.db")).close()
        store.path.with_name("other.db").rename(store.path)
    else:
        for path in store.path.parent.glob("preferences.db*"):
            path.unlink()


@pytest.mark.parametrize("how", ["deleted", "replaced"])
@pytest.mark.parametrize("use", ["add_label", "labelled", "waiting"])
def test_a_database_that_vanishes_while_in_use_is_noticed_and_saved(store, how, use):
    lose(store, how)
    arguments = {"add_label": ("r", 1, "tie", "anna", 1.0, 0), "labelled": ("r",), "waiting": ()}
    with pytest.raises(UserError, match=r"preferences\.db: was deleted or replaced while in use; what it held is in"):
        getattr(store, use)(*arguments[use])
    with PreferenceStore(rescued_copy(store), "dot") as rescued:
        assert [label.preference for label in rescued.labelled("r")] == [1.0] and rescued.waiting() == 1


def test_what_is_committed_to_a_deleted_file_is_saved_too(store):
    with pytest.raises(UserError, match="was deleted"), store.transaction():
        store.add_label("r", 1, "tie", "anna", 1.0, 0)
        lose(store, "deleted")
    with PreferenceStore(rescued_copy(store)) as rescued:
        assert [label.preference for label in rescued.labelled("r")] == [1.0, 0.5]


def test_a_folder_that_vanishes_is_said(store):
    moved = store.path.parent.with_name("moved")
    store.path.parent.rename(moved)
    with pytest.raises(
        UserError, match="was deleted or replaced while in use; what it held could not be saved"
    ) as told:
        store.add_label("r", 1, "tie", "anna", 1.0, 0)
    assert "\n" not in str(told.value)
    moved.rename(store.path.parent)
    with PreferenceStore(store.path) as again:
        assert len(again.labelled("r")) == 1


def test_a_store_that_cannot_be_written_can_be_read_and_says_so(store):
    store.execute("PRAGMA query_only = ON")  # as a file without the permission; the superuser may write any
    with pytest.raises(
        UserError, match=r"preferences\.db: attempt to write a readonly database; check its permissions"
    ):
        store.add_label("r", 1, "tie", "anna", 1.0, 0)
    assert len(store.labelled("r")) == 1


@pytest.mark.parametrize(("table", "parent"), [("queries", "segments"), ("labels", "queries")])
def test_labels_without_segments_are_refused(store, table, parent):
    store.close()
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute(f"DELETE FROM {parent}")
    with pytest.raises(UserError, match=rf"damaged: \w+ name \d {parent} that are not there; restore it"):
        PreferenceStore(store.path)


def test_another_that_never_ends_writing_is_named(store, monkeypatch):
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.execute("PRAGMA busy_timeout = 50")
        with pytest.raises(UserError, match="locked; another process has been writing for 30 seconds, or is stuck"):
            store.add_label("r", 1, "tie", "anna", 1.0, 0)


# One of several writers: a trainer that asks, or an annotator who answers, corrects and undoes what is there.
WRITER = """
import random, sys, time
import numpy as np
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore

path, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
chance = random.Random(who)

def segment(number):
    return Segment(np.full((8, 20, 20), number % 256, np.uint8), np.full(5, number), np.zeros(5, np.float32))

with PreferenceStore(path, "test") as store:
    if who == "trainer":
        for number in range(count):
            store.add_query("r", number, segment(number), segment(number + 1), number, "uniform")
            store.waiting(), store.labelled("r")
    else:
        done, deadline = 0, time.monotonic() + 60
        while done < count and time.monotonic() < deadline:
            asked = store.query_count("r")
            if asked <= done:
                time.sleep(0.001)
                continue
            for answer in chance.choice([["left"], ["tie", "right"], ["left", "undo", "right"]]):
                store.add_label("r", done, answer, who, 1.0, done)
                print(done, answer, flush=True)
            done += 1
"""


def test_a_trainer_and_three_people_write_at_once_and_no_row_is_lost(tmp_path):
    path, count = tmp_path / "preferences.db", 60
    environment = {**os.environ, "PYTHONPATH": str(Path(repro.__file__).parents[1])}
    people = ["anna", "bert", "carl"]
    processes = {
        who: subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), who, str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for who in random.Random(0).sample(["trainer", *people], 4)
    }
    said = {who: process.communicate(timeout=120) for who, process in processes.items()}
    assert {errors for _, errors in said.values()} == {""}
    with PreferenceStore(path, "test") as store:
        for who in people:
            rows = store.rows("SELECT number, answer FROM labels WHERE annotator = ? ORDER BY id", (who,))
            assert [f"{row['number']} {row['answer']}" for row in rows] == said[who][0].splitlines()
            assert rows[-1]["number"] == count - 1
        assert store.query_count("r") == count and store.waiting() == 0
