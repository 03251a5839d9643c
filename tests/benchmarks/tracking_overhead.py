"""What tracking and archiving cost, as a share of a run's time: measured in one run of the default preset.

Each function that tracks or archives is timed where the run calls it: run folder and snapshot, work log, output,
metrics, health checks, checkpoints, W&B (offline). The mirror of W&B is a process of its own, whose CPU time is
given too.

    python tests/benchmarks/tracking_overhead.py [SECTION.KEY=VALUE ...]     (in an environment of a generated project)
"""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).resolve().parents[2] / "template"
WATCHED = {
    "repro.runs.preparing": ("read_wandb_settings", "keep_code", "create_run"),
    "repro.runs.doing": ("read_wandb_settings", "snapshot_path", "read_run", "claim_run"),
    "repro.worklog.entries": ("enter_run", "enter_result"),
    "repro.session.run": ("find_problems", "add_finding", "save_checkpoint", "devices"),
    "repro.tracking.output": ("_Tee.write",),
    "repro.tracking.metrics": ("MetricsWriter.write", "MetricsWriter.position"),
    "repro.tracking.wandb": ("WandbMirror.start", "WandbMirror.news", "WandbMirror.finish"),
    "repro.tracking.archive": ("RunFolder.update",),
}


class Stopwatch:
    """Seconds by function; what a watched function calls is counted with it, once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.running = False

    def watch(self, owner: Any, name: str) -> None:
        *classes, name = name.split(".")
        for part in classes:
            owner = getattr(owner, part)
        function = getattr(owner, name)
        label = ".".join([*classes, name])

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            if self.running:
                return function(*arguments, **options)
            self.running, start = True, time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.running = False
                self.seconds[label] = self.seconds.get(label, 0.0) + time.perf_counter() - start

        setattr(owner, name, staticmethod(timed) if hasattr(function, "__self__") else timed)


def one_process(step: str, root: Path, *arguments: str) -> None:
    """Prepare a run, or do it, with all watched functions timed; writes what it took."""
    import importlib

    stopwatch, start = Stopwatch(), time.perf_counter()
    for module, names in WATCHED.items():
        for name in names:
            stopwatch.watch(importlib.import_module(module), name)
    from repro.config import load_config
    from repro.runs.doing import do_run
    from repro.runs.preparing import RunRequest, prepare_run

    facts: dict[str, Any] = {}
    if step == "prepare":
        run = prepare_run(root, load_config(root / "params.yaml", arguments), RunRequest(seed=100))
        facts["run"] = str(run.path)
    else:
        assert do_run(Path(arguments[0])) == 0
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    facts |= {"watched": stopwatch.seconds, "wall": time.perf_counter() - start}
    facts |= {"children": usage.ru_utime + usage.ru_stime}
    (root / f"{step}.json").write_text(json.dumps(facts))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("src", "presets", "checklists"):
            shutil.copytree(TEMPLATE / name, root / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        for name in ("pyproject.toml", "requirements.lock", ".gitignore", "budget.yaml"):
            shutil.copy(TEMPLATE / name, root / name)
        shutil.copy(root / "presets/moving-dot.yaml", root / "params.yaml")
        git = ["git", "-c", "user.name=A Tester", "-c", "user.email=tester@example.com"]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
            subprocess.run([*git, *command], cwd=root, check=True)
        facts = {}
        for step, source in (("prepare", root), ("run", None)):
            source = source or next((root / "runs/.snapshots").glob("[!.]*"))
            arguments = sys.argv[1:] if step == "prepare" else [facts["prepare"]["run"]]
            environment = os.environ | {"PYTHONPATH": str(source / "src"), "WANDB_MODE": "offline"}
            command = [sys.executable, "-P", __file__, "--step", step, str(root), *arguments]
            subprocess.run(command, cwd=root, env=environment, check=True)
            facts[step] = json.loads((root / f"{step}.json").read_text())
    wall = sum(fact["wall"] for fact in facts.values())
    watched: dict[str, float] = {}
    for fact in facts.values():
        for name, seconds in fact["watched"].items():
            watched[name] = watched.get(name, 0.0) + seconds
    for name, seconds in sorted(watched.items(), key=lambda item: -item[1]):
        print(f"{seconds:8.3f} s  {seconds / wall:7.3%}  {name}")
    total = sum(watched.values())
    print(f"{total:8.3f} s  {total / wall:7.3%}  in all, of {wall:.1f} s (the estimate before the run included)")
    print(f"{facts['run']['children']:8.3f} s of CPU time in the processes of W&B, beside the run")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        one_process(sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
    else:
        main()
