"""The mirror of metrics.jsonl in Weights & Biases. Training never waits for it and never fails with it.

W&B runs in a process of its own, fed through a pipe: it installs exit hooks, and can block for as long as a server
does not answer. The trainer's side is a bounded queue and a thread that writes to the pipe; what does not fit is
dropped, counted and reported at the end. metrics.jsonl holds every row regardless.

This file is both sides: `WandbMirror` in the trainer, and `main`, which the mirror's process runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
import tomllib
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from repro.config import UserError

MODES = ("auto", "online", "offline", "disabled")
QUEUE_ROWS = 10_000
FINISH_SECONDS = 10.0  # the trainer waits so long at the end; the mirror's process may go on uploading
INIT_SECONDS = 20.0  # for the server's first answer; then the run is recorded offline
UPLOAD_SECONDS = 120.0  # the mirror's process is gone at the latest so long after the end of the run


@dataclass(frozen=True)
class WandbSettings:
    """`[tool.repro.wandb]`. `auto` is online if logged in, else offline; an empty entity is the user's default."""

    entity: str | None
    project: str
    mode: str


def read_wandb_settings(pyproject: Path) -> WandbSettings:
    """The settings in pyproject.toml; the variable WANDB_MODE, if set, has the last word. Raises UserError."""
    try:
        tools = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{pyproject}: cannot be read: {error}") from None
    table = tools.get("repro", {}).get("wandb", {})
    unknown = sorted(set(table) - {"entity", "project", "mode"})
    if unknown:
        raise UserError(f"{pyproject}: [tool.repro.wandb] {unknown[0]}: unknown; it has entity, project and mode")
    for name, value in table.items():
        if not isinstance(value, str):
            raise UserError(f"{pyproject}: [tool.repro.wandb] {name} = {value!r}: must be text in quotes")
    mode = os.environ.get("WANDB_MODE") or table.get("mode") or "auto"
    if mode not in MODES:
        source = "WANDB_MODE" if os.environ.get("WANDB_MODE") else f"{pyproject}: [tool.repro.wandb] mode"
        raise UserError(f"{source} = {mode!r}: must be one of {', '.join(MODES)}")
    return WandbSettings(table.get("entity") or None, table.get("project") or pyproject.resolve().parent.name, mode)


