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
    try:
        os.close(_lock(path / ".lock", fcntl.LOCK_SH | fcntl.LOCK_NB))
    except BlockingIOError:
        return True
    return False


def hold_pool(runs: Path) -> int:
    """Be the only process of this machine that does several of these `runs`, once all others have ended.

    Until the returned file is closed or this process ends. Raises UserError if the folder cannot be written.
    """
    return _lock(_pool_lock(runs), fcntl.LOCK_EX)


def pool_is_held(runs: Path) -> bool:
    """Whether a process of this machine does several of these `runs` now. Raises UserError."""
    try:
        os.close(_lock(_pool_lock(runs), fcntl.LOCK_SH | fcntl.LOCK_NB))
    except BlockingIOError:
        return True
    return False


@contextlib.contextmanager
def creating_runs(runs: Path) -> Iterator[None]:
    """Keep other launches from creating or queueing several of these `runs` meanwhile."""
    file = _lock(runs / ".launch.lock", fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(file)


def _pool_lock(runs: Path) -> Path:
    return runs / f".pool.{socket.gethostname()}.lock"


@contextlib.contextmanager
def updating_record(path: Path) -> Iterator[None]:
    """Keep other processes from changing the record meanwhile."""
    file = _lock(path / ".record.lock", fcntl.LOCK_EX)
    try:
        for leftover in path.glob(".run.json.*.tmp"):  # half-written by a killed process: nobody else writes now
            leftover.unlink()
        yield
    finally:
        os.close(file)


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
