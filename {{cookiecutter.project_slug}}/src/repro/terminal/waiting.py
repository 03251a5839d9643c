"""Telling a person at a terminal what is being waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

QUIET_SECONDS = 2.0  # whoever waits longer is told what for


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show on a terminal that something is going on, from QUIET_SECONDS on until it is done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    status = console.status(text)
    timer = threading.Timer(QUIET_SECONDS, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # it may be starting it just now
        status.stop()
