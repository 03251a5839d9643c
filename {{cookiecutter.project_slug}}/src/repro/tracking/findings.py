"""`health.jsonl`: what the live health checks found in a run, one finding a line, each check once.

It is written by the trainer, and read by all who watch: `repro.tracking.wandb_process`, commands, a person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro.files import write_atomic
from repro.reading import UserError, parse_json

KEYS = {"check": str, "env_step": int, "seen": str, "meaning": str, "remedy": str}  # and severity, but for old ones
Finding = Mapping[str, Any]  # of KEYS


def add_finding(run_path: Path, finding: Finding) -> None:
    """Append a finding; the file is whole at any moment. Raises UserError if the disk refuses."""
    path = run_path / "health.jsonl"
    before = path.read_bytes() if path.exists() else b""
    write_atomic(path, before + json.dumps(finding).encode() + b"\n")


def forget_findings_after(run_path: Path, env_step: int) -> None:
    """Drop what was found later than `env_step`, in rows that a resumed run writes anew. Raises UserError."""
    findings = read_findings(run_path)
    kept = [finding for finding in findings if finding["env_step"] <= env_step]
    if len(kept) < len(findings):
        write_atomic(run_path / "health.jsonl", b"".join(json.dumps(finding).encode() + b"\n" for finding in kept))


def read_findings(run_path: Path) -> list[dict[str, Any]]:
    """The findings of a run, oldest first; none where nothing was found. Raises UserError if the file is damaged."""
    path = run_path / "health.jsonl"
    try:
        return [_finding(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it, and a resumed run starts it anew") from None


def _finding(line: bytes) -> dict[str, Any]:
    """The finding in a line. Raises ValueError."""
    finding = parse_json(line)
    if not isinstance(finding, dict) or any(not isinstance(finding.get(key), kind) for key, kind in KEYS.items()):
        raise ValueError(f"not a finding: {line[:60].decode(errors='replace')}")
    return finding
