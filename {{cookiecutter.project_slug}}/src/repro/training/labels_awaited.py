"""Waiting for a person: the run goes on when all that was asked is answered."""

from __future__ import annotations

import time

from repro.preferences.store import PreferenceStore

LOOK_SECONDS = 0.3  # between looks into the store
SECONDS_BETWEEN_LINES = 10.0


def wait_for_labels(store: PreferenceStore, queries: int) -> float:
    """Return when none of the `queries` in the store waits for an answer; returns the seconds that took.

    Says on the terminal how many are there, at first and now and then. Ctrl-C ends it as it ends a run: labels are in
    the store, and count when the run is resumed.
    """
    start, said, next_line = time.monotonic(), -1, 0.0
    while waiting := store.waiting():
        if queries - waiting != said and time.monotonic() >= next_line:
            said, next_line = queries - waiting, time.monotonic() + SECONDS_BETWEEN_LINES
            print(f"waiting for labels: {said:,} of {queries:,}; `repro label` in another terminal", flush=True)
        time.sleep(LOOK_SECONDS)
    if said >= 0:
        print(f"all {queries:,} labels are there: going on", flush=True)
    return time.monotonic() - start
