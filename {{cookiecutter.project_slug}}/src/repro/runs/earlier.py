"""What earlier runs mean for one that is about to start: one did the same, one can go on, one is of the future."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from repro.reading import UserError
from repro.tracking import provenance
from repro.tracking.archive import AGENT, RunFolder, read_run, runs_here
from repro.tracking.durations import shown_time, timestamp
from repro.tracking.index import list_summaries, without_copies
from repro.tracking.locks import is_held
from repro.tracking.parameters import same_params

CLOCK_TOLERANCE = 3600.0  # seconds that machines that share the archive may differ


def find_same_run(
    root: Path, code: str, params: dict[str, Any], seed: int, preferences: Path | None = None
) -> RunFolder | None:
    """The newest finished run of this code, these parameters (as in run.json), this seed and this start."""
    for run in _alike(root, list_summaries(root), code, params, seed):
        if run.record["status"] == "finished" and _same_start(root, run.record, preferences):
            return run
    return None


def find_furthest(
    root: Path, summaries: Sequence[dict[str, Any]], code: str, params: dict[str, Any], seed: int, dirty: bool
) -> RunFolder | None:
    """Of `summaries`, newest first, the run of this code, these parameters and this seed that has come furthest.

    The newest that has finished, else the newest. One that began with given comparisons is another; so is one whose
    code was not committed yet, unless it is not committed (`dirty`) now either: what it says of that stays.
    """
    unfinished = None
    for run in _alike(root, summaries, code, params, seed):
        if _same_start(root, run.record, None) and (dirty or not run.record.get("dirty")):
            if run.record["status"] == "finished":
                return run
            unfinished = unfinished or run
    return unfinished


def find_trained(
    root: Path,
    code: str,
    params: dict[str, Any],
    seed: int,
    ablation: str | None,
    preferences: Path | None,
    dirty: bool,
) -> RunFolder | None:
    """The newest finished run, with its final agent, that did what a cell of the pipeline is to do.

    It has this code, seed and ablation and these parameters, in which an `auto` may have come to anything: it may be a
    run of another machine. A run that collected the comparisons in `preferences` itself began as one that is given
    them. dirty: whether its code may have been uncommitted. Raises UserError if `preferences` cannot be read.
    """
    for run in _alike(root, list_summaries(root), code, params, seed):
        record = run.record
        same = record["status"] == "finished" and record.get("ablation") == ablation and not record.get("reward_model")
        same = same and (dirty or not record.get("dirty")) and (run.path / AGENT).exists()
        if same and (preferences is None or _began_with(run, preferences)):
            return run
    return None


def offer_earlier(run: RunFolder, ask: Callable[[str], str] | None) -> None:
    """Say that this run did the same; where somebody can be asked, start again only if they want to.

    Raises UserError if they do not.
    """
    result = run.record.get("result") or "no result"
    print(f"{run.id} had the same code, parameters and seed: {result}; see it with: repro show {run.id}", flush=True)
    if ask and not ask("Start it again all the same? [y/N] ").strip().lower().startswith("y"):
        raise UserError(f"nothing was started; the earlier result: repro show {run.id}")


def find_unfinished(
    root: Path, cell: str, code: str, params: dict[str, Any], seed: int, preferences: Path | None
) -> RunFolder | None:
    """The newest run of this cell that was interrupted or killed, with this code, these parameters and this data."""
    data = provenance.data_hashes(root, cell)
    for run in _alike(root, list_summaries(root), code, params, seed):
        stopped = run.record.get("cell") == cell and run.record["status"] in ("interrupted", "running")
        same = stopped and run.record.get("data_hashes") == data and _same_start(root, run.record, preferences)
        if same and not runs_here(run.record) and not is_held(run.path):  # the latter on whichever machine
            return run
    return None


def check_clock(root: Path) -> None:
    """Raise UserError if a run of the archive began in the future: order and durations would mean nothing."""
    runs = list_summaries(root)
    if runs and timestamp(runs[0].get("started")) > time.time() + CLOCK_TOLERANCE:
        raise UserError(
            f"the clock went back: it is {time.strftime('%Y-%m-%d %H:%M')}, but {runs[0]['id']} began at "
            f"{shown_time(runs[0]['started'])}; set the clock, or correct `started` in that run.json"
        )


def _alike(
    root: Path, summaries: Iterable[dict[str, Any]], code: str, params: dict[str, Any], seed: int
) -> Iterator[RunFolder]:
    """Of `summaries` the runs of this code, these parameters and this seed; a copy of a folder is none."""
    for summary in without_copies(summaries):
        if (summary.get("code_hash"), summary.get("seed")) == (code, seed):
            run = read_run(root / "runs" / summary["id"])
            if same_params(params, run.record["params"]):
                yield run


def _began_with(run: RunFolder, folder: Path) -> bool:
    """Whether the first comparisons of a run, and their answers, are those that were exported to `folder`."""
    from repro.preferences.export import read_export
    from repro.preferences.schema import REPEATS
    from repro.preferences.store import PreferenceStore

    path, (meta, labels, _) = run.path / "preferences.db", read_export(folder)
    if meta["labels"] != run.record["params"]["preferences"]["initial_labels"] or not path.exists():
        return False
    fields = ("number", "repeat", "left", "right", "annotator", "answer")
    with PreferenceStore(path) as store:
        answers = store.rows(
            'SELECT number, run LIKE \'%\' || ? AS repeat, left_hash AS "left", right_hash AS "right", annotator, '
            "answer FROM answers JOIN queries USING (run, number)",
            (REPEATS,),
        )
    return {tuple(label[field] for field in fields) for label in labels} <= {tuple(row.values()) for row in answers}


def _same_start(root: Path, record: dict[str, Any], preferences: Path | None) -> bool:
    """Whether a run started from these comparisons; its path is kept from the project's folder, or in full.

    A run that was given a reward model started from more than these.
    """
    recorded = record.get("preferences")
    same = (recorded and (root / recorded).resolve()) == (preferences and preferences.resolve())
    return same and not record.get("reward_model")
