"""What lists and pages need of each run, quickly: `runs/.index.json` keeps it for the run.json that have not changed.

The index can be deleted at any time. An entry counts only while size, inode and time of its run.json are as they were
when it was read, and runs that were written just before are not entered: a second change might leave those the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from repro.files import write_atomic
from repro.reading import UserError, parse_json
from repro.tracking.archive import FOLDER, Record, read_named_record, run_ids
from repro.tracking.durations import timestamp
from repro.tracking.parameters import digest

# Of the record as they are.
FIELDS = (
    *("id", "project", "name", "status", "cell", "stage", "ablation", "seed", "code_hash", "params_hash"),
    *("question", "skip_reason", "result"),
    *("pid", "process_start", "host", "device", "started", "resumed", "ended", "exit_code"),
    *("active_seconds", "estimate_minutes", "person_labels", "closed", "rerun_of"),
)
# What `summarise` adds.
DERIVED = ("steps", "planned_steps", "score", "return", "gate_hash", "failure_probability")
NAMED = "recorded_id"  # what the folder was called when its record was written
SETTLED_SECONDS = 2.0  # more than the resolution of any file system's times
WORTH_WRITING = 200  # changed entries; reading fewer again is quicker than writing the index


def list_summaries(root: Path) -> list[Record]:
    """A summary of each run, newest first. One that cannot be read has the status "unreadable"."""
    path = root / "runs" / ".index.json"
    old = _read_index(path)
    entries: dict[str, list[Any]] = {}
    summaries, changed = [], 0
    now = time.time()
    for run_id in run_ids(root):
        folder = f"{root}/runs/{run_id}"
        try:
            stat = os.stat(f"{folder}/run.json")
            stamp = [stat.st_mtime_ns, stat.st_size, stat.st_ino]
            known = old.get(run_id)
            if known and known[0] == stamp:
                summary = known[1]
            else:
                record, name = read_named_record(folder)
                summary = summarise(record) | {NAMED: name}
                changed += 1
        except (OSError, ValueError):
            summaries.append({"id": run_id, "status": "unreadable"})
            continue
        summaries.append(summary | {FOLDER: folder})
        if stat.st_mtime < now - SETTLED_SECONDS:
            entries[run_id] = [stamp, summary]
    if changed + len(old.keys() - entries.keys()) >= WORTH_WRITING:
        content = json.dumps({"fields": [*FIELDS, *DERIVED, NAMED], "entries": entries}, separators=(",", ":"))
        with contextlib.suppress(UserError):  # a full disk only makes the next list slower
            write_atomic(path, content.encode())
    return sorted(summaries, key=lambda summary: (timestamp(summary.get("started")), summary["id"]), reverse=True)


def without_copies(summaries: Iterable[Record]) -> list[Record]:
    """Those that count as runs: a copy of a folder, such as `X.bak`, has the record of another that is there too."""
    summaries = list(summaries)
    known = {run["id"] for run in summaries}
    return [run for run in summaries if run.get(NAMED) in (None, run["id"]) or run[NAMED] not in known]


def summarise(record: Record) -> Record:
    """FIELDS of a record, and DERIVED.

    Steps are those done (or planned); score and return are as evaluated, else of the training's end. `params_hash` is
    equal for equal parameters, `gate_hash` for predictions made in the same gate.
    """
    metrics = record.get("result_metrics") or {}
    training = record["params"].get("training") or {}
    evaluated = judged(record)
    prediction = record.get("prediction") or {}
    return {field: record.get(field) for field in FIELDS} | {
        "result": outcome(record),
        "steps": metrics.get("env_step"),
        "planned_steps": training.get("total_steps"),
        "score": evaluated.get("score"),
        "return": evaluated.get("return_mean", metrics.get("return/mean")),
        "gate_hash": digest(record["gate"]) if prediction and record.get("gate") else None,
        "failure_probability": prediction.get("failure_probability"),
    }


def judged(record: Record) -> Record:
    """What an evaluation says of the actions that success is judged by; empty if there was none."""
    return (record.get("evaluation") or {}).get(judged_actions(record)) or {}


def judged_actions(record: Record) -> str:
    """Which actions success is judged by: sampled or greedy."""
    return (record["params"].get("evaluation") or {}).get("actions", "sampled")


def outcome(record: Record) -> str:
    """What came of a run, in a line: at the end of training, as evaluated, and why it failed if somebody said so."""
    evaluated = judged(record)
    cause = (record.get("closed") or {}).get("cause")
    parts = [
        record.get("result"),
        f"judged: score {evaluated['score']:.3f} ({judged_actions(record)} actions)" if evaluated else None,
        f"failed: {cause}" if cause else None,
    ]
    return "; ".join(part for part in parts if part)


def _read_index(path: Path) -> dict[str, list[Any]]:
    """Run id -> [stamp, summary]; nothing if there is no index, or it is of another version, or damaged."""
    try:
        index = parse_json(path.read_bytes())
        entries = index["entries"] if index["fields"] == [*FIELDS, *DERIVED, NAMED] else {}
        whole = all(summary["id"] == run_id and "status" in summary for run_id, (_, summary) in entries.items())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
    return entries if whole else {}
