"""The tables of the preference store (SQLite)."""

from typing import Literal, get_args

from repro.preferences.oracle import ORACLE

Answer = Literal["left", "right", "tie", "incomparable"]
ANSWERS: tuple[str, ...] = get_args(Answer)
UNDO = "undo"
REPEATS = " repeats"  # a run's name and this: its comparisons that were asked once more, under the same numbers
APPLICATION = 0x52505246  # "RPRF" marks the file as a preference store
VERSION = 4  # of the tables; one more with every change to them, or to the hash of a segment

SCHEMA = (
    "CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    # The arrays are compressed .npy files.
    """CREATE TABLE segments (
        hash TEXT PRIMARY KEY, observations BLOB NOT NULL, actions BLOB NOT NULL, true_rewards BLOB NOT NULL)""",
    # Of segments of which people see more than the agent does.
    "CREATE TABLE pictures (hash TEXT PRIMARY KEY REFERENCES segments (hash), pictures BLOB NOT NULL)",
    # env_step: agent steps done when the query was asked.
    """CREATE TABLE queries (
        run TEXT NOT NULL, number INTEGER NOT NULL,
        left_hash TEXT NOT NULL REFERENCES segments (hash), right_hash TEXT NOT NULL REFERENCES segments (hash),
        env_step INTEGER NOT NULL, strategy TEXT NOT NULL, PRIMARY KEY (run, number))""",
    # env_step: agent steps done when the answer was given. created: ISO 8601 in UTC, so that texts sort as times do.
    f"""CREATE TABLE labels (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, number INTEGER NOT NULL,
        answer TEXT NOT NULL CHECK (answer IN {(*ANSWERS, UNDO)}), annotator TEXT NOT NULL,
        latency_seconds REAL, env_step INTEGER NOT NULL, created TEXT NOT NULL,
        FOREIGN KEY (run, number) REFERENCES queries (run, number))""",
    "CREATE INDEX labels_by_query ON labels (run, number, annotator)",
    f"CREATE UNIQUE INDEX oracle_answers_once ON labels (run, number) WHERE annotator = '{ORACLE}'",
    """CREATE TRIGGER labels_are_kept BEFORE DELETE ON labels
        BEGIN SELECT RAISE(ABORT, 'labels are append-only: add an undo'); END""",
    """CREATE TRIGGER labels_are_fixed BEFORE UPDATE ON labels
        BEGIN SELECT RAISE(ABORT, 'labels are append-only: add a new answer'); END""",
    # Each annotator's last row counts, unless it is an undo ...
    f"""CREATE VIEW answers AS
        SELECT labels.* FROM labels JOIN (SELECT max(id) AS id FROM labels GROUP BY run, number, annotator) USING (id)
        WHERE answer <> '{UNDO}'""",
    # ... and of several annotators' the latest by the time it was given, but a person's before the oracle's. Beside a
    # max() SQLite gives the other columns of the row that has it. (A window function would make joins quadratic.)
    f"""CREATE VIEW standing_labels AS
        WITH standing AS (
            SELECT id, max((annotator <> '{ORACLE}') || created || printf('%019d', id)) FROM answers
            GROUP BY run, number)
        SELECT labels.* FROM labels JOIN standing USING (id)""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)
