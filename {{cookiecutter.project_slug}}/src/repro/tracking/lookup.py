"""The run that a user names: by its id, a part of it, a path, or `latest`."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from repro.reading import UserError
from repro.tracking import provenance
from repro.tracking.archive import RunFolder, is_run_folder, read_named_record, read_run, run_ids
from repro.tracking.index import list_summaries, without_copies


def find_run(root: Path, name: str) -> RunFolder:
    """The run that a user named: an id, its start or end, a path, or `latest`. Raises UserError."""
    return read_run(find_run_folder(root, name))


def find_run_folder(root: Path, name: str) -> Path:
    """The folder of the run that a user named, be its record readable or not.

    Its id, the only one whose id starts so, or the only one with this code (`7f3a`); `latest`; or a path to the folder,
    wherever that is. Raises UserError if there is none, or more than one.
    """
    if name == "latest":
        runs = without_copies(list_summaries(root))
        if not runs:
            raise UserError("there is no run yet; start one with: repro train --seed 100")
        name = runs[0]["id"]
    if name and is_run_folder(Path(name)):
        return Path(os.path.abspath(name))
    wanted = Path(name).name
    known = run_ids(root)
    matches = [wanted] if wanted in known else _matching(wanted, known)
    if not matches:
        raise UserError(f"no run {name!r}{_nearest(wanted, known)}")
    if len(matches) > 1:
        more = f" and {len(matches) - 5} more" if len(matches) > 5 else ""
        raise UserError(f"{name!r} may be any of {', '.join(sorted(matches)[:5])}{more}; give more of the id")
    return root / "runs" / matches[0]


def find_own_run(root: Path, name: str) -> RunFolder:
    """As `find_run`, for what computes with the run, or changes it. Raises UserError.

    It must be of this project, in its archive, under the name that its labels stand under.
    """
    run = find_run(root, name)
    project, other = provenance.project(root).get("name"), run.record.get("project")
    if other is not None and other != project:
        raise UserError(f"{run.id}: is a run of the project {other}, not of {project}; go to that one's folder")
    if run.path.parent.resolve() != (root / "runs").resolve():
        raise UserError(f"{run.path}: lies outside this project's runs/; move it there, with its code in .snapshots")
    _, made_as = read_named_record(run.path)
    if made_as not in (None, run.id):
        raise UserError(
            f"{run.id}: was made as {made_as}, and its labels are kept under that name; give it back to the folder"
        )
    return RunFolder(root / "runs" / run.id, run.record)  # where runs/ is a link, by the way that leads to the project


def _matching(wanted: str, known: list[str]) -> list[str]:
    return [run_id for run_id in known if wanted and (run_id.startswith(wanted) or run_id.endswith(f"_{wanted}"))]


def _nearest(wanted: str, known: list[str]) -> str:
    if not known:
        return ": there are no runs yet"
    codes = {run_id.rpartition("_")[2]: run_id for run_id in known}
    near = difflib.get_close_matches(wanted, [*known, *codes], n=1, cutoff=0.5)
    if near:
        return f"; did you mean {codes.get(near[0], near[0])}?"
    return "; `repro runs` lists them all, and `latest` is the latest"
