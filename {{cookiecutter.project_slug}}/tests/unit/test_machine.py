"""What a training process does with memory: measured in one that has just begun, as Linux counts it."""

import subprocess
import sys
from pathlib import Path

import pytest

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
pytestmark = pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(), reason="this system has no large pages"
)
SCRIPT = """
import torch
from repro.machine import resident_memory, steady_memory
def huge():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return int(next(line for line in lines if line.startswith("AnonHugePages")).split()[1]) / 1024
steady_memory()
found = []
for mib in (64, 24):
    before, huge_before = resident_memory(), huge()
    tensor = torch.ones(mib, 2**18)
    labels = [bytes(4096) for _ in range(256)]
    found += [resident_memory() - before, huge() - huge_before]
    del tensor
    found.append(resident_memory() - before)
print(*found)
"""


def test_large_tensors_come_in_large_pages_and_leave_nothing_behind():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    large, huge, left, small, _, kept = map(float, done.stdout.split())
    assert large > 60 and huge > 50 and left < 8
    assert small > 20 and kept > 20  # the heap keeps it for the next one
