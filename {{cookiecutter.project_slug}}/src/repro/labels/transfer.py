"""What `repro prefs` does with the preferences of a run, or of a database of their own: show, export, import."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repro.config import parse_config
from repro.labels.statistics import label_statistics
from repro.preferences.export import answers_to_replace, read_export, read_meta, run_of_export
from repro.preferences.oracle import ORACLE
from repro.preferences.store import AskedOtherwise, PreferenceStore
from repro.reading import UserError
from repro.terminal.text import shown_path
from repro.tracking.archive import RunFolder
from repro.tracking.lookup import find_own_run, find_run_folder

DATABASE = ".db"


def read_statistics(root: Path, name: str, run: str | None) -> dict[str, Any]:
    """Statistics of the labels of a run, or of the `run` in a database. Raises UserError."""
    if name.endswith(DATABASE):
        path = Path(name)
    else:
        folder = find_run_folder(root, name)
        path, run = folder / "preferences.db", run or folder.name
    with _open(path) as store:
        return label_statistics(store, run)


def _open(path: Path) -> PreferenceStore:
    if not path.exists():  # else it would be made
        raise UserError(f"{path}: no such database; a run has one once it has started")
    return PreferenceStore(path)


def export_labels(root: Path, name: str, out: Path | None) -> str:
    """Export the labels of a run to `out`, or else to data/<run>; returns what was written, in a line or two.

    A run that starts from them has none of this run's steps to count: they were this run's.
    """
    run = find_own_run(root, name)
    folder = out or root / "data" / run.id
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken and not (folder / "meta.json").exists():
        raise UserError(f"--out {folder}: is something else than an earlier export; name a new folder")
    with _open(run.path / "preferences.db") as store:
        _check_replaced(folder, store, run.id)
        store.export(folder, name=run.record["name"], seed=run.record["seed"], env_steps=0, run=run.id)
    meta = read_meta(folder)
    where = shown_path(folder)
    word = shlex.quote(where)
    return (
        f"{meta['labels']:,} labelled comparisons, {meta['answers']:,} answers: {where}\n"
        f"keep it: dvc add {word}; start from it: repro train --preferences {word} "
        f"--set preferences.initial_labels={meta['labels']}"
    )


def _check_replaced(folder: Path, store: PreferenceStore, run: str) -> None:
    """Raise UserError if the folder holds an export of comparisons that this run did not ask."""
    shown = store.compared(run)
    for label in answers_to_replace(folder):
        if label["left"] not in shown or label["right"] not in shown:
            raise UserError(
                f"--out {folder}: holds answers of {label['annotator']} to what {run} has not asked; name a new folder"
            )


@contextmanager
def naming_another(folder: Path, database: Path, run: str) -> Iterator[None]:
    """Say what to do where a database holds another run of the same experiment and seed. Raises UserError."""
    try:
        yield
    except AskedOtherwise:
        raise UserError(
            f"{folder}: {shown_path(database)} holds other comparisons of {run} already; name another database"
        ) from None


def import_labels(root: Path, folder: Path, target: str) -> str:
    """Enter an export into a database, made if need be, or into a run that asked the same. Returns what changed."""
    meta = read_meta(folder)
    if target.endswith(DATABASE):
        name = run_of_export(meta)
        with PreferenceStore(Path(target), meta["environment"]) as store, naming_another(folder, Path(target), name):
            entered = store.import_from(folder, name)
        return f"{entered} answers entered: {shown_path(Path(target))}"
    run = find_own_run(root, target)
    _check_still_repeatable(run, folder)
    with _open(run.path / "preferences.db") as store:
        entered = store.import_from(folder, run.id, new_queries=False)
    return f"{entered} answers entered: {run.id}"


def _check_still_repeatable(run: RunFolder, folder: Path) -> None:
    """Raise UserError if people's answers would change what the run learns from when it is resumed.

    While it runs, a run with an oracle learns from what the oracle answers. A resume takes what stands in the store,
    where a person's answer comes before the oracle's.
    """
    if run.record["status"] == "finished":
        return
    config = parse_config(run.record["params"], source=f"{run.id}/params.yaml")
    if config.reward.source != "learned" or config.preferences.annotator != ORACLE:
        return
    people = sorted({label["annotator"] for label in read_export(folder)[1]} - {ORACLE})
    if people:
        raise UserError(
            f"{folder}: holds answers of {', '.join(people)}, and {run.id} learns from the oracle until it is "
            f"finished; import into a database: repro prefs import {shlex.quote(str(folder))} mine.db"
        )
