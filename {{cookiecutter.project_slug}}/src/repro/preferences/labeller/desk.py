"""What the server does beside talking: one thread for the answers, one for the pictures."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from repro.preferences.clips import Clip
from repro.preferences.labelling import Labelling
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore

CLIPS_KEPT = 64  # in memory

Result = TypeVar("Result")


@dataclass(frozen=True)
class Situation:
    """How the run stands."""

    status: str | None  # of the run, e.g. running; None for segments that no run waits for
    env_step: int  # agent steps done
    waits: bool = False  # whether it stands still until all that it has asked is answered


@dataclass(frozen=True)
class Task:
    """What is to be labelled.

    make_clip_maker: called in the thread that draws, because graphics libraries stay in the thread they began in.
    situation: asked anew for every page and answer.
    """

    store: Path
    run: str
    environment: str
    instruction: str
    wanted: int | None  # labels in all, where that is known
    annotator: str | None  # where all answers are one person's
    repeats: float
    make_clip_maker: Callable[[], Callable[[Segment], Clip]]
    situation: Callable[[], Situation]


class Desk:
    """Reads and writes the store in one thread, makes clips in another; each has a connection of its own.

    SQLite's connections stay in the thread that opened them, and answers are written one after the other.
    """

    def __init__(self, task: Task):
        """Raises UserError if the store or its environment cannot be used."""
        self.task = task
        self._desk, self._easel = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._clips: OrderedDict[str, Clip] = OrderedDict()
        try:
            self.labelling = self._desk.submit(self._open_labelling).result()
            self._easel.submit(self._open_pictures).result()
        except BaseException:
            self.close()
            raise

    def _open_labelling(self) -> Labelling:
        store = PreferenceStore(self.task.store, self.task.environment)
        return Labelling(store, self.task.run, self.task.repeats)

    def _open_pictures(self) -> None:
        self._segments = PreferenceStore(self.task.store, self.task.environment)
        self._make = self.task.make_clip_maker()

    async def ask(self, work: Callable[[Labelling], Result]) -> Result:
        """What `work` returns, done when it is its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._desk, work, self.labelling)

    async def clip(self, name: str) -> Clip:
        """The clip of the segment with this hash. Raises UserError if there is none."""
        return await asyncio.get_running_loop().run_in_executor(self._easel, self._clip, name)

    def _clip(self, name: str) -> Clip:
        if name not in self._clips:
            self._clips[name] = self._make(self._segments.segment(name, pictures=True))
        self._clips.move_to_end(name)
        if len(self._clips) > CLIPS_KEPT:
            self._clips.popitem(last=False)
        return self._clips[name]

    def close(self) -> None:
        """End the threads, after what they are at."""
        for thread in (self._desk, self._easel):
            thread.shutdown()
