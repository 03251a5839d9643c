"""What this process has of the machine: processor cores, and memory."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt, in bytes
PREPARED_SHAPES = 64


def usable_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def steady_memory() -> None:
    """Let this process keep what it frees for what it needs next. To be called before anything is computed.

    - glibc gives the large tensors of each minibatch back to the system, which clears their pages for the next one: a
      tenth of the time of a Nature CNN's update in float32.
    - oneDNN keeps what it has prepared for 1,024 shapes of its operands. Many shapes come once, as the rows that only
      reset are left out of minibatches, and what is kept of them lies scattered over the heap. With fewer kept, the
      memory of a run on Atari grows less.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PREPARED_SHAPES))
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(parameter, 2**30)


def resident_memory() -> float:
    """Of this process now, in MiB (on systems without /proc: its peak)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
