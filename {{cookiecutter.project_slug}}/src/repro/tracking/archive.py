"""The archive: one folder a run under `runs/`, with all that is needed to know, and to repeat, what was done.

`run.json` is written when a run is created (`repro.tracking.creation`) and again when it ends, each time whole or not
at all. A run that says "queued" or "running" while its process is gone has crashed (`effective_status`). Which process
may do a run is decided by a lock in its folder (`repro.tracking.locks`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from repro.files import write_json
from repro.reading import UserError, parse_json
from repro.tracking.durations import active_seconds, now, session_start
from repro.tracking.locks import is_held, updating_record
from repro.tracking.metrics import encode, read_last_row
from repro.tracking.process import is_running, process_start

Record = dict[str, Any]
# In a run's folder: the whole state, to resume from; the final networks.
CHECKPOINT, AGENT, REWARD_MODEL = (Path("checkpoints", f"{name}.pt") for name in ("last", "agent", "reward_model"))
FOLDER = "folder"  # a summary's own field: where the run is
STARTING_SECONDS = 60.0  # a process takes no longer from creating a run to holding its lock
NEEDED = ("status", "pid", "process_start", "host", "params", "seed", "code_hash", "params_hash")
# Of what is read wherever runs are listed: one record that was damaged by hand must not hide all others.
FIELD_TYPES = (
    dict.fromkeys(("params", "result_metrics", "evaluation", "closed", "prediction", "gate", "wandb"), dict)
    | dict.fromkeys(("devices", "versions", "data_hashes"), dict)
    | dict.fromkeys(("resumed", "overrides", "command", "notes", "pruned"), list)
    | dict.fromkeys(("status", "host", "code_hash", "params_hash", "started"), str)
    | dict.fromkeys(("question", "result", "skip_reason", "stage", "ablation"), str)
    | dict.fromkeys(("pid", "seed", "person_labels"), int)
    | dict.fromkeys(("active_seconds", "estimate_minutes"), float | int)
    | {"ended": str}
)
SECTION_TYPES = dict.fromkeys(("env", "training", "evaluation", "gate"), dict)
SECTION_KEYS = {
    "closed": {"outcome"},
    "prediction": {"failure_probability", "causes"},
}
CAUSE_KEYS = {"cause", "response", "reason"}
EVALUATION_TYPES = dict.fromkeys(("sampled", "greedy", "random"), dict)


@dataclass
class RunFolder:
    """A run on disk. `record` is the content of its run.json."""

    path: Path
    record: Record

    @property
    def id(self) -> str:
        """The name of the folder."""
        return self.path.name

    def save(self) -> None:
        """Write run.json, whole or not at all. Raises UserError if the folder is gone or the disk full."""
        write_json(self.path / "run.json", self.record)

    def update(self, **fields: Any) -> None:
        """Set fields of the record and save it. The others are read again, as another process may have set them."""
        self.revise(lambda _: fields)

    def revise(self, change: Callable[[Record], Mapping[str, Any]]) -> None:
        """Set the fields that `change` derives from the record as it is now; nobody else sets any meanwhile.

        If `change` raises, nothing is changed. Raises UserError as `save` does.
        """
        with updating_record(self.path):
            with contextlib.suppress(OSError, ValueError):
                self.record = read_record(self.path)
            self.record.update(change(self.record))
            self.save()


def claim_run(run: RunFolder) -> None:
    """Make this process, which holds the run, the one that does it, again if it was stopped or killed.

    What the last attempt ended with is forgotten; the seconds it took are not. Raises UserError if a process of this
    machine is about to do the run.
    """
    record, mine = run.record, this_process()
    if (record["pid"], record["process_start"], record["host"]) == tuple(mine.values()):
        return
    if runs_here(record):
        raise UserError(f"{run.id}: is being done by process {record['pid']} on {record['host']}; stop that one first")
    begun = {"started": now()} if record["status"] == "queued" else {"resumed": [*record["resumed"], now()]}
    run.update(
        **mine,
        **begun,
        status="running",
        ended=None,
        exit_code=None,
        result=None,
        result_metrics=None,
        closed=None,
        active_seconds=active_seconds(record, read_last_row(run.path / "metrics.jsonl"), running=False),
    )


def finish_run(
    run: RunFolder,
    status: str,
    exit_code: int,
    result: str | None = None,
    result_metrics: Mapping[str, Any] | None = None,
    seconds: float = 0.0,
) -> None:
    """Record how the run ended, `seconds` after it was claimed. Raises UserError if its folder is gone or disk full."""
    metrics = None if result_metrics is None else {key: encode(value) for key, value in result_metrics.items()}
    run.update(
        status=status,
        exit_code=exit_code,
        ended=now(),
        result=result,
        result_metrics=metrics,
        active_seconds=round(run.record.get("active_seconds", 0.0) + seconds, 3),
    )


def is_run_folder(path: Path) -> bool:
    """Whether the path leads to a run, wherever that is."""
    return os.path.isfile(path / "run.json")  # no error for a name that is too long, or no name at all


def read_run(path: Path) -> RunFolder:
    """The run in this folder. Raises UserError if its record is missing or damaged."""
    try:
        return RunFolder(path, read_record(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path / 'run.json'}: missing or damaged ({error}); this run cannot be used") from None


def effective_status(record: Record, path: Path | None = None) -> str:
    """The status, with "crashed" for a run whose process, or the one that was starting it, is gone.

    Of one that runs on another host that can be told by the lock in its folder, `path`, which a summary knows. One that
    was closed while it waited, such as a cancelled job of SLURM, is waited for no longer.
    """
    status = record["status"]
    if status == "queued" and record.get("closed"):
        return "crashed"
    if is_live(status) and record["host"] == socket.gethostname():
        return status if is_running(record["pid"], record["process_start"]) else "crashed"
    folder = path or record.get(FOLDER)
    if status == "running" and folder and time.time() - session_start(record) > STARTING_SECONDS:
        with contextlib.suppress(UserError):  # a folder that only others may write in: it cannot be told
            return status if is_held(Path(folder)) else "crashed"
    return status


def is_live(status: str) -> bool:
    """Whether a run of this effective status is running, or about to."""
    return status in ("queued", "running")


def runs_here(record: Record) -> bool:
    """Whether a process of this machine does the run, or is about to."""
    here = record["status"] == "running" and record["host"] == socket.gethostname()
    return here and is_running(record["pid"], record["process_start"])


def this_process() -> Record:
    """What a record says of the process that does the run."""
    return {"pid": os.getpid(), "process_start": process_start(os.getpid()), "host": socket.gethostname()}


def run_ids(root: Path) -> list[str]:
    """The names of all run folders, in no order. Raises UserError if `runs` is no folder."""
    try:
        with os.scandir(root / "runs") as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise UserError(f"{root / 'runs'}: is a file, not the folder of runs; move it away") from None


def read_record(path: Path | str) -> Record:
    """The run.json in a folder; `id` is the folder's name, whatever it was once. Raises OSError or ValueError."""
    return read_named_record(path)[0]


