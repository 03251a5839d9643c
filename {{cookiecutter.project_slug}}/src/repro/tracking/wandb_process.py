"""The process that mirrors a run in Weights & Biases: it follows the files of the run folder until the run has ended.

`repro.tracking.wandb` starts it with a job, a JSON object, as its argument. A line on stdin is the exit code of the
run; the end of stdin without one means that the trainer was killed. Either way what is in the files still goes out.

Online it begins with asking what the server has of the run, and sends what is beyond that, from the files: so a resumed
run goes on with its curve, and what was recorded offline, or was lost with a killed process, comes after it in order.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from repro.files import write_atomic
from repro.tracking.archive import AGENT, REWARD_MODEL
from repro.tracking.metrics import decode_row
from repro.tracking.video import EPISODE, SEGMENTS, video_kind, video_step, videos_of_training
from repro.tracking.wandb import KILLED

POLL_SECONDS = 0.5  # between two looks at the files
ARRIVAL_SECONDS = 30.0  # in which the server has to know that a run has ended
VIDEO_NAMES = {EPISODE: "video", SEGMENTS: "segments"}  # by kind
RECORDED = ("seed", "ablation", "commit", "dirty", "code_hash", "cell", "stage", "question", "prediction")


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
    ended, videos = _End(job["upload_seconds"]), _Videos(run_dir)
    lock = os.open(run_dir / "wandb" / "mirror.lock", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(lock, fcntl.LOCK_EX)  # the process of an earlier attempt may still be uploading
    run, report = _init(job)
    write_atomic(run_dir / "wandb" / "mirror.json", json.dumps(report).encode())
    run.define_metric("*", step_metric="env_step")
    alert: Callable[[str, str], None] = run.alert if job["settings"]["alerts"] else lambda title, text: None
    metrics, health = (_Tail(run_dir / name, position) for name, position in job["positions"].items())
    sent = -1  # the step up to which the server has the rows
    if report["mode"] == "online":
        sent = _last_step(run, "env_step")
        metrics.position = 0
        videos.forget_beyond({kind: _last_step(run, f"{name}/env_step") for kind, name in VIDEO_NAMES.items()})
    going_on = True
    while going_on:
        going_on = not ended.wait(POLL_SECONDS)
        for line in metrics.lines():
            row = decode_row(line)
            if row and row["env_step"] > sent:
                run.log(row)
                sent = row["env_step"]
        for path in videos.new():
            name, step = VIDEO_NAMES[video_kind(path)], video_step(path)
            run.log({name: wandb.Video(str(path), format="mp4"), "env_step": step, f"{name}/env_step": step})
            run.summary["env_step"] = sent  # which the next attempt asks for; a video may be of an earlier step
        for line in health.lines():
            finding = json.loads(line)
            title = f"{finding['check']}: {run_dir.name}"
            alert(title[:63], f"step {finding['env_step']:,}: {finding['seen']}. {finding['meaning']}")
    how = {0: "finished", KILLED: "was killed"}.get(ended.exit_code, f"ended with exit code {ended.exit_code}")
    alert(f"{how}: {run_dir.name}"[:63], f"{run_dir.name} {how}.")
    sent_all = report["mode"] == "online"
    if sent_all:
        for name, value in _scores(run_dir).items():
            run.summary[name] = value
        try:
            _log_artifacts(run, run_dir, job["upload_seconds"] / 4)
        except Exception:  # noqa: BLE001  the curves matter more
            traceback.print_exc()
            sent_all = False
    try:
        run.finish(exit_code=ended.exit_code)
    finally:
        (run_dir / "wandb" / "preferences.db").unlink(missing_ok=True)  # the copy that was uploaded
    if sent_all and _has_arrived(run, sent):
        uploaded = report | {"uploaded": metrics.position}
        write_atomic(run_dir / "wandb" / "mirror.json", json.dumps(uploaded).encode())


def _has_arrived(run: Any, step: int) -> bool:
    """Whether the server has the run's rows up to `step`, and knows that it has ended.

    It is asked, as W&B's client stops sending at the first request that is refused, and then finishes without an error.
    The end is sent last.
    """
    import wandb

    until = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < until:
        found = wandb.Api({"entity": run.entity}).run(run.path)
        if found.state != "running" and found.summary.get("env_step", -1) >= step:
            return True
        time.sleep(POLL_SECONDS)
    print("W&B was told nothing of the run's end: it has refused something before", file=sys.stderr)
    return False


def _scores(run_dir: Path) -> dict[str, float]:
    """What the evaluation in run.json says of each policy: evaluation/sampled/score, ...; empty if there is none."""
    evaluation = json.loads((run_dir / "run.json").read_bytes()).get("evaluation") or {}
    scores: dict[str, float] = {}
    for policy, values in evaluation.items():
        if isinstance(values, dict):
            scores |= {f"evaluation/{policy}/{name}": value for name, value in values.items()}
    return scores


def _log_artifacts(run: Any, run_dir: Path, seconds: float) -> None:
    """The final networks, and of learned rewards the preferences; the server keeps equal ones once.

    Raises whatever keeps one from arriving, within so many seconds each.
    """
    import wandb

    files = {
        "model": [run_dir / name for name in (AGENT, REWARD_MODEL) if (run_dir / name).exists()],
        "preferences": [],
    }
    record = json.loads((run_dir / "run.json").read_bytes())
    if record["params"].get("reward", {}).get("source") == "learned" and (run_dir / "preferences.db").exists():
        files["preferences"] = [_copy_database(run_dir / "preferences.db", run_dir / "wandb" / "preferences.db")]
    for kind, paths in files.items():
        if paths:
            artifact = wandb.Artifact(f"{run.id}-{kind}", type=kind)
            for path in paths:
                artifact.add_file(str(path), policy="immutable", skip_cache=True)
            run.log_artifact(artifact).wait(seconds)


def _copy_database(path: Path, copy: Path) -> Path:
    """A whole copy of an SQLite database that another process may have open."""
    copy.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    return copy


def _last_step(run: Any, metric: str) -> int:
    """The last value of a metric of steps that the server has of this run; -1 if it has none."""
    return int(run.summary.get(metric, -1))


class _End(threading.Event):
    """Set when the trainer has ended. From then on the process has so many seconds to live."""

    exit_code = KILLED

    def __init__(self, upload_seconds: float) -> None:
        super().__init__()
        self.upload_seconds = upload_seconds
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        line = sys.stdin.readline()
        if line:
            self.exit_code = int(line)
        self.set()
        time.sleep(self.upload_seconds)
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

    def forget_beyond(self, steps: dict[str, int]) -> None:
        """Find those again, of each kind, that are of later steps than these."""
        self.seen = {path for path in self.seen if video_step(path) <= steps[video_kind(path)]}

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
        "tags": _tags(record),
        "notes": record.get("question"),
        "config": record["params"] | {key: record.get(key) for key in RECORDED},
    }
    limits = (job["init_seconds"], job["upload_seconds"], record["pid"])
    try:
        run = wandb.init(**options, mode=mode, resume="allow", settings=_settings(*limits))
        url = run.url if mode == "online" else None
        return run, {"mode": mode, "id": job["id"], "url": url, "warning": None}
    except Exception as error:
        if mode == "offline" or not job["offline_otherwise"]:
            raise
        print(f"W&B online failed: {error}", file=sys.stderr)
        wandb.teardown()  # or the id would be in use
    run = wandb.init(**options, mode="offline", settings=_settings(*limits))
    warning = f"W&B cannot be reached, so the run is recorded offline; later: repro sync {run_dir.name}"
    return run, {"mode": "offline", "id": job["id"], "url": None, "warning": warning}


def _tags(record: dict[str, Any]) -> list[str]:
    """What runs are filtered by; W&B takes tags of 1 to 64 characters."""
    params = record["params"]
    named = (("env", "id"), ("agent", "algorithm"), ("reward", "source"))
    tags = [params.get(section, {}).get(name) for section, name in named]
    tags += [record.get("ablation"), record.get("stage"), "cell" if record.get("cell") else None]
    return [tag[:64] for tag in dict.fromkeys(tags) if tag]


def _settings(init_seconds: float, upload_seconds: float, trainer: int) -> Any:
    import wandb

    return wandb.Settings(
        init_timeout=init_seconds,
        finish_timeout=upload_seconds / 2,
        finish_timeout_raises=True,  # so that nothing is called uploaded that has not arrived
        console="off",  # output.log has it
        disable_git=True,  # run.json has it
        disable_code=True,
        x_save_requirements=False,
        x_stats_pid=trainer,
        x_transaction_log_flush_interval=1.0,  # what a killed run may lose, in seconds
    )


if __name__ == "__main__":
    main()
