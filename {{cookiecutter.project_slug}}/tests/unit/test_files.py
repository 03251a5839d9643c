"""Writing a file whole or not at all, with what stands around it left as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import repro
from repro.files import write_atomic
from repro.reading import UserError


@pytest.fixture
def umask():
    """Sets the umask for the length of a test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("permissions", [0o660, 0o600, 0o444, 0o755])
def test_the_permissions_of_the_old_file_are_kept(tmp_path, permissions):
    path = tmp_path / "run.json"
    path.write_bytes(b"old")
    path.chmod(permissions)
    write_atomic(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", permissions)


@pytest.mark.parametrize(("mask", "permissions"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_a_new_file_gets_the_permissions_that_the_user_gives_new_files(tmp_path, umask, mask, permissions):
    umask(mask)
    write_atomic(tmp_path / "run.json", b"new")
    assert mode(tmp_path / "run.json") == permissions


@pytest.mark.parametrize("target", ["old", None])
def test_a_link_stays_a_link_and_its_target_is_written(tmp_path, target):
    (tmp_path / "disk").mkdir()
    if target:
        (tmp_path / "disk/page.md").write_text(target)
    link = tmp_path / "page.md"
    link.symlink_to("disk/page.md")
    write_atomic(link, b"new")
    assert link.is_symlink() and (tmp_path / "disk/page.md").read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.endswith(".tmp")] == []
    assert [entry.name for entry in (tmp_path / "disk").iterdir()] == ["page.md"]


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    path.write_bytes(b"old")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError, match=r"run\.json: the disk is full"):
        write_atomic(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"] and path.read_bytes() == b"old"


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_killed_process_leaves_the_old_file_whole_and_at_most_a_temporary_one(tmp_path, moment):
    path = tmp_path / "run.json"
    path.write_bytes(b"old")
    code = (
        "import os, sys; from pathlib import Path; from repro.files import write_atomic\n"
        f"os.{moment} = lambda *_: os.kill(os.getpid(), 9)\n"
        "write_atomic(Path(sys.argv[1]), b'new')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(repro.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", code, path], env=environment).returncode == -signal.SIGKILL
    (leftover,) = (entry for entry in tmp_path.iterdir() if entry != path)
    assert path.read_bytes() == b"old"
    assert leftover.name.startswith(".run.json.") and leftover.name.endswith(".tmp")
    write_atomic(path, b"new")  # the next one is not in its way
    assert path.read_bytes() == b"new"
