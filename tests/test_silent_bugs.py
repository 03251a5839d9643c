"""The bugs that `benchmarks/planted_bugs.py` plants can be planted in the code as it is now."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/benchmarks"))

from silent_bugs import AGENTS  # noqa: E402  of the folder above
from silent_bugs_preferences import PREFERENCES  # noqa: E402


@pytest.mark.parametrize("bug", [*AGENTS, *PREFERENCES], ids=lambda bug: bug.what)
def test_a_bug_fits_the_code(bug) -> None:
    text = (ROOT / "template/src/repro" / bug.file).read_text()
    assert text.count(bug.right) == 1 and bug.right != bug.wrong
    compile(text.replace(bug.right, bug.wrong), bug.file, "exec")
    assert all((ROOT / "template/tests" / test).exists() for test in bug.tests)
