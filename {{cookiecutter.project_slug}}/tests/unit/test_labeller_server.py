"""The labelling page's server: what it sends, what it stores, and what it says when something is wrong."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from labeller_examples import RUN, TRUE_REWARD, answers, fill, make_segment, make_task, serving
from PIL import Image

from repro.preferences.labeller.desk import Desk, Situation
from repro.preferences.store import PreferenceStore
from repro.reading import UserError


@pytest.fixture
def path(tmp_path):
    return fill(tmp_path / "preferences.db", 12)


@pytest.fixture
def page(path):
    with serving(make_task(path)) as page:
        yield page


def test_the_pages_bring_all_that_they_use(page):
    seen, wanted = set(), {"/", "/review"}
    while wanted - seen:
        address = (wanted - seen).pop()
        seen.add(address)
        status, content, headers = page.request("GET", address)
        assert status == 200, address
        text = content.decode()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), f"{address} asks someone else"
        kind = headers["content-type"].partition(";")[0]
        assert kind == {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}.get(
            address.rpartition(".")[2], "text/html"
        )
        assert headers["content-security-policy"].startswith("default-src 'self'")
        wanted |= {"/" + name for name in re.findall(r'(?:src|href|from) ?=?"(?:\./)?([\w.]+\.\w+)"', text)}
    assert {"/style.css", "/label.js", "/review.js", "/player.js", "/common.js", "/icon.svg"} <= seen


def test_a_label_is_in_the_store_when_it_is_confirmed(page, path):
    (pair, *rest) = page.work()["pairs"]
    assert [one["key"] for one in (pair, *rest)] == ["0", "1", "2"]
    assert page.post(pair, "left") == (200, pair | {"version": 1})
    with PreferenceStore(path) as store:
        (label,) = store.rows("SELECT * FROM labels")
    assert (label["answer"], label["annotator"], label["latency_seconds"], label["env_step"]) == (
        "left",
        "anna",
        1.5,
        4096,
    )
    work = page.work(held="1,2")
    assert [one["key"] for one in work["pairs"]] == ["3"]
    assert work["last"]["key"] == "0" and work["status"] == "running"
    assert work["progress"] | {"per_hour": None} == {
        "labels": 1, "waiting": 11, "mine": 1, "per_hour": None, "repeated": 0, "consistent": 0,
    }  # fmt: skip


def test_an_answer_sent_twice_counts_once_and_undo_of_nothing_is_refused(page, path):
    pair = page.work()["pairs"][0]
    for _ in range(3):
        assert page.post(pair, "tie")[0] == 200
    status, content = page.post(pair, "left")
    assert status == 409 and "anna has changed comparison 0 elsewhere" in content["error"]
    status, content = page.post(page.work()["pairs"][0], "undo")
    assert status >= 400 and "no answer to query" in content["error"]
    last = page.work()["last"]
    for _ in range(2):
        status, again = page.post(last, "undo")
        assert status == 200 and (again["key"], again["version"]) == ("0", 2)
    assert page.work()["last"] is None
    assert answers(path) == [("", 0, "tie", "anna"), ("", 0, "undo", "anna")]


def test_annotators_at_once(page, path):
    """Six of them answer what they are given, all at the same time: each comparison once, none left out."""

    def session(name):
        while pairs := page.work(name)["pairs"]:
            assert page.post(pairs[0], "left", name)[0] == 200

    with ThreadPoolExecutor(6) as people:
        list(people.map(session, [f"person-{number}" for number in range(6)]))
    labelled = answers(path)
    assert sorted(number for _, number, _, _ in labelled) == list(range(12))


def test_the_same_double_submit_at_once(page, path):
    pair = page.work()["pairs"][0]
    barrier = threading.Barrier(4)

    def submit(answer):
        barrier.wait()
        return page.post(pair, answer)[0]

    with ThreadPoolExecutor(4) as hands:
        statuses = sorted(hands.map(submit, ["left", "left", "right", "right"]))
    assert statuses == [200, 200, 409, 409]
    assert len(answers(path)) == 1


def test_clips_are_the_frames_themselves(page):
    pair = page.work()["pairs"][0]
    status, content, headers = page.request("GET", f"/clips/{pair['left']}")
    clip = json.loads(headers["clip"])
    assert status == 200 and headers["content-type"] == "image/webp"
    assert clip == {"pictures": 5, "columns": 3, "width": 6, "height": 6, "rate": 5.0, "pixelated": True}
    sheet = np.asarray(Image.open(BytesIO(content)).convert("RGB"))
    for number, frame in enumerate(make_segment(0).observations[1:]):
        row, column = divmod(number, 3)
        shown = sheet[6 * row : 6 * row + 6, 6 * column : 6 * column + 6]
        np.testing.assert_array_equal(shown, np.repeat(frame[:, :, None], 3, 2))


def test_nothing_of_the_oracle_is_sent(path):
    """Neither its answers nor true rewards, wherever one looks."""
    with PreferenceStore(path) as store:
        store.add_label(RUN, 0, "left", "oracle", None, 0)
    with serving(make_task(path)) as page:
        pair = page.work()["pairs"][0]
        assert page.post(pair, "right")[0] == 200
        places = ["/", "/review", "/api/setting", "/api/work?annotator=anna", "/api/given?annotator=anna"]
        places += [f"/api/pair?annotator=anna&key={key}" for key in (0, 1)] + [f"/clips/{pair['left']}"]
        for place in places:
            _, content, headers = page.request("GET", place)
            text = (json.dumps(content) if isinstance(content, dict) else content.decode("latin-1")) + str(headers)
            for hint in (str(TRUE_REWARD), str(5 * TRUE_REWARD), "oracle", "true_re"):
                assert hint not in text, place
        status, content, _ = page.request("GET", "/api/given?annotator=oracle")
        assert status == 400 and "choose another" in content["error"]


def test_review_pages_and_corrections(page, path):
    for number in range(3):
        page.post(page.work()["pairs"][0], "left" if number else "incomparable")
    given = page.get("/api/given?annotator=anna")
    assert [(row["key"], row["answer"]) for row in given["given"]] == [
        ("2", "left"),
        ("1", "left"),
        ("0", "incomparable"),
    ]
    assert page.get(f"/api/given?annotator=anna&before={given['given'][1]['id']}")["given"][0]["key"] == "0"
    pair = page.get("/api/pair?annotator=anna&key=0")
    assert page.post(pair, "right", seconds=None) == (200, pair | {"version": 2})
    with PreferenceStore(path) as store:
        assert {label.number: label.preference for label in store.labelled(RUN)} == {0: 0.0, 1: 1.0, 2: 1.0}


def test_a_fixed_annotator_cannot_be_changed_by_the_page(path):
    with serving(make_task(path, annotator="carl")) as page:
        assert page.get("/api/setting")["annotator"] == "carl"
        page.post(page.work("anna")["pairs"][0], "left", "anna")
    assert answers(path) == [("", 0, "left", "carl")]


def test_two_servers_on_one_store(path):
    with serving(make_task(path)) as one, serving(make_task(path)) as other:
        pair = one.work()["pairs"][0]
        assert other.work()["pairs"][0] == pair
        assert one.post(pair, "left")[0] == other.post(pair, "left")[0] == 200  # the same window, reloaded elsewhere
        assert one.post(pair, "right")[0] == other.post(pair, "right")[0] == 409
        assert other.post(pair, "right", "bob")[0] == 200
    assert answers(path) == [("", 0, "left", "anna"), ("", 0, "right", "bob")]


def test_a_store_of_another_environment_is_refused_before_anything_is_served(path):
    with pytest.raises(UserError, match="holds preferences for dot, not for pong"):
        Desk(make_task(path, environment="pong"))


def test_a_comparison_that_has_vanished_is_one_line(page):
    pair = page.work()["pairs"][0] | {"key": "400"}
    assert page.post(pair, "left") == (409, {"error": f"there is no comparison 400 in {RUN}"})
    missing = "0" * 64
    status, content, _ = page.request("GET", f"/clips/{missing}")
    assert status == 503 and f"no segment {missing}" in content["error"]


@pytest.mark.parametrize(
    ("status", "wanted", "says"),
    [
        ("running", 13, "its next comparisons appear here by themselves"),
        ("running", 12, "the run has asked for all that it wanted. Training goes on, and no more will come."),
        ("finished", 12, "The run has finished: no more will come."),
        ("finished", 13, "The run has finished: no more will come."),
        ("crashed", 13, f"The run has stopped (crashed). More will come once it goes on: repro resume {RUN}"),
        ("interrupted", 12, "stopped (interrupted), and had asked for all that it wanted: no more will come."),
        ("queued", 13, "The run has not begun yet."),
        (None, None, "These comparisons were saved earlier: no more will come."),
    ],
)
def test_what_will_come_is_said_as_it_is(path, status, wanted, says):
    with PreferenceStore(path) as store:
        for number in range(12):
            store.add_label(RUN, number, "incomparable" if number else "left", "ben", 1.0, 0)
    with serving(make_task(path, wanted=wanted, situation=lambda: Situation(status, 0, waits=True))) as page:
        work = page.work()
    assert work["pairs"] == [] and work["waits"] is False and work["status"] == status and says in work["outlook"]


def test_training_that_waits_is_told_while_there_is_something_to_label(path):
    with serving(make_task(path, situation=lambda: Situation("running", 0, waits=True))) as page:
        assert page.work()["waits"] is True
    with serving(make_task(path)) as page:
        assert page.work()["waits"] is False


def test_comparisons_that_somebody_else_looks_at_may_still_come(tmp_path):
    with serving(make_task(fill(tmp_path / "preferences.db", 2), wanted=2)) as page:
        assert len(page.work("ben")["pairs"]) == 2
        work = page.work("anna")
    assert work["pairs"] == [] and work["waits"] is False
    assert work["outlook"] == "Somebody else is looking at what is left (2). It appears here if they do not answer it."
