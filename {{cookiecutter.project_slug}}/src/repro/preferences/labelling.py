"""What people are asked about the comparisons of one run, what they answer, and how sure they are.

Every row that an annotator writes is written against a *version* of a comparison, the number of rows that they have
written about it before. So a request that is sent again, because its answer was lost on the way, changes nothing, and
of two pages that one person has open only the first counts.

Some comparisons are asked once more, with their sides exchanged, to measure how consistent an annotator is. These are
queries of a run of their own, `<run> repeats`, under the number of the first: no trainer takes them for new.
"""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from repro.preferences.oracle import ORACLE
from repro.preferences.schema import REPEATS, UNDO
from repro.preferences.store import PreferenceStore
from repro.reading import UserError

REPEAT = "repeat"  # the strategy by which such queries were chosen
REPEAT_DISTANCE = 10  # so many answers lie between a comparison and its repeat, lest the first be remembered
HELD_SECONDS = 120.0  # for so long, a comparison that one page was given is given to no other annotator
PAUSE_SECONDS = 120  # a longer gap between two answers was a pause, and does not count as work
RATE_ANSWERS = 30  # the rate is that of the last so many
NAME_LENGTH = 40


class Stale(UserError):
    """What was answered is no longer what is asked."""


@dataclass(frozen=True)
class Pair:
    """A comparison as an annotator is to see it. left, right: hashes of the segments."""

    number: int
    repeated: bool
    version: int  # rows that the annotator has written about it
    left: str
    right: str

    @property
    def key(self) -> str:
        """Names it among the pairs of its run."""
        return f"{self.number}r" if self.repeated else str(self.number)


def check_annotator(name: str) -> str:
    """The name as it will be stored. Raises UserError."""
    name = name.strip()
    if not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise UserError(f"annotator: a name has 1 to {NAME_LENGTH} characters, all printable")
    if name == ORACLE:
        raise UserError(f"annotator: {ORACLE} is the name of the synthetic one; choose another")
    return name


