"""What a person is given to label: the comparisons of a run, or those of an exported folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from repro.config import Config, parse_config
from repro.envs import describe_environment
from repro.labels.transfer import naming_another
from repro.preferences.clips import Clip, make_clip
from repro.preferences.export import read_export, run_of_export
from repro.preferences.labeller.desk import Situation, Task
from repro.preferences.oracle import ORACLE
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.terminal.waiting import waiting
from repro.tracking.archive import RunFolder, effective_status, is_live, read_run
from repro.tracking.locks import is_held
from repro.tracking.lookup import find_own_run
from repro.tracking.metrics import read_last_row

Query = tuple[int, Segment, Segment, int, str]  # as `add_query` takes it
LOOK_SECONDS = 0.3  # between looks at a run that is starting


def run_task(root: Path, name: str, store: Path | None, annotator: str | None, repeats: float) -> Task:
    """The comparisons of a run, answered in its own store, which its trainer reads; or in another, `store`.

    Waits for a run that is starting to ask something. Raises UserError if it ended without, or if it is the oracle who
    answers and there is no other store.
    """
    run = find_own_run(root, name)
    config = parse_config(run.record["params"], source=f"{run.id}/params.yaml")
    own = run.path / "preferences.db"
    # Who has just typed `repro train` may mean a run that does not exist yet.
    shown = f"{run.id} (the latest run, until repro train names a new one)" if name == "latest" else run.id
    if config.reward.source != "learned":
        raise UserError(f"{shown}: learns from the environment's reward, and asks nobody; use reward.source=learned")
    if run.record.get("reward_model") and not run.record.get("preferences"):
        raise UserError(f"{shown}: keeps the reward model that it was given as it is, and asks nobody")
    environment = describe_environment(config.env)
    if store is None and config.preferences.annotator == ORACLE:
        raise UserError(
            f"{shown}: its comparisons are answered by the oracle; to answer them yourself, name a file for your "
            f"answers: repro label {run.id} --store mine.db"
        )
    _wait_for_comparisons(run, own, environment)
    if store is not None:
        with PreferenceStore(own, environment) as theirs:
            _copy(store, environment, run.id, _queries(theirs, run.id))
    wanted = config.preferences.total_labels if store is None else None
    situation = partial(_situation, run, config) if store is None else lambda: Situation(None, 0)
    return _task(config, store or own, run.id, wanted, annotator, repeats, situation)


def export_task(config: Config, folder: Path, store: Path | None, annotator: str | None, repeats: float) -> Task:
    """The comparisons of an exported folder, answered in `store`. config: of the project. Raises UserError."""
    if store is None:
        raise UserError(f"{folder}: is never changed; name a file for your answers: --store mine.db")
    meta, labels, segments = read_export(folder)
    environment = describe_environment(config.env)
    if meta["environment"] not in (environment, None):
        raise UserError(
            f"{folder}: holds preferences for {meta['environment']}, not for {environment}; give its parameters with "
            "--params"
        )
    queries = (
        (label["number"], segments[label["left"]], segments[label["right"]], label["env_step"], label["strategy"])
        for label in labels
        if not label["repeat"]  # the same under the same number, with its sides exchanged
    )
    name = run_of_export(meta)
    with naming_another(folder, store, name):
        _copy(store, environment, name, queries)
    return _task(config, store, name, None, annotator, repeats, lambda: Situation(None, 0))


def _task(
    config: Config,
    store: Path,
    run: str,
    wanted: int | None,
    annotator: str | None,
    repeats: float,
    situation: Callable[[], Situation],
) -> Task:
    return Task(
        store=store,
        run=run,
        environment=describe_environment(config.env),
        instruction=config.preferences.instruction,
        wanted=wanted,
        annotator=annotator,
        repeats=repeats,
        make_clip_maker=partial(_make_clip_maker, config),
        situation=situation,
    )


def _make_clip_maker(config: Config) -> Callable[[Segment], Clip]:
    from repro.envs.redrawing import drawing_for

    draw, rate = drawing_for(config.env)
    return partial(make_clip, draw=draw, frames_per_second=rate)


def _wait_for_comparisons(run: RunFolder, store: Path, environment: str) -> None:
    """Return once the run has asked something. Raises UserError if it does not, as it has ended."""
    with waiting(f"waiting for the first comparisons of {run.id}; Ctrl-C stops waiting"):
        while True:
            # Before looking for comparisons: those of a run that ended in between are found.
            status = effective_status(read_run(run.path).record, run.path)
            if store.exists():  # else it would be made
                with PreferenceStore(store, environment) as preferences:
                    if preferences.query_count(run.id):
                        return
            if not (is_live(status) or is_held(run.path)):
                raise UserError(
                    f"{run.id}: has ended ({status}) without asking for comparisons; see: repro show {run.id}"
                )
            time.sleep(LOOK_SECONDS)


def _situation(run: RunFolder, config: Config) -> Situation:
    """How the run stands now. Before its first rollout of training it waits for labels in any case."""
    row = read_last_row(run.path / "metrics.jsonl")
    status = effective_status(read_run(run.path).record, run.path)
    waits = status == "running" and (row is None or config.preferences.when_unlabelled == "wait")
    return Situation(status, int((row or {}).get("env_step", 0)), waits)


def _queries(store: PreferenceStore, run: str) -> Iterable[Query]:
    rows = store.rows(
        "SELECT number, left_hash, right_hash, env_step, strategy FROM queries WHERE run = ? ORDER BY number", (run,)
    )
    for row in rows:
        left, right = (store.segment(row[side], pictures=True) for side in ("left_hash", "right_hash"))
        yield row["number"], left, right, row["env_step"], row["strategy"]


def _copy(store: Path, environment: str, run: str, queries: Iterable[Query]) -> None:
    """Enter the queries, without answers, into another store; those that are there already stay as they are."""
    with PreferenceStore(store, environment) as mine, mine.transaction():
        for number, left, right, env_step, strategy in queries:
            mine.add_query(run, number, left, right, env_step, strategy)
