"""The mirror of metrics.jsonl in Weights & Biases. Training never waits for it and never fails with it.

W&B runs in a process of its own: it installs exit hooks, and can block for as long as a server does not answer. That
process follows the files of the run folder, `metrics.jsonl` and `health.jsonl`, as they grow; all that the trainer
tells it is the exit code. What it has to report is in `wandb/mirror.json`.

This is the trainer's side; `repro.tracking.wandb_process` is the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from repro.reading import UserError, read_toml

MODES = ("auto", "online", "offline", "disabled")
FINISH_SECONDS = 10.0  # the trainer waits so long at the end; the mirror's process may go on uploading
INIT_SECONDS = 20.0  # for the server's first answer; then the run is recorded offline
KILLED = 255  # the exit code of a run whose trainer did not live to tell one
UPLOAD_SECONDS = 120.0  # the mirror's process is gone at the latest so long after the end of the run


@dataclass(frozen=True)
class WandbSettings:
    """`[tool.repro.wandb]`. `auto` is online if logged in, else offline; an empty entity is the user's default."""

    entity: str | None
    project: str
    mode: str
    alerts: bool = False  # W&B sends an e-mail or a Slack message when the run ends or turns unhealthy


def read_wandb_settings(pyproject: Path) -> WandbSettings:
    """The settings in pyproject.toml; the variable WANDB_MODE, if set, has the last word. Raises UserError."""
    table = read_toml(pyproject).get("tool", {}).get("repro", {}).get("wandb", {})
    kinds = {"entity": str, "project": str, "mode": str, "alerts": bool}
    unknown = sorted(set(table) - set(kinds))
    if unknown:
        raise UserError(f"{pyproject}: [tool.repro.wandb] {unknown[0]}: unknown; it has entity, project, mode, alerts")
    for name, value in table.items():
        if not isinstance(value, kinds[name]):
            needed = "text in quotes" if kinds[name] is str else "true or false, without quotes"
            raise UserError(f"{pyproject}: [tool.repro.wandb] {name} = {value!r}: must be {needed}")
    mode = os.environ.get("WANDB_MODE") or table.get("mode") or "auto"
    if mode not in MODES:
        source = "WANDB_MODE" if os.environ.get("WANDB_MODE") else f"{pyproject}: [tool.repro.wandb] mode"
        raise UserError(f"{source} = {mode!r}: must be one of {', '.join(MODES)}")
    project = table.get("project") or pyproject.resolve().parent.name
    return WandbSettings(table.get("entity") or None, project, mode, table.get("alerts", False))


def read_mirror(run_path: Path) -> dict[str, Any] | None:
    """What the mirror of the run in this folder last said of itself: `mode`, `id`, `url`, `warning`; None if nothing.

    Once all has been uploaded it also has `uploaded`, the bytes of metrics.jsonl.
    It is there within seconds of the start of a run, with the mode "online" or "offline"; run.json has it at the end.
    """
    try:
        report = json.loads((run_path / "wandb" / "mirror.json").read_bytes())
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) else None


def is_logged_in() -> bool:
    """Whether W&B finds a login on this machine. It is asked in a process of its own (a second), without the network.

    Raises UserError if W&B does not work.
    """
    code = "import sys, wandb; sys.exit(0 if wandb.login(prompt=False, verify=False) else 3)"
    done = subprocess.run([sys.executable, "-P", "-c", code], env=_environment(), capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise UserError(f"W&B does not work: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return done.returncode == 0


class WandbMirror:
    """A W&B run that follows a run folder. No method raises for W&B's sake, or blocks for longer than stated."""

    def __init__(self, run_dir: Path, mode: str) -> None:
        self._run_dir = Path(run_dir).resolve()
        self._id = re.sub(r"[^A-Za-z0-9_-]", "-", self._run_dir.name)[:128]
        self._report = {"mode": mode, "id": self._id, "url": None, "warning": None}  # until the process says more
        self._process: subprocess.Popen[bytes] | None = None
        self._told: str | None = None

    @classmethod
    def start(
        cls,
        run_dir: Path,
        settings: WandbSettings,
        upload_seconds: float = UPLOAD_SECONDS,
        offline_otherwise: bool = True,
    ) -> WandbMirror:
        """Start the mirror's process (some milliseconds).

        A resumed run goes on under the same id: online with all that the server does not have yet, offline with what is
        not in the metrics file already. What W&B writes is in `run_dir/wandb`.

        Args:
            offline_otherwise: if the server cannot be reached the run is recorded offline, instead of not at all.
        """
        mirror = cls(run_dir, settings.mode)
        if settings.mode == "disabled":
            return mirror
        folder = mirror._run_dir / "wandb"
        try:
            job = {
                "run_dir": str(mirror._run_dir),
                "id": mirror._id,
                "settings": asdict(settings),
                "init_seconds": INIT_SECONDS,
                "upload_seconds": upload_seconds,
                "offline_otherwise": offline_otherwise,
                "positions": {name: _size(mirror._run_dir / name) for name in ("metrics.jsonl", "health.jsonl")},
            }
            folder.mkdir(exist_ok=True)
            (folder / "mirror.json").unlink(missing_ok=True)
            with open(folder / "mirror.log", "a") as log:
                mirror._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "repro.tracking.wandb_process", json.dumps(job)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    bufsize=0,
                    env=_environment() | _inside(folder),
                    start_new_session=True,  # Ctrl-C is for the trainer
                )
        except OSError as error:
            mirror._report |= {"mode": "failed", "warning": f"no W&B mirror for this run: {error}"}
        return mirror

    def news(self) -> str | None:
        """A line for a person, once: where the run can be seen, or what is wrong. Takes microseconds."""
        report = self._latest()
        line = f"warning: {report['warning']}" if report["warning"] else report["url"] and f"W&B: {report['url']}"
        if line == self._told:
            return None
        self._told = line
        return line

    def finish(self, exit_code: int, seconds: float | None = None) -> None:
        """Tell W&B that the run has ended; waits for it so long (FINISH_SECONDS) at most, then leaves it to itself."""
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError), self._process.stdin as pipe:
                pipe.write(b"%d\n" % exit_code)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(FINISH_SECONDS if seconds is None else seconds)
        if line := self.news():
            print(line, file=sys.stderr)

    def record(self) -> dict[str, Any]:
        """What run.json keeps of the mirror. `mode` is that of the settings until W&B has decided."""
        return {name: value for name, value in self._latest().items() if name not in ("warning", "uploaded")}

    def _latest(self) -> dict[str, Any]:
        if self._process is None:
            return self._report
        report = self._report | (read_mirror(self._run_dir) or {})
        if self._process.poll() not in (None, 0):
            text = (
                "the W&B mirror has stopped; the run goes on, metrics.jsonl is complete (see wandb/mirror.log); "
                f"later: repro sync {self._run_dir.name}"
            )
            return report | {"mode": "failed", "warning": text}
        return report


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _environment() -> dict[str, str]:
    """For a process that uses W&B: silent, no telemetry, and with settings of its own."""
    environment = {name: value for name, value in os.environ.items() if name not in ("WANDB_SERVICE", "WANDB_MODE")}
    return environment | {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}


def _inside(folder: Path) -> dict[str, str]:
    """For the mirror's process: this very package, and everything inside the run folder."""
    sources = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")]
    staging = {f"WANDB_{name}": str(folder / "staging") for name in ("DIR", "DATA_DIR", "ARTIFACT_DIR", "CACHE_DIR")}
    return staging | {"PYTHONPATH": os.pathsep.join(filter(None, sources))}
