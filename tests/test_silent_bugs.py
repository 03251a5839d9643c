"""The bugs that `benchmarks/planted_bugs.py` plants can be planted in the code as it is now."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location("silent_bugs", ROOT / "tests/benchmarks/silent_bugs.py")
silent_bugs = sys.modules["silent_bugs"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(silent_bugs)


@pytest.mark.parametrize("bug", silent_bugs.BUGS, ids=lambda bug: bug.what)
def test_a_bug_fits_the_code(bug) -> None:
    text = (ROOT / "template/src/repro" / bug.file).read_text()
    assert text.count(bug.right) == 1 and bug.right != bug.wrong
    compile(text.replace(bug.right, bug.wrong), bug.file, "exec")
    assert all((ROOT / "template/tests" / test).exists() for test in bug.tests)
