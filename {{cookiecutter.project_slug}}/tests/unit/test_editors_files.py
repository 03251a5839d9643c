"""What editors and file managers leave beside a file is no code, and is theirs to delete."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from dvc.ignore import DvcIgnorePatterns

from repro.tracking.snapshot import _is_byproduct
from repro.worklog.entries import add_note

IGNORED = Path(__file__).parents[2] / "src/.dvcignore"


@pytest.mark.parametrize(
    "name", ["#a.py#", "a.py~", ".a.py.swp", ".#a.py", ".DS_Store", "__pycache__", "a.cpython.pyc"]
)
def test_byproducts_are_no_code_for_a_snapshot_nor_for_dvc(name):
    assert _is_byproduct(name) and ignored_by_dvc(name)


@pytest.mark.parametrize(
    "name", ["a.py", "#a.py", "a#", "a~.py", "pycache", "__init__.py", "egg-info.txt", "page.html"]
)
def test_all_else_is_code_for_both(name):
    assert not _is_byproduct(name) and not ignored_by_dvc(name)


def ignored_by_dvc(name: str) -> bool:
    patterns = DvcIgnorePatterns(IGNORED.read_text().splitlines(), "/src", os.sep)
    return patterns.matches("/src/repro", name, is_dir=False)


@pytest.mark.parametrize("form", [".{}.md.swp", ".{}.md.swo", "#{}.md#", "{}.md~", ".#{}.md"])
def test_the_log_leaves_an_open_editors_file_alone(tmp_path, form):
    beside = tmp_path / "worklog" / form.format(date.today())
    beside.parent.mkdir()
    beside.write_bytes(b"what is not saved yet")
    page = add_note(tmp_path, "a thought")
    assert "a thought" in page.read_text() and beside.read_bytes() == b"what is not saved yet"
