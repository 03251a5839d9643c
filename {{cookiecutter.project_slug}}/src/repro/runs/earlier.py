"""What earlier runs mean for one that is about to start: one did the same, one can go on, one is of the future."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from repro.reading import UserError
from repro.tracking import provenance
from repro.tracking.archive import RunFolder, read_run, runs_here
from repro.tracking.durations import shown_time, timestamp
from repro.tracking.index import list_summaries
from repro.tracking.locks import is_held
from repro.tracking.parameters import params_hash, same_params

CLOCK_TOLERANCE = 3600.0  # seconds that machines that share the archive may differ


def find_same_run(
    root: Path, code: str, params: dict[str, Any], seed: int, preferences: Path | None = None
) -> RunFolder | None:
    """The newest finished run of this code, these parameters (as in run.json), this seed and this start."""
    for summary in list_summaries(root):
        if summary["status"] == "finished" and (summary["code_hash"], summary["seed"]) == (code, seed):
            run = read_run(root / "runs" / summary["id"])
            if _same_start(root, run.record, preferences) and same_params(params, run.record["params"]):
                return run
    return None


def find_furthest(
    root: Path, summaries: Sequence[dict[str, Any]], code: str, params: dict[str, Any], seed: int
) -> RunFolder | None:
    """Of `summaries`, newest first, the run of this code, these parameters and this seed that has come furthest.

    The newest that has finished, else the newest. One that began with given comparisons is another.
    """
    wanted, unfinished = (code, seed, params_hash(params)), None
    for summary in summaries:
        if (summary.get("code_hash"), summary.get("seed"), summary.get("params_hash")) != wanted:
            continue
        run = read_run(root / "runs" / summary["id"])
        if _same_start(root, run.record, None):
            if run.record["status"] == "finished":
                return run
            unfinished = unfinished or run
    return unfinished


def offer_earlier(run: RunFolder, ask: Callable[[str], str] | None) -> None:
    """Say that this run did the same; where somebody can be asked, start again only if they want to.

    Raises UserError if they do not.
    """
    result = run.record.get("result") or "no result"
    print(f"{run.id} had the same code, parameters and seed: {result}; see it with: repro show {run.id}", flush=True)
    if ask and not ask("Start it again all the same? [y/N] ").strip().lower().startswith("y"):
        raise UserError(f"nothing was started; the earlier result: repro show {run.id}")


def find_unfinished(
    root: Path, cell: str, code: str, params: dict[str, Any], preferences: Path | None
) -> RunFolder | None:
    """The newest run of this cell that was interrupted or killed, with this code, these parameters and this data."""
    wanted = {
        "code_hash": code,
        "data_hashes": provenance.data_hashes(root, cell),
    }
    for summary in list_summaries(root):
        if summary.get("cell") == cell and summary["status"] in ("interrupted", "running"):
            run = read_run(root / "runs" / summary["id"])
            same = all(run.record.get(field) == value for field, value in wanted.items())
            same = same and _same_start(root, run.record, preferences) and same_params(params, run.record["params"])
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


def _same_start(root: Path, record: dict[str, Any], preferences: Path | None) -> bool:
    """Whether a run started from these comparisons; its path is kept from the project's folder, or in full.

    A run that was given a reward model started from more than these.
    """
    recorded = record.get("preferences")
    same = (recorded and (root / recorded).resolve()) == (preferences and preferences.resolve())
    return same and not record.get("reward_model")
