"""Whether the tests of the generated project see silent bugs: each of `silent_bugs*.py` is planted, and a test fails.

For each bug the code is copied, changed in one place, and the tests that are there for it are run until the first
fails. The same tests pass without a bug; that is looked at first. Writes docs/results/planted-bugs.md; ends with 1 if a
bug was seen by no test.

    python tests/benchmarks/planted_bugs.py [WORDS]    (in an environment of a generated project with its extras; ten
                                                        minutes on two cores; only bugs whose description has the words)
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from silent_bugs import AGENTS, Bug
from silent_bugs_preferences import PREFERENCES

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template"
PAGE = ROOT / "docs" / "results" / "planted-bugs.md"
BUGS = (*AGENTS, *PREFERENCES)
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


def copy_project(folder: Path) -> Path:
    """The template's code and tests, and what they read."""
    left_out = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")
    return Path(shutil.copytree(TEMPLATE, folder, ignore=left_out))


def run_tests(project: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """pytest in a copy, until the first failure."""
    command = [sys.executable, "-P", "-m", "pytest", "-qx", "-p", "no:cacheprovider", "--no-header"]
    env = os.environ | {"PYTHONPATH": str(project / "src"), "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    paths = [f"tests/{name}" for name in tests]
    return subprocess.run([*command, *paths], cwd=project, env=env, capture_output=True, text=True)


def seen_by(bug: Bug) -> str | None:
    """The first test that fails where the bug is planted; None if all pass."""
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(Path(folder) / "project")
        file = project / "src/repro" / bug.file
        text = file.read_text()
        if text.count(bug.right) != 1:
            sys.exit(f"{bug.what}: {bug.file} has {bug.right!r} {text.count(bug.right)} times, not once")
        file.write_text(text.replace(bug.right, bug.wrong))
        done = run_tests(project, bug.tests)
        found = FAILED.search(done.stdout)
        if done.returncode == 1 and found:
            return found[1].removeprefix("tests/")
        if done.returncode == 0:
            return None
        sys.exit(f"{bug.what}: pytest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def main() -> None:
    bugs = [bug for bug in BUGS if " ".join(sys.argv[1:]) in bug.what]
    tests = tuple(dict.fromkeys(name for bug in bugs for name in bug.tests))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        healthy = pool.submit(run_tests, copy_project(Path(folder) / "project"), tests)
        found = [pool.submit(seen_by, bug) for bug in bugs]
        rows = []
        for bug, future in zip(bugs, found, strict=True):
            test = future.result()
            print(f"{'seen' if test else 'NOT SEEN'}: {bug.what}{f' ({test})' if test else ''}", flush=True)
            rows.append(f"| {bug.what} | `{bug.file}` | {f'`{test}`' if test else '**no test**'} |")
        done = healthy.result()
    if done.returncode:
        sys.exit(f"without a bug these tests fail: {done.stdout[-3000:]}")
    missed = sum(future.result() is None for future in found)
    print(f"{len(bugs) - missed} of {len(bugs)} are seen")
    if len(bugs) == len(BUGS):
        PAGE.write_text(page(rows, len(tests)))
    sys.exit(1 if missed else 0)


def page(rows: list[str], files: int) -> str:
    """The table, and what it means."""
    return "\n".join(
        [
            "# Silent bugs, and the test that sees each",
            "",
            "Made by `python tests/benchmarks/planted_bugs.py`: each bug is planted in a copy of the generated",
            "project's code, and the tests that are there for it are run until the first fails. With none of the bugs",
            f"all tests of these {files} files pass. `tests/test_silent_bugs.py` holds that each can still be planted.",
            "",
            "| bug | planted in | first test to fail |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
