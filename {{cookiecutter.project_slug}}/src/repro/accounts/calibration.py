"""How good the predictions made before launch were: of the runs that are closed, predicted against observed."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from repro.results.proportions import wilson_interval
from repro.terminal.text import counted, plain
from repro.tracking.archive import Record, effective_status, is_live
from repro.tracking.index import without_copies

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # of the bins; a bin holds its lower edge, the last one both
ENOUGH_RUNS = 20  # closed runs; with so many, the interval around one half is still 40 points wide


@dataclass(frozen=True)
class Bin:
    """Runs whose failure was predicted with a probability between two edges; the interval is Wilson's, 95%."""

    low: float
    high: float
    n: int
    predicted: float  # mean probability
    failed: int
    interval: tuple[float, float]


@dataclass
class Cause:
    """What made runs fail, in the words used last, and how often: foreseen, not foreseen, not known."""

    text: str
    foreseen: int = 0
    unforeseen: int = 0
    unknown: int = 0
    runs: list[str] = field(default_factory=list)  # that failed of it, oldest first


@dataclass(frozen=True)
class Calibration:
    """Predictions against outcomes of `n` closed runs; Brier scores are None without any."""

    n: int
    passes: int  # of the gate: runs that passed together share a prediction
    failed: int
    brier: float | None
    brier_base_rate: float | None  # of always predicting the share that failed, which is known only in hindsight
    bins: tuple[Bin, ...]  # those that hold runs
    failures_foreseen: int
    failures_judged: int  # for which somebody said whether the prediction foresaw them
    causes: tuple[Cause, ...]  # the most frequent first; also of runs without a prediction
    open_runs: tuple[str, ...]  # ended, with a prediction, not closed


def calibrate(summaries: Iterable[Record]) -> Calibration:
    """Compare predictions with outcomes. `summaries`: of the archive (`repro.tracking.index`), oldest first.

    The Brier score is the mean of (predicted probability of failure - 1 if the run failed, else 0) squared
    (Brier 1950): 0 is perfect, 0.25 is what saying 50% always gets. A prediction counts once for each seed, of each
    ablation that was launched with it.
    """
    records = [record for record in without_copies(summaries) if record["status"] != "unreadable"]
    closed = [record for record in records if record["closed"]]
    predicted = _latest_of_each([record for record in closed if record["failure_probability"] is not None])
    pairs = [(record["failure_probability"], _failed(record)) for record in predicted]
    n, failed = len(pairs), sum(failed for _, failed in pairs)
    judged = [record["closed"].get("foreseen") for record in predicted if _failed(record)]
    judged = [foreseen for foreseen in judged if foreseen is not None]
    return Calibration(
        n=n,
        passes=len({record["gate_hash"] for record in predicted}),
        failed=failed,
        brier=math.fsum((probability - failed) ** 2 for probability, failed in pairs) / n if n else None,
        brier_base_rate=failed / n * (1 - failed / n) if n else None,
        bins=_bins(pairs),
        failures_foreseen=sum(foreseen is not False for foreseen in judged),
        failures_judged=len(judged),
        causes=_causes(closed),
        open_runs=tuple(record["id"] for record in records if _is_open(record)),
    )


def next_question(causes: Iterable[Cause], asked: Collection[str]) -> tuple[Cause, str] | None:
    """The most frequent cause that was not foreseen and that no question in `asked` (ids) is about, with an id."""
    for cause in sorted(causes, key=lambda cause: -cause.unforeseen):  # stable: else in the order of all counts
        if cause.unforeseen and (name := question_id(cause.text)) not in asked:
            return cause, name
    return None


def question_id(cause: str) -> str:
    """The id of the checklist's question about a cause: the same for the same cause, whatever its letters."""
    key = _key(cause)
    name = re.sub(r"[^a-z0-9]+", "_", key).strip("_")
    if len(name) > 40 or not key.isascii():  # what is left of it may be the same for others
        digest = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:6]
        name = f"{name[:30].strip('_')}_{digest}".strip("_")
    return f"cause_{name}"


def question_yaml(cause: Cause, name: str) -> str:
    """An entry for `questions` in checklists/prelaunch.yaml that asks about a cause."""
    texts = {
        "ask": f"What tells you that this run will not fail of: {plain(cause.text)}?",
        "why": f"It made {counted(cause.unforeseen, 'run')} fail without being foreseen, last {cause.runs[-1]}.",
    }
    lines = [f"  - id: {name}"]
    lines += [f"    {key}: {json.dumps(text, ensure_ascii=False)}" for key, text in texts.items()]  # JSON is YAML
    return "\n".join(lines)


def _failed(record: Record) -> bool:
    return record["closed"]["outcome"] == "failed"


def _latest_of_each(predicted: list[Record]) -> list[Record]:
    """The latest of runs of the same gate, ablation and seed: they share a prediction and would tell the same twice."""
    return list({(run["gate_hash"] or run["id"], run["ablation"], run["seed"]): run for run in predicted}.values())


def _is_open(record: Record) -> bool:
    if record["closed"] or record["failure_probability"] is None:
        return False
    return not is_live(effective_status(record))


def _bins(pairs: list[tuple[float, bool]]) -> tuple[Bin, ...]:
    bins = []
    for low, high in itertools.pairwise(EDGES):
        inside = [pair for pair in pairs if low <= pair[0] < high or pair[0] == high == 1]
        if inside:
            n, failed = len(inside), sum(failed for _, failed in inside)
            mean = math.fsum(probability for probability, _ in inside) / n
            bins.append(Bin(low, high, n, mean, failed, wilson_interval(failed, n)))
    return tuple(bins)


def _causes(closed: list[Record]) -> tuple[Cause, ...]:
    causes: dict[str, Cause] = {}
    for record in closed:
        outcome = record["closed"]
        if not outcome.get("cause"):
            continue
        cause = causes.setdefault(_key(outcome["cause"]), Cause(outcome["cause"]))
        cause.text = outcome["cause"]
        cause.runs.append(record["id"])
        if outcome.get("foreseen") is None:
            cause.unknown += 1
        elif outcome["foreseen"] is False:
            cause.unforeseen += 1
        else:
            cause.foreseen += 1
    return tuple(sorted(causes.values(), key=lambda cause: (-len(cause.runs), -cause.unforeseen, cause.text)))


def _key(cause: str) -> str:
    """Causes that differ in case, spaces or final punctuation are one."""
    return " ".join(cause.casefold().split()).rstrip(".!… ")
