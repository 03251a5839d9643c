"""The preference store: segments, queries and labels of a run, in one SQLite database.

Trainer and labeller may be two processes of one host; they meet only here. Labels are append-only: a
correction or an undo is a new row, and triggers refuse to change or delete an old one.

Several annotators may answer a query: of their answers the latest stands, a person's before the oracle's. Whoever is
asked the same again, to see how consistent they are, is asked in another run, `<run> repeats`, under the same number:
that answer is counted, and never learned from.
"""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from repro.preferences.database import Database
from repro.preferences.export import read_export, write_export
from repro.preferences.oracle import ORACLE
from repro.preferences.schema import ANSWERS, REPEATS, UNDO
from repro.preferences.segments import Segment, from_blobs, to_blobs, unpack
from repro.reading import UserError

PREFERENCES = {"left": 1.0, "right": 0.0, "tie": 0.5}  # the probability that the left one is preferred


@dataclass(frozen=True)
class LabelledComparison:
    """A query and the preference that stands."""

    number: int
    left: str  # hash of the segment
    right: str
    preference: float  # the probability that left is preferred: 1, 0 or .5


class AskedOtherwise(UserError):
    """A query of this number is there already, of other segments, or with another answer of the oracle's."""


class PreferenceStore(Database):
    """What was asked and answered, in a database that several processes may have open."""

    def add_query(self, run: str, number: int, left: Segment, right: Segment, env_step: int, strategy: str) -> None:
        """Enter a query once; once more changes nothing. Raises AskedOtherwise if it was entered of other segments."""
        with self.transaction():
            for segment in (left, right):
                self._add_segment(segment)
            self.add_query_of(run, number, left.hash, right.hash, env_step, strategy)

    def add_query_of(self, run: str, number: int, left: str, right: str, env_step: int, strategy: str) -> None:
        """The same, of segments that are here already, by their hashes. Raises AskedOtherwise too."""
        with self.transaction():
            entered = self.execute(
                "INSERT INTO queries VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (run, number, left, right, env_step, strategy),
            )
            if not entered.rowcount and self._hashes(run, number) != (left, right):
                raise AskedOtherwise(
                    f"{self.path}: query {number} of run {run} was entered with other segments: "
                    "does another trainer use this store, or a processor that rounds otherwise?"
                )

    def _add_segment(self, segment: Segment) -> None:
        if self.execute("SELECT 1 FROM segments WHERE hash = ?", (segment.hash,)).fetchone() is None:
            self.execute("INSERT INTO segments VALUES (?, ?, ?, ?)", (segment.hash, *to_blobs(segment)))
            if segment.pictures:
                self.execute("INSERT INTO pictures VALUES (?, ?)", (segment.hash, segment.pictures))

    def _hashes(self, run: str, number: int) -> tuple[str, str] | None:
        return self.execute(
            "SELECT left_hash, right_hash FROM queries WHERE run = ? AND number = ?", (run, number)
        ).fetchone()

    def add_label(
        self,
        run: str,
        number: int,
        answer: str,
        annotator: str,
        latency_seconds: float | None,
        env_step: int,
        created: str | None = None,
    ) -> None:
        """Append an answer (`left`, `right`, `tie`, `incomparable`) or an `undo` of the annotator's own.

        The oracle's answer to a query is entered once, so that a resumed run may give it again; a
        person's answers are all kept, and the last one counts. latency_seconds: None for an oracle.
        env_step: agent steps done when the answer was given. created: when that was, of an answer given elsewhere;
        ISO 8601 with time zone.

        Raises AskedOtherwise if the oracle gave another answer, UserError if there is no such query, and if the
        annotator has no answer to undo.
        """
        if answer not in (*ANSWERS, UNDO):
            raise UserError(f"answer {answer!r} will not do: use one of {', '.join((*ANSWERS, UNDO))}")
        with self.transaction():
            if self._hashes(run, number) is None:
                raise UserError(f"{self.path}: run {run} has no query {number} to label")
            earlier = self.last_answer(run, number, annotator)
            if answer == UNDO and earlier in (None, UNDO):
                raise UserError(f"{self.path}: {annotator} has no answer to query {number} of run {run} to undo")
            if annotator == ORACLE and earlier is not None:
                if earlier != answer:
                    raise AskedOtherwise(
                        f"{self.path}: the oracle answered {earlier} to query {number} of run {run}, and now {answer}"
                    )
                return
            given = datetime.fromisoformat(created) if created else datetime.now(UTC)
            self.execute(
                "INSERT INTO labels (run, number, answer, annotator, latency_seconds, env_step, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    run,
                    number,
                    answer,
                    annotator,
                    latency_seconds,
                    env_step,
                    given.astimezone(UTC).isoformat(timespec="milliseconds"),
                ),
            )

    def last_answer(self, run: str, number: int, annotator: str) -> str | None:
        """What the annotator wrote last about this query, `undo` included; None if nothing."""
        row = self.execute(
            "SELECT answer FROM labels WHERE run = ? AND number = ? AND annotator = ? ORDER BY id DESC LIMIT 1",
            (run, number, annotator),
        ).fetchone()
        return row and row[0]

    def labelled(self, run: str) -> list[LabelledComparison]:
        """The comparisons to learn from, in order of their numbers: those whose standing answer is a preference."""
        rows = self.rows(
            "SELECT number, left_hash, right_hash, answer FROM standing_labels JOIN queries USING (run, number) "
            "WHERE run = ? ORDER BY number",
            (run,),
        )
        return [
            LabelledComparison(row["number"], row["left_hash"], row["right_hash"], PREFERENCES[row["answer"]])
            for row in rows
            if row["answer"] in PREFERENCES
        ]

    def segment(self, name: str, pictures: bool = False) -> Segment:
        """The segment with this hash, checked against it; with its `pictures`, if there are any, for those who look."""
        row = self.execute(
            "SELECT observations, actions, true_rewards FROM segments WHERE hash = ?", (name,)
        ).fetchone()
        if row is None:
            raise UserError(f"{self.path}: no segment {name}")
        found = self.execute("SELECT pictures FROM pictures WHERE hash = ?", (name,)).fetchone() if pictures else None
        try:
            segment = from_blobs(row, name)
            if found:
                unpack(found[0])
        except ValueError as error:
            raise UserError(f"{self.path}: segment {name} is damaged: {error}") from None
        return dataclasses.replace(segment, pictures=found[0]) if found else segment

    def true_returns(self) -> dict[str, float]:
        """The sum of true rewards of each segment, by hash."""
        returns = {}
        for row in self.rows("SELECT hash, true_rewards FROM segments"):
            try:
                rewards = unpack(row["true_rewards"])
            except ValueError as error:
                raise UserError(f"{self.path}: segment {row['hash']} is damaged: {error}") from None
            returns[row["hash"]] = float(rewards.sum(dtype=np.float64))
        return returns

    def compared(self, run: str) -> dict[str, int]:
        """The segments that the queries of this run show, by hash: the agent steps done when first asked about."""
        rows = self.rows(
            "SELECT hash, min(env_step) AS env_step FROM queries JOIN segments ON hash IN (left_hash, right_hash) "
            "WHERE run = ? GROUP BY hash ORDER BY min(number), hash",
            (run,),
        )
        return {row["hash"]: row["env_step"] for row in rows}

    def query_count(self, run: str) -> int:
        """How many queries of this run were entered, answered or not."""
        return self.value("SELECT count(*) FROM queries WHERE run = ?", (run,))

    def waiting(self) -> int:
        """How many queries have no answer yet, or only an undone one."""
        return self.value(
            "SELECT count(*) FROM queries LEFT JOIN standing_labels USING (run, number) "
            "WHERE answer IS NULL AND run NOT LIKE '%' || ?",
            (REPEATS,),
        )

    def counts(self) -> dict[str, int]:
        """Standing answers by kind; `labels`: those that can be learned from."""
        rows = self.rows(
            "SELECT answer, count(*) AS number FROM standing_labels WHERE run NOT LIKE '%' || ? GROUP BY answer",
            (REPEATS,),
        )
        counts = dict.fromkeys(ANSWERS, 0) | {row["answer"]: row["number"] for row in rows}
        return counts | {"labels": sum(counts[answer] for answer in PREFERENCES)}

    def only_run(self, table: Literal["queries", "answers"], run: str | None = None) -> str:
        """The one run that the table has rows of, or `run` if it has some of it. Raises UserError."""
        runs = [row["run"] for row in self.rows(f"SELECT DISTINCT run FROM {table} ORDER BY run")]
        runs = [name for name in runs if not name.endswith(REPEATS) and run in (None, name)]
        if not runs:
            what = {"queries": "comparisons", "answers": "labels"}[table]
            raise UserError(f"{self.path}: holds no {what} yet" + (f" of run {run}" if run else ""))
        if len(runs) > 1:
            raise UserError(f"{self.path}: holds several runs ({', '.join(runs)}); name one of them")
        return runs[0]

    def export(self, directory: Path, *, name: str, seed: int, env_steps: int, run: str | None = None) -> None:
        """Write `segments.npz`, `labels.jsonl` (an annotator's standing answer a line) and `meta.json`.

        The same content gives the same bytes: an oracle's answers have no times of day. name, seed: of the experiment;
        env_steps: agent steps that a run which starts from these labels has to count as its own. run: needed if the
        store holds several.
        """
        run = self.only_run("answers", run)
        labels = self.rows(
            'SELECT number, run <> ?1 AS repeat, answer, annotator, left_hash AS "left", right_hash AS "right", '
            "strategy, queries.env_step, latency_seconds, answers.env_step AS labelled_at, "
            "iif(annotator = ?2, NULL, created) AS created FROM answers JOIN queries USING (run, number) "
            "WHERE run IN (?1, ?1 || ?3) ORDER BY number, repeat, annotator",
            (run, ORACLE, REPEATS),
        )
        hashes = dict.fromkeys(label[side] for label in labels for side in ("left", "right"))
        segments = {digest: self.segment(digest) for digest in hashes}
        meta = {"name": name, "seed": seed, "env_steps": env_steps, "environment": self.environment}
        write_export(directory, meta, labels, segments)

    def import_from(self, directory: Path, run: str, new_queries: bool = True, renumber: bool = False) -> int:
        """Enter an export under `run`, whole or not at all; once more changes nothing. Returns how many answers it did.

        Of an annotator who has answered a query here, the answer there is left out. new_queries: whether there may be
        queries that the run has not asked. renumber: for a run that goes on asking, see `_without_gaps`.
        """
        meta, labels, segments = read_export(directory)
        if renumber:
            labels = _without_gaps(labels)
        if None not in (self.environment, meta["environment"]) and self.environment != meta["environment"]:
            raise UserError(f"{directory}: holds preferences for {meta['environment']}, not for {self.environment}")
        entered = 0
        with self.transaction():
            for label in labels:
                asked_in = run + REPEATS if label["repeat"] else run
                number, annotator = label["number"], label["annotator"]
                left, right = segments[label["left"]], segments[label["right"]]
                if not (new_queries or label["repeat"]) and self._hashes(run, number) != (left.hash, right.hash):
                    raise UserError(
                        f"{directory}: run {run} has not asked query {number}, or of other segments; import into the "
                        "run they are of, or a database (NAME.db), or start one: "
                        f"repro train --preferences {shlex.quote(str(directory))}"
                    )
                self.add_query(asked_in, number, left, right, label["env_step"], label["strategy"])
                if self.last_answer(asked_in, number, annotator) is None:
                    given = (label["answer"], annotator, label["latency_seconds"], label["labelled_at"])
                    self.add_label(asked_in, number, *given, created=label["created"])
                    entered += 1
        return entered


def _without_gaps(labels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same answers, their queries numbered 0, 1, ... in the same order: an export leaves out the unanswered.

    Without those to what was asked again where no first answer stands: the number will be that of another query.
    """
    answered = sorted({label["number"] for label in labels if not label["repeat"]})
    numbers = {number: place for place, number in enumerate(answered)}
    return [label | {"number": numbers[label["number"]]} for label in labels if label["number"] in numbers]
