"""The process that mirrors a run in Weights & Biases: it follows the files of the run folder until the run has ended.

`repro.tracking.wandb` starts it with a job, a JSON object, as its argument. A line on stdin is the exit code of the
run; the end of stdin without one means that the trainer was killed. Either way what is in the files still goes out.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from repro.files import write_atomic
from repro.tracking.metrics import decode_row
from repro.tracking.video import EPISODE, SEGMENTS, video_kind, video_step, videos_of_training

UPLOAD_SECONDS = 120.0  # this process is gone at the latest so long after the end of the run
POLL_SECONDS = 0.5  # between two looks at the files
KILLED = 255  # the exit code of a run whose trainer did not live to tell one


def main() -> None:
    """Mirror the run; ends by itself when the run has."""
    exit_code = 1
    try:
        _mirror(json.loads(sys.argv[1]))
        exit_code = 0
    except BaseException:  # noqa: BLE001  the process ends here whatever it was
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(exit_code)  # without W&B's exit hooks, which could block


def _mirror(job: dict[str, Any]) -> None:
    """Pass on what is appended to the files until the run has ended, and what is left in them then."""
    import wandb

    run_dir = Path(job["run_dir"])
    ended, videos = _End(), _Videos(run_dir)
    run, report = _init(job)
    write_atomic(run_dir / "wandb" / "mirror.json", json.dumps(report).encode())
    run.define_metric("*", step_metric="env_step")
    alert: Callable[[str, str], None] = run.alert if job["settings"]["alerts"] else lambda title, text: None
    metrics, health = (_Tail(run_dir / name, position) for name, position in job["positions"].items())
    going_on = True
    while going_on:
        going_on = not ended.wait(POLL_SECONDS)
        for line in metrics.lines():
            run.log(decode_row(line))
        for path in videos.new():
            name = "segments" if video_kind(path) == SEGMENTS else "video"
            run.log({name: wandb.Video(str(path), format="mp4"), "env_step": video_step(path)})
        for line in health.lines():
            finding = json.loads(line)
            title = f"{finding['check']}: {run_dir.name}"
            alert(title[:63], f"step {finding['env_step']:,}: {finding['seen']}. {finding['meaning']}")
    how = {0: "finished", KILLED: "was killed"}.get(ended.exit_code, f"ended with exit code {ended.exit_code}")
    alert(f"{how}: {run_dir.name}"[:63], f"{run_dir.name} {how}.")
    run.finish(exit_code=ended.exit_code)


class _End(threading.Event):
    """Set when the trainer has ended. From then on the process has UPLOAD_SECONDS to live."""

    exit_code = KILLED

    def __init__(self) -> None:
        super().__init__()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        line = sys.stdin.readline()
        if line:
            self.exit_code = int(line)
        self.set()
        time.sleep(UPLOAD_SECONDS)
        os._exit(1)


class _Tail:
    """Reads what is appended to a file, in whole lines. The file need not be there yet."""

    def __init__(self, path: Path, position: int) -> None:
        self.path, self.position = path, position

    def lines(self) -> list[bytes]:
        """The lines since the last look."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.position)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self.position += len(whole)
        return whole.splitlines()


class _Videos:
    """Finds videos of training that are written to a run's folder. There need not be any yet."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.seen = set(videos_of_training(run_dir, EPISODE, SEGMENTS))

    def new(self) -> list[Path]:
        """Those since the last look."""
        new = [path for path in videos_of_training(self.run_dir, EPISODE, SEGMENTS) if path not in self.seen]
        self.seen.update(new)
        return new


def _init(job: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Start the W&B run, offline if the server does not answer; returns it and what mirror.json is to hold."""
    import wandb

    settings, run_dir = job["settings"], Path(job["run_dir"])
    record = json.loads((run_dir / "run.json").read_bytes())
    mode = settings["mode"]
    if mode == "auto":
        mode = "online" if wandb.login(prompt=False, verify=False) else "offline"
    options: dict[str, Any] = {
        "dir": str(run_dir),
        "entity": settings["entity"],
        "project": settings["project"],
        "id": job["id"],
        "name": run_dir.name,
        "group": "/".join(filter(None, (record["name"], record.get("ablation")))),
        "job_type": "train",
        "notes": record.get("question"),
        "config": record["params"] | {key: record[key] for key in ("seed", "commit", "dirty", "code_hash", "cell")},
    }
    try:
        run = wandb.init(**options, mode=mode, resume="allow", settings=_settings(job["init_seconds"], record["pid"]))
        url = run.url if mode == "online" else None
        return run, {"mode": mode, "id": job["id"], "url": url, "warning": None}
    except Exception as error:
        if mode == "offline":
            raise
        print(f"W&B online failed: {error}", file=sys.stderr)
        wandb.teardown()  # or the id would be in use
    run = wandb.init(**options, mode="offline", settings=_settings(job["init_seconds"], record["pid"]))
    warning = f"W&B cannot be reached, so the run is recorded offline; later: wandb sync {Path(run.dir).parent}"
    return run, {"mode": "offline", "id": job["id"], "url": None, "warning": warning}


def _settings(init_seconds: float, trainer: int) -> Any:
    import wandb

    return wandb.Settings(
        init_timeout=init_seconds,
        finish_timeout=UPLOAD_SECONDS / 2,
        console="off",  # output.log has it
        disable_git=True,  # run.json has it
        disable_code=True,
        x_save_requirements=False,
        x_stats_pid=trainer,
        x_transaction_log_flush_interval=1.0,  # what a killed run may lose, in seconds
    )


if __name__ == "__main__":
    main()
