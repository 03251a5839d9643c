"""What people and oracles answered: counts, speed, and how far they agree with each other, themselves and the truth.

Shares come with 95% Wilson intervals: {"count", "of", "share", "low", "high"}, or None where there is nothing to count.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterable
from typing import Any

from repro.preferences.labelling import exchanged, labels_per_hour
from repro.preferences.schema import ANSWERS, REPEATS, UNDO
from repro.preferences.store import PREFERENCES, PreferenceStore
from repro.results.proportions import wilson_interval

SIDES = ("left", "right")

Row = dict[str, Any]


def label_statistics(store: PreferenceStore, run: str | None = None) -> dict[str, Any]:
    """All there is to say of the labels of a run, as JSON holds it. Raises UserError if there is nothing.

    run: needed if the store holds several.
    """
    run = store.only_run("queries", run)
    queries = store.rows(
        'SELECT number, left_hash AS "left", right_hash AS "right", strategy, standing_labels.answer '
        "FROM queries LEFT JOIN standing_labels USING (run, number) WHERE run = ? ORDER BY number",
        (run,),
    )
    answers = store.rows(
        'SELECT run <> ?1 AS repeat, number, annotator, answer, latency_seconds, left_hash AS "left", '
        'right_hash AS "right" FROM answers JOIN queries USING (run, number) WHERE run IN (?1, ?1 || ?2) ORDER BY id',
        (run, REPEATS),
    )
    returns = store.true_returns()
    by_annotator = _grouped(answers, "annotator")
    labelled = [row for row in queries if row["answer"] in PREFERENCES]
    labels = [row["answer"] for row in labelled]
    return {
        "run": run,
        "environment": store.environment,
        "segments": len({row[side] for row in queries for side in SIDES}),
        "queries": len(queries),
        "waiting": sum(row["answer"] is None for row in queries),
        "labels": len(labels),
        "duplicates": 2 * len(labels) - len({row[side] for row in labelled for side in SIDES}),  # segments shown before
        "ties": share(labels.count("tie"), len(labels)),
        "left": share(labels.count("left"), len(labels) - labels.count("tie")),
        # The mean entropy of (1, 0), (0, 1) and (.5, .5) in nats: no model's cross-entropy on these labels is lower.
        "entropy": math.log(2) * labels.count("tie") / len(labels) if labels else None,
        "true_agreement": _agreement_with_truth(queries, returns),
        "strategies": {name: _strategy(rows, returns) for name, rows in _grouped(queries, "strategy").items()},
        "annotators": {name: _annotator(store, run, name, rows, returns) for name, rows in by_annotator.items()},
        "agreements": [
            {"annotators": [one, other]} | found
            for one, other in itertools.combinations(by_annotator, 2)
            if (found := agreement(_first(by_annotator[one]), _first(by_annotator[other])))
        ],
    }


def _grouped(rows: Iterable[Row], field: str) -> dict[Any, list[Row]]:
    """The rows by the values of a field, in the order of these."""
    values = sorted({row[field] for row in rows})
    return {value: [row for row in rows if row[field] == value] for value in values}


def _first(rows: Iterable[Row]) -> dict[int, str]:
    """Answers to what was asked for the first time, by number."""
    return {row["number"]: row["answer"] for row in rows if not row["repeat"]}


def _strategy(queries: list[Row], returns: dict[str, float]) -> Row:
    given = Counter(row["answer"] for row in queries)
    return {
        "queries": len(queries),
        **{answer: given[answer] for answer in ANSWERS},
        "waiting": given[None],
        "true_agreement": _agreement_with_truth(queries, returns),
    }


def _annotator(store: PreferenceStore, run: str, name: str, rows: list[Row], returns: dict[str, float]) -> Row:
    first = _first(rows)
    given = Counter(first.values())
    seconds = [row["latency_seconds"] for row in rows if row["latency_seconds"] is not None]
    created = store.rows(
        "SELECT created FROM labels WHERE run IN (?1, ?1 || ?2) AND annotator = ?3 AND answer <> ?4 "
        "ORDER BY created DESC",
        (run, REPEATS, name, UNDO),
    )
    undone = "SELECT count(*) FROM labels WHERE run IN (?1, ?1 || ?2) AND annotator = ?3 AND answer = ?4"
    sides = {row["number"]: row["left"] for row in rows if not row["repeat"]}
    repeats = {
        row["number"]: row["answer"] if row["left"] == sides.get(row["number"]) else exchanged(row["answer"])
        for row in rows
        if row["repeat"]
    }
    return {
        "answers": len(first),
        **{answer: given[answer] for answer in ANSWERS},
        "undone": store.value(undone, (run, REPEATS, name, UNDO)),
        "latency_median": statistics.median(seconds) if seconds else None,
        "per_hour": labels_per_hour([row["created"] for row in created]) if seconds else None,
        "repeats": agreement(first, repeats),
        "true_agreement": _agreement_with_truth([row for row in rows if not row["repeat"]], returns),
    }


def _agreement_with_truth(rows: Iterable[Row], returns: dict[str, float]) -> Row | None:
    """How many of the answers `left` and `right` prefer the larger true return, of those where returns differ."""
    right_ones = [
        (row["answer"] == "left") == (returns[row["left"]] > returns[row["right"]])
        for row in rows
        if row["answer"] in SIDES and returns[row["left"]] != returns[row["right"]]
    ]
    return share(sum(right_ones), len(right_ones))


def agreement(one: dict[int, str], other: dict[int, str]) -> Row | None:
    """How many answers, by number, are the same where both answered; with Cohen's kappa (1960).

    kappa: agreement beyond chance, 1 at most; None where both always gave the same one answer.
    """
    pairs = [(one[number], other[number]) for number in one.keys() & other.keys()]
    same = share(sum(first == second for first, second in pairs), len(pairs))
    if same is None:
        return None
    firsts, seconds = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    by_chance = sum(firsts[answer] * seconds[answer] for answer in ANSWERS) / len(pairs) ** 2
    return same | {"kappa": (same["share"] - by_chance) / (1 - by_chance) if by_chance < 1 else None}


def share(count: int, of: int) -> Row | None:
    """A share with its interval; None of nothing."""
    if not of:
        return None
    low, high = wilson_interval(count, of)
    return {"count": count, "of": of, "share": count / of, "low": low, "high": high}
