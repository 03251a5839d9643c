"""Runs, and what stands on pages, for the tests of the work log."""

import json
import os
import re
import socket
from datetime import date
from pathlib import Path

from repro.tracking.process import process_start

MONDAY, TUESDAY, WEDNESDAY = date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 25)


def record(run="2026-11-23_moving-dot_7f3a", **changes):
    """The record of a run of this process, as far as the log reads it."""
    return {
        "id": run,
        "seed": 100,
        "question": "Does it learn?",
        "started": "2026-11-23T14:03:09+01:00",
        "params": {"env": {"id": "moving-dot"}},
        "status": "running",
        "result": None,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_start": process_start(os.getpid()),
        "code_hash": "0" * 16,
        "params_hash": "0" * 16,
    } | changes


def ended(run="2026-11-23_moving-dot_7f3a", **changes):
    """The record of a run that ended."""
    return record(run, **({"status": "finished", "result": "91% of optimal"} | changes))


def archived(root: Path, content: dict, returns=()) -> dict:
    """A record, put into the archive, with a learning curve."""
    folder = root / "runs" / content["id"]
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "run.json.new"
    temporary.write_text(json.dumps(content))
    temporary.replace(folder / "run.json")
    if returns:
        rows = [json.dumps({"env_step": step, "return/mean": value}) for step, value in enumerate(returns)]
        (folder / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    return content


def region(path: Path, name: str) -> list[str]:
    """The lines between two markers."""
    text = path.read_bytes().decode()
    return text.split(f"<!-- {name}:start -->")[1].split(f"\n<!-- {name}:end -->")[0].strip().splitlines()


def rows(path: Path, name: str) -> list[str]:
    """The rows of a table, without its head."""
    return region(path, name)[2:]


def ids(path: Path, name: str) -> list[str]:
    """The runs that have rows in a table, in order."""
    return [re.search(r"\[([^\]]+)\]\(\.\./runs/\1\)", row)[1] for row in rows(path, name)]


def outside(path: Path) -> bytes:
    """What is a person's: the page without the regions."""
    return re.sub(rb"<!-- (\w+):start -->.*?<!-- \1:end -->", b"", path.read_bytes(), flags=re.DOTALL)


def write_output(path: Path, text: str) -> None:
    """Put a person's text into log 1, in place of what is there."""
    page = path.read_text()
    head, rest = page.split("## 1 Output I am working on\n", 1)
    path.write_text(
        f"{head}## 1 Output I am working on\n\n{text}\n\n<!-- hours:start" + rest.split("<!-- hours:start", 1)[1]
    )
