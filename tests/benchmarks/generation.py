"""How long it takes to generate a project, without set-up: five times, in seconds.

python tests/benchmarks/generation.py      (in the template's own environment, made by make demo or make test)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPETITIONS = 5


def main() -> None:
    seconds = []
    for _ in range(REPETITIONS):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "cookiecutter", "--no-input", "--default-config", "-o", folder, str(ROOT)]
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
    print(f"median {sorted(seconds)[REPETITIONS // 2]:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()
