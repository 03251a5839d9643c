"""How much memory a process could get now: of the machine, of its container or control group, of its SLURM job."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

MEGABYTE = 1024.0**2
# Files of a control group: its limit, what it uses, and in memory.stat the cached files, which make room when needed.
GROUPS = {
    "v2": ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "v1": ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_memory(system: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> float | None:
    """Bytes: the smallest of all that can be read; None where nothing can. `system` holds proc/ and sys/."""
    found = [*_of_machine(system), *_of_control_groups(system), *_of_slurm(environment)]
    return min(found, default=None)


def _of_machine(system: Path) -> Iterator[float]:
    try:
        sizes = dict(line.split(":") for line in (system / "proc/meminfo").read_text().splitlines())
        yield 1024.0 * int(sizes["MemAvailable"].split()[0])
    except (OSError, ValueError, LookupError):
        return


def _of_control_groups(system: Path) -> Iterator[float]:
    """Of the group of this process and of all above it, each of which may have a limit.

    proc/self/cgroup has a line `0::/path` for v2, `4:memory:/path` for v1. In a container the group's own files may
    stand at the top, whatever the path.
    """
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        version = "v2" if number == "0" else "v1" if "memory" in controllers.split(",") else None
        if version:
            top, *names = GROUPS[version]
            group = Path(path.lstrip("/"))
            for folder in (group, *group.parents):
                yield from _left_in(system / top / folder, *names)


def _left_in(folder: Path, limit: str, usage: str, cached: str) -> Iterator[float]:
    try:
        left = float((folder / limit).read_text()) - float((folder / usage).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        yield left + float(stat.get(cached, 0))
    except (OSError, ValueError):  # no such group, or "max": no limit
        return


def _of_slurm(environment: Mapping[str, str]) -> Iterator[float]:
    """What a job asked for, in megabytes: for the node, or for each of its CPUs. 0 stands for all there is."""
    per_node = environment.get("SLURM_MEM_PER_NODE", "")
    per_cpu, cpus = environment.get("SLURM_MEM_PER_CPU", ""), environment.get("SLURM_CPUS_ON_NODE", "")
    if per_node.isdecimal() and int(per_node):
        yield MEGABYTE * int(per_node)
    if per_cpu.isdecimal() and cpus.isdecimal() and int(per_cpu) and int(cpus):
        yield MEGABYTE * int(per_cpu) * int(cpus)
