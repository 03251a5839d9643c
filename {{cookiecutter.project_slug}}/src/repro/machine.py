"""What this process has of the machine: processor cores, and memory."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt, in bytes
LARGE = 2**24  # bytes of a tensor that comes and goes, where there are many such
PREPARED_SHAPES = 64


def usable_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def steady_memory(large_tensors: bool) -> None:
    """Let tensors come and go without delay, and without memory that grows. To be called before the first of them.

    - What is freed is kept on the heap for the next minibatch, as it takes time to ask the system for it again.
    - `large_tensors`: many are larger than LARGE. They are then given back to the system instead. On the heap, labels
      and other small things that last come to lie between them and leave holes that fit none of the next ones, so that
      a run on Atari grew and grew. These tensors come in pages of 2 MiB, where the system has them (PyTorch's
      THP_MEM_ALLOC_ENABLE): in those of 4 KiB the paper's reward model took 1.7 times as long. PPO alone has no use
      for them: on Pong it took some 5% longer.
    - oneDNN keeps what it has prepared for 1,024 shapes of its operands. Many shapes come once, as the rows that only
      reset are left out of minibatches, and what is kept of them lies scattered over the heap.
    """
    if large_tensors:
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PREPARED_SHAPES))
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        if large_tensors or not libc.mallopt(M_MMAP_THRESHOLD, 2**30):
            libc.mallopt(M_MMAP_THRESHOLD, LARGE if large_tensors else 2**25)  # the most that an older glibc takes
        libc.mallopt(M_TRIM_THRESHOLD, 2**30)


def resident_memory() -> float:
    """Of this process now, in MiB (on systems without /proc: its peak)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