class Labelling:
    """The comparisons of one run for all its annotators. Use it from the thread that opened the store."""

    def __init__(self, store: PreferenceStore, run: str, repeats: float = 0.0, seed: int | None = None):
        """repeats: the share of what is shown that was asked before; at most half can have been. seed: of which ones.

        In the long run: at first there is nothing to ask again.
        """
        self.store, self.run, self.repeats = store, run, repeats
        self._random = random.Random(seed)
        self._held: dict[int, tuple[str, float]] = {}  # query: by whom, since when

    def pairs(self, annotator: str, count: int, held: Collection[str] = ()) -> list[Pair]:
        """Up to `count` comparisons to show next, none of them in `held` (keys), in the order they were asked."""
        if count <= 0:
            return []
        now = time.monotonic()
        open_queries = self.store.rows(
            "SELECT number, left_hash, right_hash FROM queries LEFT JOIN standing_labels USING (run, number) "
            "WHERE run = ? AND answer IS NULL ORDER BY number LIMIT ?",
            (self.run, count + len(held) + len(self._held)),
        )
        new: list[Pair] = []
        for query in open_queries:
            number = query["number"]
            holder, since = self._held.get(number, (annotator, now))
            if str(number) in held or (holder != annotator and now - since < HELD_SECONDS):
                continue
            version = self._version(self.run, number, annotator)
            new.append(Pair(number, False, version, query["left_hash"], query["right_hash"]))
            if len(new) >= count:
                break
        found: list[Pair] = []
        # One draw for each that is shown, whichever it turns out to be: so the share does not depend on how many a page
        # asks for at once. None where nothing new is left: a page that waits for more looks every second.
        while new and len(found) < count:
            again = self._random.random() < self.repeats
            repeat = self._repeat(annotator, {*held, *(pair.key for pair in found)}) if again else None
            found.append(repeat or new.pop(0))
        self._held = {number: hold for number, hold in self._held.items() if now - hold[1] < HELD_SECONDS}
        self._held |= {pair.number: (annotator, now) for pair in found if not pair.repeated}
        return found

    def _repeat(self, annotator: str, held: Collection[str]) -> Pair | None:
        """An earlier comparison of the annotator's to ask again; None where all were, or are too fresh."""
        earlier = self.store.rows(
            "SELECT number, left_hash, right_hash, count(*) OVER () - row_number() OVER (ORDER BY id) AS since "
            "FROM labels JOIN queries USING (run, number) WHERE run = ?1 AND annotator = ?2 AND answer <> ?3 "
            "AND id IN (SELECT max(id) FROM labels WHERE run = ?1 AND annotator = ?2 GROUP BY number) "
            "AND number NOT IN (SELECT number FROM labels WHERE run = ?1 || ?4 AND annotator = ?2)",
            (self.run, annotator, UNDO, REPEATS),
        )
        choice = [row for row in earlier if row["since"] >= REPEAT_DISTANCE and f"{row['number']}r" not in held]
        if not choice:
            return None
        row = self._random.choice(choice)
        return Pair(row["number"], True, 0, row["right_hash"], row["left_hash"])

    def pair(self, key: str, annotator: str) -> Pair:
        """The comparison with this key, as it is now. Raises Stale if there is none."""
        number, repeated = key.removesuffix("r"), key.endswith("r")
        query = self.store.rows(
            "SELECT left_hash, right_hash FROM queries WHERE run = ? AND number = ?",
            (self.run, int(number) if re.fullmatch(r"[0-9]{1,18}", number) else -1),
        )
        if not query:
            raise Stale(f"there is no comparison {key[:20]} in {self.run}")
        left, right = query[0]["left_hash"], query[0]["right_hash"]
        version = self._version(self._run(repeated), int(number), annotator)
        return Pair(int(number), repeated, version, *((right, left) if repeated else (left, right)))

    def answer(self, annotator: str, pair: Pair, answer: str, seconds: float | None, env_step: int) -> None:
        """Store the answer to `pair` as it was shown; again, if the first was heard of, changes nothing.

        answer: of the store, `undo` included. seconds: how long it took. env_step: agent steps that are done.
        Raises Stale if the annotator has written about this comparison meanwhile, or it was not this one.
        """
        run = self._run(pair.repeated)
        with self.store.transaction():
            current = self.pair(pair.key, annotator)
            if (current.left, current.right) != (pair.left, pair.right):
                raise Stale(
                    f"comparison {pair.key} of {self.run} is of other clips than those shown; load the page again"
                )
            if current.version == pair.version + 1 and self.store.last_answer(run, pair.number, annotator) == answer:
                return
            if current.version != pair.version:
                raise Stale(f"{annotator} has changed comparison {pair.key} elsewhere; nothing was stored here")
            if pair.repeated and not current.version:
                self.store.add_query_of(run, pair.number, pair.left, pair.right, env_step, REPEAT)
            self.store.add_label(run, pair.number, answer, annotator, seconds, env_step)

    def given(self, annotator: str, count: int, before: int | None = None) -> list[dict[str, Any]]:
        """The annotator's standing answers, latest first; `before`: only those with a smaller `id`.

        Each has id, key, repeated (0 or 1), number, answer, latency_seconds and created.
        """
        return self.store.rows(
            "SELECT id, number || iif(run = ?1, '', 'r') AS key, run <> ?1 AS repeated, number, answer, "
            "latency_seconds, created FROM labels WHERE annotator = ?2 AND answer <> ?3 AND id < ?4 AND id IN "
            "(SELECT max(id) FROM labels WHERE run IN (?1, ?1 || ?5) AND annotator = ?2 GROUP BY run, number) "
            "ORDER BY id DESC LIMIT ?6",
            (self.run, annotator, UNDO, 2**62 if before is None else before, REPEATS, count),
        )

    def last(self, annotator: str) -> Pair | None:
        """The comparison that the annotator answered last, if not undone: what an undo takes back."""
        given = self.given(annotator, 1)
        return self.pair(given[0]["key"], annotator) if given else None

    def progress(self, annotator: str) -> dict[str, Any]:
        """Counts for the page.

        labels: comparisons answered, by whomever. waiting: not yet. mine: the annotator's answers. per_hour: their
        rate, None at first. repeated, consistent: how many they were asked twice, and answered alike.
        """
        counts = self.store.rows(
            "SELECT count(answer) AS labels, count(*) - count(answer) AS waiting "
            "FROM queries LEFT JOIN standing_labels USING (run, number) WHERE run = ?",
            (self.run,),
        )[0]
        given = self.given(annotator, 2**31)
        first = {row["number"]: row["answer"] for row in given if not row["repeated"]}
        again = {row["number"]: row["answer"] for row in given if row["repeated"] and row["number"] in first}
        consistent = sum(exchanged(answer) == first[number] for number, answer in again.items())
        rate = labels_per_hour([row["created"] for row in given[:RATE_ANSWERS]])
        return counts | {"mine": len(first), "per_hour": rate, "repeated": len(again), "consistent": consistent}

    def _run(self, repeated: bool) -> str:
        return self.run + REPEATS if repeated else self.run

    def _version(self, run: str, number: int, annotator: str) -> int:
        return self.store.value(
            "SELECT count(*) FROM labels WHERE run = ? AND number = ? AND annotator = ?", (run, number, annotator)
        )


def exchanged(answer: str) -> str:
    """What an answer says of the same pair, shown the other way round."""
    return {"left": "right", "right": "left"}.get(answer, answer)


def labels_per_hour(created: list[str]) -> float | None:
    """The rate of answers given at these times (ISO 8601), latest first, pauses left out; None where there are few."""
    times = [datetime.fromisoformat(text).timestamp() for text in created]
    gaps: list[float] = [later - earlier for later, earlier in itertools.pairwise(times)]
    worked = [gap for gap in gaps if 0 <= gap <= PAUSE_SECONDS]
    return 3600 * len(worked) / sum(worked) if len(worked) >= 3 and any(worked) else None
