"""Whether a rerun came out as its original: asked by the process that ends the rerun, killed and resumed or not."""

from __future__ import annotations

from pathlib import Path

from repro.reading import UserError
from repro.tracking.archive import Record, RunFolder
from repro.tracking.difference import circumstances, differing, first_difference
from repro.tracking.lookup import find_run


def compare_with_original(root: Path, run: RunFolder) -> str:
    """Whether the metrics of a rerun match its original's bit for bit: recorded, and told in a line.

    `rerun_matches` of the record is None, and `rerun_detail` says why, where they cannot be compared or need not match.
    """
    matches, detail = None, ""
    try:
        original = find_run(root, run.record["rerun_of"])
        matches, detail = _match(original, run)
        if matches is False and (others := other_circumstances(original.record, run.record)):
            detail += f" ({others})"
    except UserError as error:  # the original was deleted or is damaged: the rerun is none the worse
        detail = f"cannot be compared with it: {error}"
    run.update(rerun_matches=matches, rerun_detail=detail)
    return f"rerun of {run.record['rerun_of']}: {detail}"


def other_circumstances(original: Record, rerun: Record) -> str:
    """What is known to be other for a rerun than for its original, in a line; empty if there is nothing."""
    found = differing([circumstances(original), circumstances(rerun)])
    return ", ".join(f"{name} {then} then, {now} now" for name, (then, now) in found.items() if then and now)


def _match(original: RunFolder, run: RunFolder) -> tuple[bool | None, str]:
    """Whether they match, None where they need not; and that in words."""
    difference = first_difference(original.path / "metrics.jsonl", run.path / "metrics.jsonl")
    seeds = f"the seed is {run.record['seed']}, not {original.record['seed']}"
    if original.record["seed"] != run.record["seed"]:
        if difference is None:
            return None, f"the metrics are the same although {seeds}: it has no effect"
        return None, f"the metrics are others, as {seeds}"
    if difference is None:
        return True, "the metrics match bit for bit"
    if difference.shorter == 0 and original.record["status"] != "finished":
        return True, f"the metrics match bit for bit as far as the original got, before step {difference.env_step:,}"
    return False, f"the metrics do not match, first at {difference}"
