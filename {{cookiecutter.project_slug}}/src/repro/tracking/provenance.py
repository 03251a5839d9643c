"""Where a run came from: versions, devices, data, and the command without its secrets. Never imports torch: slow."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from repro.machine import usable_cores
from repro.reading import read_toml

PACKAGES = ("torch", "gymnasium", "numpy", "wandb", "dvc")
SECRET_NAME = re.compile(r"(api[-_]?key|token|secret|password|passwd)s?(?![a-z])", re.IGNORECASE)  # no tokenizer


def versions(root: Path) -> dict[str, str | None]:
    """Installed versions of Python, the main packages and the project; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    found["project"] = project(root).get("version")
    return found


def project(root: Path) -> dict[str, Any]:
    """The `[project]` table of pyproject.toml: name, version. Raises UserError if it cannot be read."""
    return read_toml(root / "pyproject.toml").get("project", {})


def devices() -> dict[str, Any]:
    """{"cpu": model, "cores": usable ones, "gpus": names}; `gpus` only once torch has been imported."""
    found: dict[str, Any] = {"cpu": cpu_model(), "cores": usable_cores()}
    torch = sys.modules.get("torch")
    if torch is not None:
        found["gpus"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return found


def data_hashes(root: Path, cell: str | None) -> dict[str, str]:
    """What DVC recorded for the data of a cell: path -> md5, from dvc.lock, whose layout is DVC's own."""
    try:
        lock = (root / "dvc.lock").read_text(encoding="utf-8") if cell else ""
    except FileNotFoundError:
        return {}
    entries = re.findall(r"- path: (\S+)\n\s+hash: md5\n\s+md5: (\S+)", lock)
    return {path: md5 for path, md5 in entries if f"{path}/".startswith(f"data/{cell}/")}


def redact(words: Sequence[str]) -> list[str]:
    """A command line with keys and passwords blanked out."""
    keys = [value for name, value in os.environ.items() if SECRET_NAME.search(name) and len(value) >= 8]
    shown = []
    value_follows = False
    for word in words:
        for key in keys:
            word = word.replace(key, "***")
        option, equals, _ = word.partition("=")
        named_secret = SECRET_NAME.search(option) is not None
        if value_follows:
            word = "***"
        elif equals and named_secret:
            word = f"{option}=***"
        value_follows = named_secret and not equals and option.startswith("-")
        shown.append(re.sub(r"(://[^/\s:@]+:)[^/\s@]+@", r"\1***@", word))
    return shown


def cpu_model() -> str:
    """The processor's type, as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()