class WandbMirror:
    """A W&B run that follows a run folder. No method raises for W&B's sake, or blocks for longer than stated.

    `mode` is "auto" until W&B has decided, then "online" or "offline"; "disabled" starts nothing, "failed" is a mirror
    that broke. `url` is where the run can be seen, None offline; `id` is W&B's id of the run.
    """

    def __init__(self, id: str, mode: str) -> None:
        self.id = id
        self.mode = mode
        self.url: str | None = None
        self.dropped = 0
        self._rows: queue.Queue[str | None] = queue.Queue(QUEUE_ROWS)
        self._threads: list[threading.Thread] = []

    @classmethod
    def start(cls, run_dir: Path, run_record: Mapping[str, Any], settings: WandbSettings) -> WandbMirror:
        """Start the mirror's process (some milliseconds). What W&B writes is in `run_dir/wandb`.

        A resumed run goes on under the same id.
        """
        mirror = cls(id=re.sub(r"[^A-Za-z0-9_-]", "-", run_record["id"])[:128], mode=settings.mode)
        if settings.mode == "disabled":
            return mirror
        folder = Path(run_dir).resolve() / "wandb"
        try:
            folder.mkdir(exist_ok=True)
            with open(folder / "mirror.log", "a") as log:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "repro.tracking.wandb"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                    env=_environment(folder),
                    start_new_session=True,  # Ctrl-C is for the trainer
                )
        except OSError as error:
            mirror.mode = "failed"
            _warn(f"no W&B mirror for this run: {error}")
            return mirror
        job = {
            "folder": str(folder),
            "id": mirror.id,
            "settings": asdict(settings),
            "run": dict(run_record),
            "init_seconds": INIT_SECONDS,
        }
        mirror._rows.put(json.dumps(job, default=str))
        mirror._threads = [
            threading.Thread(target=mirror._send, args=(process.stdin,), daemon=True),
            threading.Thread(target=mirror._listen, args=(process,), daemon=True),
        ]
        for thread in mirror._threads:
            thread.start()
        return mirror

    def log(self, row: Mapping[str, Any]) -> None:
        """Pass on one row of metrics; returns at once (microseconds)."""
        if self.mode == "disabled":
            return
        try:
            if self.mode == "failed":
                raise queue.Full
            self._rows.put_nowait(json.dumps(row))
        except (queue.Full, TypeError, ValueError):
            self.dropped += 1

    def finish(self, exit_code: int) -> None:
        """Tell W&B that the run has ended; waits for it at most FINISH_SECONDS, then leaves it to itself."""
        deadline = time.monotonic() + FINISH_SECONDS
        if self.mode not in ("disabled", "failed"):
            with contextlib.suppress(queue.Full):
                self._rows.put(json.dumps({"exit_code": exit_code}), timeout=FINISH_SECONDS)
                self._rows.put(None, timeout=max(0.0, deadline - time.monotonic()))
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        if self.dropped:
            _warn(f"W&B lacks {self.dropped} rows of metrics or more; metrics.jsonl has them all")

    def record(self) -> dict[str, Any]:
        """What run.json keeps of the mirror, as far as it is known now."""
        return {"mode": self.mode, "id": self.id, "url": self.url}

    def _send(self, pipe: IO[bytes]) -> None:
        """Thread: queue -> pipe, until the end of the run or of the process."""
        try:
            with pipe:
                while (line := self._rows.get()) is not None:
                    data = line.encode() + b"\n"
                    while data:
                        data = data[pipe.write(data) :]
        except OSError:
            self.dropped += 1 + self._rows.qsize()
            self.mode = "failed"

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Thread: what the process reports, one JSON object a line, until it ends."""
        for line in process.stdout or ():
            report = json.loads(line)
            self.mode = report["mode"]
            self.url = report["url"]
            if report["warning"]:
                _warn(report["warning"])
        if process.wait() != 0:
            self.mode = "failed"
            _warn("the W&B mirror has stopped; the run goes on, metrics.jsonl is complete (see wandb/mirror.log)")


def _environment(folder: Path) -> dict[str, str]:
    """For the mirror's process: this very package, everything inside the run folder, no telemetry."""
    environment = {name: value for name, value in os.environ.items() if name not in ("WANDB_SERVICE", "WANDB_MODE")}
    source = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    for name in ("DATA_DIR", "ARTIFACT_DIR", "CACHE_DIR"):
        environment[f"WANDB_{name}"] = str(folder / "staging")
    return environment | {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def main() -> None:
    """The mirror's process: a job, then rows, on stdin; a report on stdout; ends by itself when stdin does."""
    exit_code = 1
    try:
        _mirror()
        exit_code = 0
    except BaseException:  # noqa: BLE001  the process ends here whatever it was
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(exit_code)  # without W&B's exit hooks, which could block


def _mirror() -> None:
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(lines,), daemon=True).start()
    reports = os.dup(1)
    os.dup2(2, 1)  # what W&B prints goes to the log
    run, report = _init(json.loads(lines.get()))
    with contextlib.suppress(BrokenPipeError):  # the trainer may be gone already; its rows are kept all the same
        os.write(reports, json.dumps(report).encode() + b"\n")
    run.define_metric("*", step_metric="env_step")
    exit_code = 255  # stays so if the trainer is killed
    while line := lines.get():
        row = json.loads(line)
        if "exit_code" in row:
            exit_code = row["exit_code"]
        else:
            run.log(row)
    run.finish(exit_code=exit_code)


def _read_lines(lines: queue.SimpleQueue[str]) -> None:
    """Thread: takes all that comes, so that the trainer's side is never held up. "" is the end."""
    for line in sys.stdin:
        lines.put(line)
    lines.put("")
    time.sleep(UPLOAD_SECONDS)
    os._exit(1)


def _init(job: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Start the W&B run, offline if the server does not answer; returns it and what to report."""
    import wandb

    settings, record = job["settings"], job["run"]
    mode = settings["mode"]
    if mode == "auto":
        mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
    options: dict[str, Any] = {
        "dir": str(Path(job["folder"]).parent),
        "entity": settings["entity"],
        "project": settings["project"],
        "id": job["id"],
        "name": record["id"],
        "group": record["name"],
        "job_type": record["kind"],
        "notes": record.get("question"),
        "config": record["params"] | {key: record[key] for key in ("seed", "commit", "dirty", "code_hash", "cell")},
    }
    try:
        run = wandb.init(**options, mode=mode, resume="allow", settings=_settings(job))
        return run, {"mode": mode, "url": run.url if mode == "online" else None, "warning": None}
    except Exception as error:
        if mode == "offline":
            raise
        print(f"W&B online failed: {error}", file=sys.stderr)
        wandb.teardown()  # or the id would be in use
    run = wandb.init(**options, mode="offline", settings=_settings(job))
    warning = f"W&B cannot be reached, so the run is recorded offline; later: wandb sync {Path(run.dir).parent}"
    return run, {"mode": "offline", "url": None, "warning": warning}


def _settings(job: dict[str, Any]) -> Any:
    import wandb

    return wandb.Settings(
        init_timeout=job["init_seconds"],
        finish_timeout=UPLOAD_SECONDS / 2,
        console="off",  # output.log has it
        disable_git=True,  # run.json has it
        disable_code=True,
        x_save_requirements=False,
        x_stats_pid=job["run"]["pid"],
        x_transaction_log_flush_interval=1.0,  # what a killed run may lose, in seconds
    )


if __name__ == "__main__":
    main()
