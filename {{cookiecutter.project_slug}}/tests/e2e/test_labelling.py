"""A whole session of a person who labels while a run trains, by keyboard in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from project import PATIENCE, Project, kill, wait_until

from repro.config import Config
from repro.envs import make_envs
from repro.preferences.reward_model import RewardModel
from repro.preferences.store import PreferenceStore
from repro.tracking.archive import RunFolder

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
KEYS = {"left": "ArrowLeft", "right": "ArrowRight", "tie": "ArrowUp", "incomparable": "ArrowDown"}
WORDS = {"left": "left", "right": "right", "tie": "equal", "incomparable": "can’t tell"}
LABELS = 30
COST = 100.0  # milliseconds that the page itself may take for a label
# A person answers; the rest lets a small reward model learn what few labels say.
SETTINGS = (
    "preferences.annotator=person",
    "preferences.when_unlabelled=wait",
    "preferences.initial_labels=16",
    f"preferences.total_labels={LABELS}",
    "reward_model.pretraining_steps=200",
    "reward_model.steps_per_rollout=20",
    "reward_model.learning_rate=0.003",
)


@pytest.fixture
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: see make setup")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"there is no browser here: none of {', '.join(BROWSERS)}")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # which root cannot have
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=sandbox)
        yield chromium
        chromium.close()


class Person:
    """Looks at the page, and prefers the clip in which the dot comes closer to the middle."""

    def __init__(self, page: Any, store: Path, run: str):
        self.page, self.store, self.run = page, store, run
        self.confirmed: list[tuple[str, str]] = []  # key of the pair, answer
        self.costs: list[float] = []  # milliseconds from a key to the next pair

    def shown(self) -> str:
        """The key of the pair that is shown, "" if none is."""
        return self.page.locator("#clips").get_attribute("data-pair") or ""

    def judge(self, key: str) -> str:
        """The answer that this person gives to a pair."""
        with PreferenceStore(self.store) as store:
            (row,) = store.rows(
                "SELECT left_hash, right_hash FROM queries WHERE run = ? AND number = ?",
                (self.run, int(key.removesuffix("r"))),
            )
            returns = [store.segment(row[side]).true_return for side in ("left_hash", "right_hash")]
        left, right = reversed(returns) if key.endswith("r") else returns
        return "tie" if left == right else "left" if left > right else "right"

    def press(self, key: str) -> str:
        """Answer the pair that is shown, of this key; returns the answer."""
        answer = self.judge(key)
        self.page.keyboard.press(KEYS[answer])
        return answer

    def label(self) -> None:
        """Answer what is shown, and see it confirmed."""
        wait_for(lambda: self.shown())
        key, before = self.shown(), len(self.measured())
        answer = self.press(key)
        wait_for(lambda: len(self.measured()) > before)
        self.costs.append(self.measured()[-1])
        assert self.page.locator("#said").inner_text() == f"Stored: {WORDS[answer]}."
        assert self.shown() != key
        self.confirmed.append((key, answer))

    def undo(self) -> None:
        """Take the last answer back; the pair is shown again."""
        key, _ = self.confirmed.pop()
        wait_for(lambda: self.page.locator("#undo").is_enabled())
        self.page.keyboard.press("u")
        wait_for(lambda: self.shown() == key)

    def measured(self) -> list[float]:
        """What the page has measured so far."""
        return self.page.evaluate("performance.getEntriesByName('label').map((entry) => entry.duration)")


def wait_for(condition: Callable[[], Any]) -> None:
    """Wait for something on the page, without keeping the machine from the training."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def serve(project: Project, run: str, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    process = project.start("label", run, "--port", str(port), "--repeats", "0.1")
    line = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
    assert found, line + process.communicate()[1]
    return process, int(found[1])


