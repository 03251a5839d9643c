"""People who compare Atari segments see the screen in colour, score and all; the agent sees what it always sees."""

from __future__ import annotations

import dataclasses
from io import BytesIO

import numpy as np
import pytest
import torch
from atari_examples import atari_envs
from PIL import Image
from project import SOURCE
from reward_examples import IMAGES, make_segment
from test_atari import GREY, resize_by_area

from repro.asking.questions import collect_initial_labels, segments_of
from repro.config import load_config
from repro.envs.atari import SCREEN
from repro.experience.storage import Storage
from repro.labels.tasks import _copy, _queries
from repro.preferences.clips import make_clip
from repro.preferences.segments import pack, unpack
from repro.preferences.store import PreferenceStore
from repro.preflight.memory import memory_needed
from repro.reading import UserError
from repro.session import segment_video
from repro.training import make_trainer

STEPS, GAMES, LENGTH = 150, 2, 10


def play(render: bool, max_frames: int = 240) -> Storage:
    """Random play of games that end every 60 steps, with the score hidden."""
    envs = atari_envs("Pong", num_envs=GAMES, render=render, hide_score=True, max_frames=max_frames)
    storage = Storage.for_envs(envs, STEPS)
    storage.observations[-1], _ = envs.reset(seed=3)
    generator = np.random.default_rng(1)
    for step in storage.begin_rollout():
        actions = generator.integers(envs.single_action_space.n, size=GAMES)
        storage.record(step, actions, envs.step(actions))
    return storage


@pytest.fixture(scope="module")
def watched() -> Storage:
    return play(render=True)


def test_the_agent_sees_the_same_whether_people_watch_or_not(watched):
    alone = play(render=False)
    assert alone.screens is None and not (watched.done & ~watched.valid).any() and watched.done.sum() >= 2 * GAMES
    for name in ("observations", "true_rewards", "terminated", "done", "valid"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(watched, name))
    segments, others = segments_of(watched, LENGTH), segments_of(alone, LENGTH)
    assert [segment.hash for segment in segments] == [segment.hash for segment in others]
    assert all(segment.pictures for segment in segments) and not any(segment.pictures for segment in others)


def test_pictures_are_the_frames_of_the_segment_with_the_score(watched):
    segments = segments_of(watched, LENGTH)
    assert len(segments) > 20
    for segment in segments:
        pictures = unpack(segment.pictures)
        assert pictures.shape == (LENGTH, *SCREEN, 3) and pictures.dtype == np.uint8
        for picture, frame in zip(pictures, segment.observations[-LENGTH:], strict=True):
            grey = resize_by_area(np.rint(picture @ GREY))
            brighter = grey[9:] - frame[9:]
            # What moved has the brighter of each of two frames' colours, and to the agent the brighter of their greys.
            assert brighter.min() > -2 and (brighter > 2).mean() < 0.01
            assert not frame[:9].any() and grey[:9].max() > 100  # where the score is


def test_they_are_kept_for_people_and_copied_for_other_annotators(watched, tmp_path):
    left, right = segments_of(watched, LENGTH)[:2]
    with PreferenceStore(tmp_path / "one.db", "pong") as store:
        store.add_query("run", 0, left, right, 0, "uniform")
        assert store.segment(left.hash).pictures is None  # who learns does not read them
        assert store.segment(left.hash, pictures=True).pictures == left.pictures
        _copy(tmp_path / "other.db", "pong", "run", _queries(store, "run"))
        store.add_query("run", 1, make_segment(IMAGES, 0), make_segment(IMAGES, 1), 0, "uniform")
        assert store.segment(make_segment(IMAGES, 0).hash, pictures=True).pictures is None
        store.execute("UPDATE pictures SET pictures = substr(pictures, 1, 100) WHERE hash = ?", (left.hash,))
        assert store.segment(left.hash)
        with pytest.raises(UserError, match=rf"one\.db: segment {left.hash} is damaged: "):
            store.segment(left.hash, pictures=True)
    with PreferenceStore(tmp_path / "other.db", "pong") as other:
        assert other.segment(right.hash, pictures=True).pictures == right.pictures


def test_clips_show_them_as_they_are(watched):
    segment = segments_of(watched, LENGTH)[3]
    clip = make_clip(segment, None, 15)
    assert (clip.pictures, clip.height, clip.width, clip.pixelated) == (LENGTH, *SCREEN, True)
    sheet = np.asarray(Image.open(BytesIO(clip.image)).convert("RGB"))
    np.testing.assert_array_equal(sheet[: SCREEN[0], : SCREEN[1]], unpack(segment.pictures)[0])


class Darkest:
    """A reward model that prefers dark pictures."""

    def returns(self, segments):
        return torch.tensor([[-float(segment.observations.mean()) for segment in segments]])

    def normalise(self, raw, steps):
        return raw


@pytest.mark.parametrize(("missing", "size"), [(0, (*SCREEN[::-1],)), (1, (168, 168))])
def test_the_video_of_segments_has_them_if_all_do(watched, tmp_path, monkeypatch, missing, size):
    segments = segments_of(watched, LENGTH)[:8]
    segments[:missing] = [dataclasses.replace(segment, pictures=None) for segment in segments[:missing]]
    clips = []
    monkeypatch.setattr(segment_video, "_sheet", lambda rows: clips.append(rows) or np.zeros((8, 8, 3), np.uint8))
    config = load_config(SOURCE / "presets/pong-preferences.yaml")
    with PreferenceStore(tmp_path / "preferences.db") as store:
        for number in range(4):
            store.add_query("run", number, segments[2 * number], segments[2 * number + 1], 0, "uniform")
        assert segment_video.film_extremes(config, store, "run", Darkest(), tmp_path / "a.mp4")
    pictures = {clip.shape for rows in clips for row in rows for clip in row}
    assert pictures == {(size[1] + 3 * segment_video.LINE, size[0], 3)}


@pytest.mark.parametrize(("annotator", "seen"), [("person", True), ("oracle", False)])
def test_only_a_persons_clips_cost_the_trainer_a_second_emulator(tmp_path, annotator, seen):
    small = ("env.num_envs=2", "preferences.initial_labels=4", "agent.rollout_steps=64")
    config = load_config(SOURCE / "presets/pong-preferences.yaml", [*small, f"preferences.annotator={annotator}"])
    assert ("screens" in memory_needed(config)) == seen
    with PreferenceStore(tmp_path / "preferences.db") as store:
        trainer = make_trainer(config, 5, "run", store)
        assert (trainer.storage.screens is not None) == seen
        collect_initial_labels(config, 5, store, "run")
        (name, *_) = store.compared("run")
        assert bool(store.segment(name, pictures=True).pictures) == seen
        trainer.envs.close()


def test_what_was_packed_comes_back_and_damage_is_found():
    array = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
    np.testing.assert_array_equal(unpack(pack(array)), array)
    for damaged in (b"", pack(array)[:-5], b"x" + pack(array)):
        with pytest.raises(ValueError, match=r"."):
            unpack(damaged)
