"""The preference store: segments, queries and labels of a run, in one SQLite database.

Trainer and labeller may be two processes of one host; they meet only here. Labels are append-only: a
correction or an undo is a new row, and triggers refuse to change or delete an old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from repro.preferences.database import Database
from repro.preferences.export import ANSWERS, read_export, write_export
from repro.preferences.oracle import ORACLE
from repro.preferences.schema import UNDO
from repro.preferences.segments import Segment, from_blobs, to_blobs
from repro.reading import UserError

PREFERENCES = {"left": 1.0, "right": 0.0, "tie": 0.5}  # the probability that the left one is preferred


@dataclass(frozen=True)
class LabelledComparison:
    """A query and the answer that stands."""

    run: str
    number: int
    left: str  # hash of the segment
    right: str
    preference: float  # the probability that left is preferred: 1, 0 or .5
    answer: str  # left, right or tie
    env_step: int  # agent steps done when the query was asked


class PreferenceStore(Database):
    """What was asked and answered, in a database that several processes may have open."""

    def add_query(self, run: str, number: int, left: Segment, right: Segment, env_step: int, strategy: str) -> None:
        """Enter a query once. A replay after a resume changes nothing, and must ask the same."""
        with self.transaction():
            for segment in (left, right):
                self._add_segment(segment)
            entered = self.execute(
                "INSERT INTO queries VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (run, number, left.hash, right.hash, env_step, strategy),
            )
            if not entered.rowcount and self._hashes(run, number) != (left.hash, right.hash):
                raise UserError(
                    f"{self.path}: query {number} of run {run} was entered with other segments: "
                    "a resumed run must repeat itself exactly; does another trainer use this store?"
                )

    def _add_segment(self, segment: Segment) -> None:
        if self.execute("SELECT 1 FROM segments WHERE hash = ?", (segment.hash,)).fetchone() is None:
            self.execute("INSERT INTO segments VALUES (?, ?, ?, ?)", (segment.hash, *to_blobs(segment)))

    def _hashes(self, run: str, number: int) -> tuple[str, str] | None:
        return self.execute(
            "SELECT left_hash, right_hash FROM queries WHERE run = ? AND number = ?", (run, number)
        ).fetchone()

    def add_label(
        self, run: str, number: int, answer: str, annotator: str, latency_seconds: float | None, env_step: int
    ) -> None:
        """Append an answer (`left`, `right`, `tie`, `incomparable`) or an `undo` of the annotator's own.

        The oracle's answer to a query is entered once, so that a resumed run may give it again; a
        person's answers are all kept, and the last one counts. latency_seconds: None for an oracle.
        env_step: agent steps done when the answer was given.
        """
        if answer not in (*ANSWERS, UNDO):
            raise UserError(f"answer {answer!r} will not do: use one of {', '.join((*ANSWERS, UNDO))}")
        with self.transaction():
            if self._hashes(run, number) is None:
                raise UserError(f"{self.path}: run {run} has no query {number} to label")
            earlier = self._last_answer(run, number, annotator)
            if answer == UNDO and earlier in (None, UNDO):
                raise UserError(f"{self.path}: {annotator} has no answer to query {number} of run {run} to undo")
            if annotator == ORACLE and earlier is not None:
                if earlier != answer:
                    raise UserError(
                        f"{self.path}: the oracle answered {earlier} to query {number} of run {run}, and now {answer}: "
                        "a resumed run must repeat itself exactly"
                    )
                return
            created = datetime.now().astimezone().isoformat(timespec="seconds")
            self.execute(
                "INSERT INTO labels (run, number, answer, annotator, latency_seconds, env_step, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run, number, answer, annotator, latency_seconds, env_step, created),
            )

    def _last_answer(self, run: str, number: int, annotator: str) -> str | None:
        row = self.execute(
            "SELECT answer FROM labels WHERE run = ? AND number = ? AND annotator = ? ORDER BY id DESC LIMIT 1",
            (run, number, annotator),
        ).fetchone()
        return row and row[0]

    def labelled(self, run: str | None = None) -> list[LabelledComparison]:
        """The comparisons to learn from, in order of their numbers: those whose standing answer is a preference."""
        fields = ("run", "number", "left", "right", "answer", "env_step")
        return [
            LabelledComparison(**{field: row[field] for field in fields}, preference=PREFERENCES[row["answer"]])
            for row in self._standing(run)
            if row["answer"] in PREFERENCES
        ]

    def _standing(self, run: str | None) -> list[dict[str, Any]]:
        """Labelled queries with the answer that stands, by number."""
        return self.rows(
            'SELECT run, number, answer, annotator, left_hash AS "left", right_hash AS "right", strategy, '
            "queries.env_step, latency_seconds, standing_labels.env_step AS labelled_at "
            "FROM standing_labels JOIN queries USING (run, number) "
            "WHERE run = coalesce(?, run) ORDER BY run, number",
            (run,),
        )

    def segment(self, name: str) -> Segment:
        """The segment with this hash, checked against it."""
        row = self.execute(
            "SELECT observations, actions, true_rewards FROM segments WHERE hash = ?", (name,)
        ).fetchone()
        if row is None:
            raise UserError(f"{self.path}: no segment {name}")
        try:
            return from_blobs(row, name)
        except ValueError as error:
            raise UserError(f"{self.path}: segment {name} is damaged: {error}") from None

    def query_count(self, run: str) -> int:
        """How many queries of this run were entered, answered or not."""
        return self.value("SELECT count(*) FROM queries WHERE run = ?", (run,))

    def waiting(self) -> int:
        """How many queries have no answer yet, or only an undone one."""
        return self.value(
            "SELECT count(*) FROM queries LEFT JOIN standing_labels USING (run, number) WHERE answer IS NULL"
        )

    def counts(self) -> dict[str, int]:
        """Standing answers by kind; `labels` are those that can be learned from, all but `incomparable`."""
        rows = self.rows("SELECT answer, count(*) AS number FROM standing_labels GROUP BY answer")
        of = dict.fromkeys(ANSWERS, 0) | {row["answer"]: row["number"] for row in rows}
        labels = sum(of[answer] for answer in PREFERENCES)
        return {"labels": labels, "ties": of["tie"], **{name: of[name] for name in ("left", "right", "incomparable")}}

    def export(self, directory: Path | str, *, name: str, seed: int, env_steps: int, run: str | None = None) -> None:
        """Write `segments.npz`, `labels.jsonl` (one standing answer a line) and `meta.json`.

        The same content gives the same bytes: no times of day. name, seed: of the experiment;
        env_steps: agent steps that the segments cost. run: needed if the store holds several.
        """
        labels = self._standing(run)
        if not labels:
            raise UserError(f"{self.path}: holds no labels to export")
        runs = sorted({label["run"] for label in labels})
        if len(runs) > 1:
            raise UserError(f"{self.path}: holds several runs ({', '.join(runs)}); name one of them")
        hashes = dict.fromkeys(label[side] for label in labels for side in ("left", "right"))
        meta = {"name": name, "seed": seed, "env_steps": env_steps, "environment": self.environment}
        write_export(
            Path(directory), meta | {"labels": len(labels)}, labels, {digest: self.segment(digest) for digest in hashes}
        )

    def import_from(self, directory: Path | str, run: str) -> dict[str, Any]:
        """Enter an export under `run`, whole or not at all; once more changes nothing. Returns its `meta.json`."""
        meta, labels, segments = read_export(Path(directory))
        if None not in (self.environment, meta["environment"]) and self.environment != meta["environment"]:
            raise UserError(f"{directory}: holds preferences for {meta['environment']}, not for {self.environment}")
        with self.transaction():
            for label in labels:
                number, annotator = label["number"], label["annotator"]
                left, right = segments[label["left"]], segments[label["right"]]
                self.add_query(run, number, left, right, label["env_step"], label["strategy"])
                if self._last_answer(run, number, annotator) is None:
                    self.add_label(
                        run, number, label["answer"], annotator, label["latency_seconds"], label["labelled_at"]
                    )
        return meta