def test_a_session(project: Project, browser: Any) -> None:
    options = [word for setting in SETTINGS for word in ("--set", setting)]
    with (project.root / "training.txt").open("w") as output:  # read at the end
        training = project.start("train", "--seed", "100", *options, stdout=output, stderr=subprocess.STDOUT)
    wait_until(lambda: project.runs(), training)  # what it asks first is yet to come
    run = project.only_run()
    server, port = serve(project, run.id)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    person = Person(page, run.path / "preferences.db", run.id)

    page.goto(f"http://127.0.0.1:{port}/")
    page.fill("#name", "anna")
    page.keyboard.press("Enter")
    for _ in range(8):
        person.label()
    assert training.poll() is None  # it waits for all 16
    for count in (1, 2):  # of two in a row, the second is taken back first
        for _ in range(count):
            person.undo()
        for _ in range(count):
            person.label()

    page.keyboard.press("Space")
    assert page.locator("#pause").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    page.keyboard.press("s")
    assert page.locator("#slow").get_attribute("aria-pressed") == "true"
    page.keyboard.press("r")

    page.route("**/api/answers", lambda route: route.fulfill(status=503, json={"error": "the disk is full"}))
    key = person.shown()
    with page.expect_response("**/api/work*"):
        person.press(key)
    page.wait_for_timeout(200)  # what the server says of the work is no reason to forget it
    assert page.locator("#alert").inner_text() == "Not stored: the disk is full"
    assert person.shown() == key and labels_of(run) == standing(person)
    page.unroute("**/api/answers")
    person.label()
    assert not page.locator("#alert").is_visible()

    kill(server)
    key, before = person.shown(), len(person.measured())
    answer = person.press(key)
    wait_for(lambda: "does not answer" in page.locator("#alert").inner_text())
    assert person.shown() == key and labels_of(run) == standing(person)  # neither confirmed nor stored
    server, _ = serve(project, run.id, port)
    wait_for(lambda: len(person.measured()) > before)  # sent again, once there is a server
    assert person.shown() != key
    person.confirmed.append((key, answer))
    assert not page.locator("#alert").is_visible() and labels_of(run) == standing(person)

    while len(standing(person)) < LABELS:
        person.label()
    training.wait(PATIENCE)
    said = (project.root / "training.txt").read_text()
    assert training.returncode == 0, said
    assert "waiting for labels" in said and "`repro label`" in said
    wait_for(lambda: "finished" in page.locator("#status").inner_text())
    assert "has finished: no more will come" in page.locator("#waiting-text").inner_text()
    page.keyboard.press("r")  # with no clip to replay

    page.goto(f"http://127.0.0.1:{port}/review")
    wait_for(lambda: page.locator("tbody tr").count() == min(30, len(person.confirmed)))
    page.locator("tbody button").first.click()
    wait_for(lambda: page.locator("#looked-at").is_visible())
    assert page.locator("tbody tr[aria-current=true]").count() == 1
    page.reload()
    wait_for(lambda: page.locator("tbody tr").count())
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=PATIENCE)
    page.locator("tbody button").first.click()
    wait_for(lambda: page.locator("#alert").is_visible())  # though no comparison is shown
    assert labels_of(run) == standing(person)
    assert faults == []

    cost, slowest = statistics.median(person.costs), max(person.costs)
    agreed = agreement(project.only_run())
    print(f"\na label costs {cost:.0f} ms in the page (median of {len(person.costs)}; at most {slowest:.0f} ms)")
    print(f"the trained reward model agrees with {agreed:.0%} of the labels that prefer a side")
    assert cost < COST and agreed >= 0.8


def standing(person: Person) -> dict[int, str]:
    """What was confirmed on the page, repeats left out."""
    return {int(key): answer for key, answer in person.confirmed if not key.endswith("r")}


def labels_of(run: RunFolder) -> dict[int, str]:
    """What stands in the run's store."""
    with PreferenceStore(run.path / "preferences.db") as store:
        rows = store.rows("SELECT number, answer FROM standing_labels WHERE run = ?", (run.id,))
    return {row["number"]: row["answer"] for row in rows}


def agreement(run: RunFolder) -> float:
    """The share of the person's preferences for a side that the trained reward model shares."""
    config = Config.model_validate(run.record["params"])
    envs = make_envs(config.env, num_envs=1)
    model = RewardModel(envs.single_observation_space, config.reward_model, torch.device("cpu"), seed=0)
    model.load_inference_state(torch.load(run.path / "checkpoints/reward_model.pt", weights_only=True))
    envs.close()
    right = []
    with PreferenceStore(run.path / "preferences.db") as store:
        for label in store.labelled(run.id):
            returns = [model.normalise(model.returns([store.segment(one)])).mean() for one in (label.left, label.right)]
            if label.preference != 0.5:
                right.append((returns[0] > returns[1]) == (label.preference == 1))
    return float(np.mean(right))
