"""What a training process does with memory: measured in one that has just begun, as Linux counts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
pytestmark = pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(), reason="this system has no large pages"
)
SCRIPT = """
import sys, torch
from repro.machine import resident_memory, steady_memory
def huge():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return int(next(line for line in lines if line.startswith("AnonHugePages")).split()[1]) / 1024
steady_memory(large_tensors=len(sys.argv) > 1)
found = []
for mib in (64, 12):
    before, huge_before = resident_memory(), huge()
    tensor = torch.ones(mib, 2**18)
    labels = [bytes(4096) for _ in range(256)]
    found += [resident_memory() - before, huge() - huge_before]
    del tensor
    found.append(resident_memory() - before)
print(*found)
"""


def memory_taken(*arguments: str) -> list[float]:
    """MiB taken, of these in large pages, and kept when it is freed: by a tensor of 64 MiB, and by one of 12."""
    inherited = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, env=inherited, capture_output=True, text=True, check=True)
    return list(map(float, done.stdout.split()))


def test_large_tensors_come_in_large_pages_and_leave_nothing_behind():
    large, huge, left, small, _, kept = memory_taken("large_tensors")
    assert large > 60 and huge > 50 and left < 8
    assert small > 10 and kept > 10  # the heap keeps it for the next one


def test_where_they_are_few_the_heap_keeps_them_and_pages_are_as_usual():
    large, huge, kept, *_ = memory_taken()
    assert large > 60 and kept > 60
    assert huge < 8 or "[always]" in HUGE_PAGES.read_text()