def read_named_record(path: Path | str) -> tuple[Record, str | None]:
    """The same, and what the folder was called when the record was written. Raises OSError or ValueError."""
    with open(f"{path}/run.json", "rb") as file:  # of thousands: a Path for each would take a tenth of the time
        record = parse_json(file.read())
    if not isinstance(record, dict) or any(record.get(field) is None for field in NEEDED):
        raise ValueError("not the record of a run")
    _check_types(record, FIELD_TYPES, "")
    _check_types(record["params"], SECTION_TYPES, "params.")
    for field, keys in SECTION_KEYS.items():
        if record.get(field) and not keys <= record[field].keys():
            raise ValueError(f"{field} lacks {', '.join(sorted(keys - record[field].keys()))}")
    _check_outcome(record)
    _check_types(record.get("evaluation") or {}, EVALUATION_TYPES, "evaluation.")
    name = record.get("id")
    record["id"] = os.path.basename(path)
    return record, name


def _check_types(values: Record, types: Mapping[str, Any], where: str) -> None:
    """Raise ValueError if one of the values is of another type; None will do."""
    for name, kind in types.items():
        value = values.get(name)
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"{where}{name} is of the wrong type: {type(value).__name__}")


def _check_outcome(record: Record) -> None:
    """Raise ValueError if what lists read of the end of a run, its prediction or its evaluation is odd."""
    if record.get("ended"):
        datetime.fromisoformat(record["ended"])
    _check_types(record["params"].get("evaluation") or {}, {"actions": str}, "params.evaluation.")
    _check_types(record.get("closed") or {}, {"outcome": str, "cause": str, "foreseen": int}, "closed.")
    if prediction := record.get("prediction"):
        if not isinstance(prediction["failure_probability"], float | int):
            raise ValueError("prediction.failure_probability is no number")
        causes = prediction["causes"]
        if not isinstance(causes, list) or any(
            not isinstance(cause, dict) or not cause.keys() >= CAUSE_KEYS for cause in causes
        ):
            raise ValueError(f"prediction.causes lacks {', '.join(sorted(CAUSE_KEYS))}")
    for name in EVALUATION_TYPES:
        score = (record.get("evaluation") or {}).get(name)
        if isinstance(score, dict) and not isinstance(score.get("score"), float | int):
            raise ValueError(f"evaluation.{name} lacks score")
