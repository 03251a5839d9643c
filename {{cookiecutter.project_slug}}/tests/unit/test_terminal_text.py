"""Paths, counts and times as a person reads them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from repro.terminal.text import format_count, hang, shorten, shown_path, width
from repro.tracking.durations import now, session_start, shown_time, timestamp


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "a b"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_paths_below_this_folder_are_relative_and_others_as_they_are(here):
    (here / "runs").symlink_to(here.parent)  # a larger disk
    for path, shown in (
        (here / "runs/x", "runs/x"),
        (Path("runs/x"), "runs/x"),
        (here / "..x", "..x"),
        (here, "."),
        (here.parent / "x", f"{here.parent}/x"),
        (Path("../x"), "../x"),
    ):
        assert shown_path(path) == shown


def test_paths_in_a_text_are_shortened(here):
    assert shorten(f"{here}/x: gone, '{here}/y' ({here}/z) --plot={here}/p") == "x: gone, 'y' (z) --plot=p"
    for other in (f"{here}", f"/disk{here}/x", f"{here}s/x"):
        assert shorten(other) == other


def test_counts_have_three_digits():
    counts = (999, 1000, 999_499, 999_936, 1_000_000, 999_600_000, 10**9)
    assert [format_count(count) for count in counts] == ["999", "1k", "999k", "1M", "1M", "1G", "1G"]
    assert format_count(None) == ""


def test_times():
    assert shown_time("2026-11-21T10:05:59+01:00") == "2026-11-21 10:05" and shown_time(None) == ""
    assert abs(timestamp(now()) - datetime.now().timestamp()) < 60 and datetime.fromisoformat(now()).tzinfo
    started, resumed = "2026-11-21T10:00:00+00:00", "2026-11-22T10:00:00+00:00"
    assert session_start({"started": started, "resumed": [started, resumed]}) == timestamp(resumed)
    assert session_start({"started": started, "resumed": []}) == timestamp(started)
    assert session_start({}) == 0.0


@pytest.mark.parametrize("word", ["reward", "報酬モデル", "e\u0301te\u0301", "🙂🙂"])
def test_a_broken_line_has_at_most_the_terminals_columns(word):
    first, *others = hang("seen  " + " ".join([word] * 30), 6, 40).split("\n")
    assert first.startswith(f"seen  {word}") and all(line.startswith(f"      {word}") for line in others)
    assert " ".join([first, *(line.strip() for line in others)]).count(word) == 30
    assert 24 < max(map(width, [first, *others])) <= 40


def test_a_long_word_is_not_broken():
    assert hang("at  " + "x" * 60, 4, 40).split("\n") == ["at", "    " + "x" * 60]
