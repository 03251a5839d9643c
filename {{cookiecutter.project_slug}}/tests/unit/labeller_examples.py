"""A store with comparisons to label, and a labelling page on it that tests talk to over a real connection."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from repro.preferences.clips import make_clip
from repro.preferences.labeller.desk import Desk, Situation, Task
from repro.preferences.labeller.server import bind, make_server
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore

RUN = "2026-11-21_dot_7f3a"
TRUE_REWARD = 7654.125  # what no answer of the page may hold


def make_segment(seed: int, steps: int = 5) -> Segment:
    """Noise of 6 x 6 pixels, stacked in twos."""
    generator = np.random.default_rng(seed)
    frames = generator.integers(0, 256, (steps + 1, 6, 6), np.uint8)
    return Segment(frames, generator.integers(0, 5, steps), np.full(steps, TRUE_REWARD, np.float32))


def fill(path: Path, queries: int, run: str = RUN, environment: str = "dot") -> Path:
    """A store with so many queries, none of them answered."""
    with PreferenceStore(path, environment) as store, store.transaction():
        for number in range(queries):
            store.add_query(run, number, make_segment(2 * number), make_segment(2 * number + 1), 100, "uniform")
    return path


def ask(path: Path, queries: int) -> Path:
    """A store with so many queries, all of the same two segments: made at once, where only their number matters."""
    with PreferenceStore(path, "dot") as store, store.transaction():
        left, right = make_segment(0), make_segment(1)
        store.add_query(RUN, 0, left, right, 100, "uniform")
        for number in range(1, queries):
            store.add_query_of(RUN, number, left.hash, right.hash, 100, "uniform")
    return path


def make_task(path: Path, **changes: Any) -> Task:
    """What is labelled on the page."""
    settings: dict[str, Any] = {
        "store": path,
        "run": RUN,
        "environment": "dot",
        "instruction": "Closer to the middle is better.",
        "wanted": 700,
        "annotator": None,
        "repeats": 0.0,
        "make_clip_maker": lambda: partial(make_clip, draw=None, frames_per_second=15),
        "situation": lambda: Situation("running", 4096),
    }
    return Task(**settings | changes)


class Page:
    """What a browser that has the page open sends."""

    def __init__(self, port: int):
        self.port, self.host = port, f"127.0.0.1:{port}"

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str | None
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Status, body (JSON decoded) and headers of the answer. headers: None leaves one out."""
        sent: dict[str, str | None] = {"Host": self.host, "Content-Length": str(len(body or b""))}
        if method == "POST":
            sent |= {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        json_sent = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status, json.loads(content) if json_sent else content, answer.headers

    def get(self, path: str) -> Any:
        """What is there; it must be."""
        status, content, _ = self.request("GET", path)
        assert status == 200, content
        return content

    def work(self, annotator: str = "anna", held: str = "") -> Any:
        return self.get(f"/api/work?annotator={annotator}&held={held}")

    def post(self, pair: Any, answer: Any, annotator: Any = "anna", seconds: Any = 1.5) -> tuple[int, Any]:
        """Send an answer."""
        body = {"annotator": annotator, "pair": pair, "answer": answer, "seconds": seconds}
        status, content, _ = self.request("POST", "/api/answers", json.dumps(body).encode())
        return status, content


@contextmanager
def serving(task: Task, token: str | None = None, host: str = "127.0.0.1") -> Iterator[Page]:
    """The page, served by a thread of this process, as if it had been opened by the name `host`."""
    listener = bind("127.0.0.1", 0)
    desk = Desk(task)
    server = make_server(desk, listener.getsockname()[1], token, host)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Page(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        desk.close()


def answers(path: Path) -> list[tuple]:
    """All rows of labels, in the order they were written."""
    with PreferenceStore(path) as store:
        found = store.rows("SELECT run, number, answer, annotator FROM labels ORDER BY id")
    return [(row["run"].removeprefix(RUN), row["number"], row["answer"], row["annotator"]) for row in found]
