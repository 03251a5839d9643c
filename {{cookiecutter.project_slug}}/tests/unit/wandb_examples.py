"""A run, what its W&B mirror recorded, and the processes of it, that the tests of the mirror share."""

import base64
import contextlib
import json
import os
import re
import subprocess
import sys

import psutil

from repro.tracking.metrics import MetricsWriter
from repro.tracking.wandb import WandbMirror, WandbSettings

OFFLINE = WandbSettings(entity=None, project="test", mode="offline")
FAKE_KEY = "0123456789abcdef0123456789abcdef01234567"
LOGIN = base64.b64encode(f"api:{FAKE_KEY}".encode()).decode()  # as requests carry the key
MIRROR, SERVICE = "repro.tracking.wandb_process", "wandb-core"  # what their command lines name
OTHERS = set()  # processes that tests of other files left running, such as multiprocessing's server


def record(**fields):
    return {
        "id": "2026-11-21_dot_7f3a",
        "name": "dot",
        "seed": 100,
        "commit": None,
        "dirty": True,
        "code_hash": "948ab30feb101334",
        "cell": None,
        "stage": "final",
        "prediction": {"failure_probability": 0.25},
        "params": {"agent": {"learning_rate": 0.5, "algorithm": "ppo"}, "env": {"id": "CartPole-v1"}},
        "pid": os.getpid(),
        "question": "Does it é?",
    } | fields


def start(run_dir, settings=OFFLINE, **fields):
    """The mirror of a run that has written no row yet; `fields` replace some of its record."""
    (run_dir / "run.json").write_text(json.dumps(record(**fields)))
    return WandbMirror.start(run_dir, settings)


def log(run_dir, *rows):
    with MetricsWriter(run_dir / "metrics.jsonl") as writer:
        for row in rows:
            writer.write(row)


def entries(run_dir):
    """All records of the offline run, as the official reader shows them."""
    (folder,) = (run_dir / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    environment = os.environ | {"WANDB_ERROR_REPORTING": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows_of(everything):
    items = [entry["history"]["item"] for entry in everything if entry["type"] == "history"]
    return [{name: value for name, value in item.items() if not name.startswith("_")} for item in items]


def alerts_of(everything):
    return [(entry["alert"]["title"], entry["alert"]["text"]) for entry in everything if entry["type"] == "alert"]


def children(pid):
    """Processes below `pid`, parents first."""
    below = [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return [child for child in below if child not in OTHERS]


def process_below(pid, name):
    """The one below `pid` whose command line names the MIRROR or the SERVICE; None if it is not there."""
    for child in children(pid):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            if any(argument.endswith(name) for argument in psutil.Process(child).cmdline()):
                return child
    return None


def files_with_key(folder):
    """Those that hold FAKE_KEY, as it is or as requests carry it."""
    forms = re.compile(f"{FAKE_KEY}|{LOGIN}".encode())
    return [path for path in folder.rglob("*") if path.is_file() and forms.search(path.read_bytes())]
