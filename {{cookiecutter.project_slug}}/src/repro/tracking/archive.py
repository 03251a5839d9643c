"""The archive: one folder a run under `runs/`, with all that is needed to know, and to repeat, what was done.

`run.json` is written when a run is created and again when it ends, each time whole or not at all. A run that says
"running" while its process is gone has crashed (`effective_status`).
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import os
import secrets
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from repro.config import UserError
from repro.files import storage_error, write_atomic
from repro.tracking import provenance
from repro.tracking.git import read_git, write_untracked
from repro.tracking.metrics import encode
from repro.tracking.process import is_running, process_start
from repro.tracking.snapshot import snapshot_code

STATUSES = ("queued", "running", "finished", "failed", "interrupted")
Record = dict[str, Any]


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
        text = json.dumps(self.record, indent=1, ensure_ascii=False)
        write_atomic(self.path / "run.json", text.encode("utf-8", "backslashreplace"))

    def update(self, **fields: Any) -> None:
        """Set fields of the record and save it. The others are read again, as another process may have set them."""
        with contextlib.suppress(OSError, ValueError):
            self.record = _read_record(self.path)
        self.record.update(fields)
        self.save()


def create_run(
    root: Path,
    *,
    kind: str,
    config: Mapping[str, Any],
    name: str,
    seed: int,
    command: Sequence[str],
    cell: str | None = None,
    question: str | None = None,
    prediction: Mapping[str, Any] | None = None,
    gate: Mapping[str, Any] | None = None,
    skip_reason: str | None = None,
    overrides: Sequence[str] = (),
) -> RunFolder:
    """Create the folder of a run that this process is about to do: code, parameters, circumstances.

    `config` holds all parameters, resolved. The folder appears complete or not at all. Raises UserError if the disk
    is full. The environment's variables are not recorded, and keys in the command are blanked out.
    """
    snapshot = snapshot_code(root)
    state = read_git(root)
    started = datetime.now().astimezone()
    temporary = root / "runs" / f".new-{secrets.token_hex(8)}"
    try:
        temporary.mkdir(parents=True)
        (temporary / "params.yaml").write_text(_to_yaml(config), encoding="utf-8")
        if state.diff is not None:
            (temporary / "code.diff").write_bytes(state.diff)
        if state.untracked:
            state.notes += write_untracked(root, state.untracked, temporary / "untracked.tar.gz")
        record: Record = {
            "id": "",  # known once the folder has its name
            "name": name,
            "status": "running",
            "kind": kind,
            "cell": cell,
            "command": provenance.redact(command),
            "overrides": provenance.redact(overrides),
            "cwd": str(Path.cwd()),
            **_this_process(),
            "devices": provenance.devices(),
            "started": started.isoformat(timespec="seconds"),
            "ended": None,
            "exit_code": None,
            "commit": state.commit,
            "dirty": state.dirty,
            "code_hash": snapshot.name,
            "notes": state.notes,
            "seed": seed,
            "params": dict(config),
            "versions": provenance.versions(root),
            "data_hashes": provenance.data_hashes(root, cell),
            "question": question,
            "prediction": prediction,
            "gate": gate,
            "skip_reason": skip_reason,
            "resumed": [],
            "result": None,
            "result_metrics": None,
            "wandb": None,
        }
        return _move_into_place(RunFolder(temporary, record), root / "runs", f"{started:%Y-%m-%d}_{name}")
    except OSError as error:
        raise storage_error(Path(error.filename or root / "runs"), error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_into_place(run: RunFolder, runs: Path, stem: str) -> RunFolder:
    """Give the folder a name that no other run has: renaming onto an existing run fails."""
    for digits in (4, 4, 4, 6, 8, 16):
        path = runs / f"{stem}_{secrets.token_hex(digits // 2)}"
        run.record["id"] = path.name
        run.save()
        try:
            os.rename(run.path, path)
        except OSError:
            if path.exists():
                continue
            raise
        return RunFolder(path, run.record)
    raise UserError(f"{runs / stem}_…: no free name found")


def claim_run(run: RunFolder) -> None:
    """Make this process the one that does the run, again if it was killed. Raises UserError if another does it now."""
    record = run.record
    mine = _this_process()
    if (record["pid"], record["process_start"], record["host"]) == tuple(mine.values()):
        return
    if effective_status(record) == "running":
        raise UserError(f"{run.id}: is being done by process {record['pid']} on {record['host']}; stop that one first")
    resumed = record["resumed"] + ([] if record["status"] == "queued" else [_now()])
    run.update(**mine, status="running", ended=None, exit_code=None, resumed=resumed)


def finish_run(
    run: RunFolder,
    status: str,
    exit_code: int,
    result: str | None = None,
    result_metrics: Mapping[str, Any] | None = None,
) -> None:
    """Record how the run ended. Raises UserError if its folder is gone or the disk full."""
    if status not in STATUSES[2:]:
        raise ValueError(f"status {status!r}: expected one of {STATUSES[2:]}")
    metrics = None if result_metrics is None else {key: encode(value) for key, value in result_metrics.items()}
    run.update(status=status, exit_code=exit_code, ended=_now(), result=result, result_metrics=metrics)


def load_run(root: Path, name: str) -> RunFolder:
    """The run with this id, the only one whose id starts so, or the only one with this code (`7f3a`).

    A path to the folder will do as well. Raises UserError if there is none, or more than one.
    """
    wanted = Path(name).name
    known = _run_ids(root)
    matches = [wanted] if wanted in known else _matching(wanted, known)
    if not matches:
        raise UserError(f"no run {name!r}{_nearest(wanted, known)}")
    if len(matches) > 1:
        raise UserError(f"{name!r} may be any of {', '.join(sorted(matches)[:5])}; give more of the id")
    path = root / "runs" / matches[0]
    try:
        return RunFolder(path, _read_record(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path / 'run.json'}: missing or damaged ({error}); this run cannot be used") from None


def list_runs(root: Path) -> list[Record]:
    """The records of all runs, oldest first. One that cannot be read has the status "unreadable"."""
    records = []
    for run_id in _run_ids(root):
        try:
            records.append(_read_record(root / "runs" / run_id))
        except (OSError, ValueError):
            records.append({"id": run_id, "status": "unreadable"})
    return sorted(records, key=lambda record: (_timestamp(record), record["id"]))


def effective_status(record: Record) -> str:
    """The status, with "crashed" for a run whose process is gone (as far as can be told: on its own host only)."""
    if record["status"] == "running" and record["host"] == socket.gethostname():
        return "running" if is_running(record["pid"], record["process_start"]) else "crashed"
    return record["status"]


def _this_process() -> Record:
    return {"pid": os.getpid(), "process_start": process_start(os.getpid()), "host": socket.gethostname()}


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _timestamp(record: Record) -> float:
    try:
        return datetime.fromisoformat(record["started"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return 0.0


def _run_ids(root: Path) -> list[str]:
    try:
        with os.scandir(root / "runs") as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except FileNotFoundError:
        return []


def _read_record(path: Path) -> Record:
    """The content of a run.json. Raises OSError or ValueError."""
    record = json.loads((path / "run.json").read_bytes())
    needed = ("status", "pid", "process_start", "host", "params", "seed", "code_hash")
    if not isinstance(record, dict) or any(field not in record for field in needed):
        raise ValueError("not the record of a run")
    return {**record, "id": path.name}


def _matching(wanted: str, known: list[str]) -> list[str]:
    return [run_id for run_id in known if wanted and (run_id.startswith(wanted) or run_id.endswith(f"_{wanted}"))]


def _nearest(wanted: str, known: list[str]) -> str:
    if not known:
        return ": there are no runs yet"
    codes = {run_id.rpartition("_")[2]: run_id for run_id in known}
    near = difflib.get_close_matches(wanted, [*known, *codes], n=1, cutoff=0.5)
    if near:
        return f"; did you mean {codes.get(near[0], near[0])}?"
    return f"; the latest is {max(known)}, and `repro runs` lists them all"


def _to_yaml(config: Mapping[str, Any]) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # keep the order of the sections
    text = io.StringIO()
    yaml.dump(dict(config), text)
    return text.getvalue()
