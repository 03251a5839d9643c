"""Locks of a run folder: which process does the run, and which one changes its record now.

They hold on every machine that shares the folder, and end with the process that holds them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from repro.files import storage_error
from repro.reading import UserError

LOOK_SECONDS = 0.5  # far more than `is_held` of another process keeps the lock for


def hold_run(path: Path) -> int:
    """Be the only process that does the run in this folder, until the returned file is closed or this process ends.

    Raises UserError if another does it, or the folder cannot be written.
    """
    end = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            return _lock(path / ".lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise UserError(f"{path.name}: is being done by another process; stop that one first") from None
        time.sleep(0.02)


def is_held(path: Path) -> bool:
    """Whether a process does the run in this folder now, on whichever machine. Raises UserError."""
    return _is_locked(path / ".lock")


def hold_pool(runs: Path) -> int:
    """Be the only process of this machine that does several of these `runs`, once all others have ended.

    Until the returned file is closed or this process ends. Raises UserError if the folder cannot be written.
    """
    return _lock(_pool_lock(runs), fcntl.LOCK_EX)


def pool_is_held(runs: Path) -> bool:
    """Whether a process of this machine does several of these `runs` now. Raises UserError."""
    return _is_locked(_pool_lock(runs))


def creating_runs(runs: Path) -> AbstractContextManager[None]:
    """Keep other launches from creating or queueing several of these `runs` meanwhile."""
    return locked(runs / ".launch.lock")


def updating_record(path: Path) -> AbstractContextManager[None]:
    """Keep other processes from changing the record in this folder meanwhile."""
    return locked(path / ".record.lock", leftovers=".run.json.*.tmp")


@contextlib.contextmanager
def locked(path: Path, leftovers: str | None = None) -> Iterator[None]:
    """Hold the lock at `path`; other processes wait. Raises UserError.

    `leftovers` is a pattern for what killed processes left half-written beside it: nobody else writes now, so it goes.
    """
    file = _lock(path, fcntl.LOCK_EX)
    try:
        for leftover in path.parent.glob(leftovers) if leftovers else ():
            leftover.unlink()
        yield
    finally:
        os.close(file)


def _pool_lock(runs: Path) -> Path:
    return runs / f".pool.{socket.gethostname()}.lock"


def _is_locked(path: Path) -> bool:
    try:
        os.close(_lock(path, fcntl.LOCK_SH | fcntl.LOCK_NB))
    except BlockingIOError:
        return True
    return False


def _lock(path: Path, operation: int) -> int:
    """Open and lock a file; closing it unlocks it. Raises UserError; BlockingIOError if it must not wait."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)  # NFS locks only what is open for writing
    except OSError as error:
        raise storage_error(path, error) from None
    try:
        fcntl.flock(file, operation)
    except OSError as error:
        os.close(file)
        if isinstance(error, BlockingIOError):
            raise
        raise storage_error(path, error) from None
    return file
