"""Cutting rollouts into segments, unstacking and stacking images, and the packed file."""

import time

import numpy as np
import pytest
from reward_examples import stack_frames

from repro.preferences.segments import Segment, cut_segments, load_segments, save_segments
from repro.reading import UserError


def episode_rollout(rows, environments, ends, stack=4, side=6, seed=0, terminates=False):
    """A rollout as a NEXT_STEP vector environment gives it: after an end, one row that only resets.

    Frame number k of an environment is filled with random pixels; the first stack repeats the first frame.
    ends: set of (row, environment) where the episode ends, for lack of time unless it `terminates`.
    """
    generator = np.random.default_rng(seed)
    observations = np.zeros((rows, environments, stack, side, side), np.uint8)
    valid = np.ones((rows, environments), bool)
    done = np.zeros((rows, environments), bool)
    for environment in range(environments):
        frames = np.repeat(generator.integers(0, 256, (1, side, side), np.uint8), stack, axis=0)
        resetting = False
        for row in range(rows):
            new = generator.integers(0, 256, (1, side, side), np.uint8)
            frames = np.repeat(new, stack, axis=0) if resetting else np.concatenate([frames[1:], new])
            valid[row, environment] = not resetting
            observations[row, environment] = frames
            done[row, environment] = (row, environment) in ends and not resetting
            resetting = bool(done[row, environment])
    actions = generator.integers(0, 5, (rows, environments))
    rewards = np.arange(rows * environments, dtype=np.float32).reshape(rows, environments)  # tell the rows apart
    return observations, actions, rewards, valid, done, done & terminates


def random_segment(generator, steps=5, stack=4, side=6):
    return Segment(
        generator.integers(0, 256, (steps + stack - 1, side, side), np.uint8),
        generator.integers(0, 5, steps),
        generator.normal(size=steps).astype(np.float32),
    )


def assert_same(one, other):
    for name in ("observations", "actions", "true_rewards"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)


def test_segments_restack_to_the_very_observations_of_the_rollout():
    observations, actions, rewards, valid, done, terminated = episode_rollout(
        40, 3, {(11, 0), (17, 1), (18, 2), (30, 2)}
    )
    segments = cut_segments(observations, actions, rewards, valid, done, terminated, 7)
    assert len(segments) > 9
    for segment in segments:
        assert len(segment) == 7 and segment.observations.shape == (10, 6, 6)
        row, environment = divmod(int(segment.true_rewards[0]), 3)
        window = slice(row, row + 7), environment
        np.testing.assert_array_equal(stack_frames(segment.observations, 4), observations[window])
        np.testing.assert_array_equal(segment.actions, actions[window])
        np.testing.assert_array_equal(segment.true_rewards, rewards[window])


def test_segments_tile_each_stretch_and_never_cross_an_end_or_a_reset():
    # Rows 0-9 up to the end, 10 resets, 11-19: with length 5 windows 0-4, 5-9 (which ends), 11-15.
    rollout = episode_rollout(20, 1, {(9, 0)})
    assert [int(segment.true_rewards[0]) for segment in cut_segments(*rollout, 5)] == [0, 5, 11]
    # An end without a reset row after it (the episode's end is hidden) still separates: 0-9, then 10-19.
    observations, actions, rewards, _, done, terminated = rollout
    everything = np.ones((20, 1), bool)
    segments = cut_segments(observations, actions, rewards, everything, done, terminated, 6)
    assert [int(segment.true_rewards[0]) for segment in segments] == [0, 10]


def test_an_episode_that_terminates_gives_a_shorter_segment_and_one_cut_by_the_clock_none():
    """Plain CartPole: 9 to 20 steps an episode at first. Row 12 resets, 25 too; rows 26-29 are cut by the rollout."""
    ends = {(11, 0), (24, 0)}
    rollout = episode_rollout(30, 1, ends, terminates=True)
    segments = cut_segments(*rollout, 50)
    assert [segment.true_rewards.astype(int).tolist() for segment in segments] == [
        list(range(12)),
        list(range(13, 25)),
    ]
    np.testing.assert_array_equal(stack_frames(segments[1].observations, 4), rollout[0][13:25, 0])
    assert cut_segments(*episode_rollout(30, 1, ends), 50) == []
    # What is left over after whole segments is one too: 0-4, 5-9 and 10-11.
    assert [len(segment) for segment in cut_segments(*rollout, 5)] == [5, 5, 2, 5, 5, 2]


def test_segments_of_one_step_are_all_steps_but_resets():
    segments = cut_segments(*episode_rollout(20, 2, {(9, 0), (3, 1)}, terminates=True), 1)
    assert len(segments) == 38 and {len(segment) for segment in segments} == {1}
    assert segments[0].observations.shape == (4, 6, 6)


@pytest.mark.parametrize("seed", range(5))
def test_no_window_could_be_added(seed):
    generator = np.random.default_rng(seed)
    ends = {(int(row), int(env)) for row, env in generator.integers(0, [50, 4], (12, 2))}
    rollout = episode_rollout(50, 4, ends, side=2, seed=seed)
    valid, done = rollout[3:5]
    used = np.zeros_like(valid)
    for segment in cut_segments(*rollout, 6):
        for value in segment.true_rewards.astype(int):
            row, environment = divmod(value, 4)
            assert valid[row, environment] and not used[row, environment]
            used[row, environment] = True
    for row in range(50 - 5):
        for environment in range(4):
            rows = slice(row, row + 6), environment
            free = valid[rows].all() and not used[rows].any() and not done[row : row + 5, environment].any()
            assert not free


def test_segments_do_not_keep_or_follow_the_rollout():
    rollout = episode_rollout(10, 1, set())
    segment = cut_segments(*rollout, 5)[0]
    before = segment.observations.copy(), segment.actions.copy()
    for array in rollout[:3]:
        array[:] = 0
    np.testing.assert_array_equal(segment.observations, before[0])
    np.testing.assert_array_equal(segment.actions, before[1])
    assert segment.true_return == 0 + 1 + 2 + 3 + 4


def test_a_rollout_shorter_than_a_segment_gives_none():
    assert cut_segments(*episode_rollout(6, 2, set()), 7) == []


def test_vectors_and_continuous_actions():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(8, 2, 3))
    actions = generator.normal(size=(8, 2, 4)).astype(np.float32)
    never = np.zeros((8, 2), bool)
    segments = cut_segments(vectors, actions, np.zeros((8, 2)), ~never, never, never, 4)
    assert len(segments) == 4
    np.testing.assert_array_equal(segments[0].observations, vectors[:4, 0].astype(np.float32))
    assert segments[0].observations.dtype == np.float32
    np.testing.assert_array_equal(segments[3].actions, actions[4:, 1])


def test_cutting_a_rollout_of_full_size_is_quick():
    observations = np.zeros((128, 16, 4, 84, 84), np.uint8)
    flags = np.zeros((128, 16), bool)
    started = time.process_time()
    segments = cut_segments(observations, flags.astype(int), flags.astype(np.float32), ~flags, flags, flags, 25)
    assert len(segments) == 16 * 5
    assert time.process_time() - started < 0.2  # 10 ms when nothing else runs


def test_the_hash_is_of_what_is_seen_done_and_rewarded():
    segment = random_segment(np.random.default_rng(0))
    same = Segment(segment.observations.copy(), segment.actions.copy(), segment.true_rewards.copy())
    assert same.hash == segment.hash and len(segment.hash) == 64
    changed = segment.observations.copy()
    changed[2, 1, 1] ^= 1
    others = [
        Segment(changed, segment.actions, segment.true_rewards),
        Segment(segment.observations, segment.actions[::-1], segment.true_rewards),
        Segment(segment.observations, segment.actions.view(np.uint64), segment.true_rewards),
        Segment(segment.observations.reshape(8, 4, 9), segment.actions, segment.true_rewards),
        Segment(segment.observations.transpose(0, 2, 1), segment.actions, segment.true_rewards),
        Segment(segment.observations, segment.actions, segment.true_rewards + 1),
    ]
    assert len({segment.hash, *(other.hash for other in others)}) == 7
    assert segment.looks_like(same) and segment.looks_like(others[-1])
    assert not any(segment.looks_like(others[number]) for number in (0, 1, 3, 4))


def test_parts_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="5 actions cannot have 4 rewards"):
        Segment(np.zeros((5, 3), np.float32), np.zeros(5), np.zeros(4))


def test_packed_file_round_trip_is_exact_and_lengths_may_differ(tmp_path):
    generator = np.random.default_rng(1)
    segments = [random_segment(generator, steps) for steps in (5, 1, 9, 5)]
    save_segments(tmp_path / "new" / "segments.npz", segments)
    for segment, loaded in zip(segments, load_segments(tmp_path / "new" / "segments.npz"), strict=True):
        assert_same(segment, loaded)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["segments.npz"]


def test_the_same_segments_give_the_same_bytes_at_another_time(tmp_path, monkeypatch):
    segments = [random_segment(np.random.default_rng(2))]
    save_segments(tmp_path / "one.npz", segments)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2_000_000_000))
    save_segments(tmp_path / "two.npz", segments)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_segments_that_cannot_be_packed_together_are_refused(tmp_path):
    segment = random_segment(np.random.default_rng(0))
    other = Segment(segment.observations, segment.actions.astype(np.float32), segment.true_rewards)
    with pytest.raises(TypeError):
        save_segments(tmp_path / "segments.npz", [segment, other])
    with pytest.raises(UserError, match="no segments to save"):
        save_segments(tmp_path / "segments.npz", [])
    assert not (tmp_path / "segments.npz").exists()


def test_a_damaged_file_is_refused_or_harmless(tmp_path):
    """Every truncation and every flipped byte is either noticed or changes nothing that is read."""
    generator = np.random.default_rng(3)
    segments = [random_segment(generator, side=3) for _ in range(3)]
    path = tmp_path / "segments.npz"
    save_segments(path, segments)
    whole = path.read_bytes()
    for length in [0, 1, 50, *range(100, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"segments\.npz"):
            load_segments(path)
    noticed = 0
    positions = range(0, len(whole), 3)
    for position in positions:
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x41]) + whole[position + 1 :])
        try:
            loaded = load_segments(path)
        except UserError as error:
            assert "segments.npz" in str(error) and "\n" not in str(error)
            noticed += 1
        else:
            for segment, read in zip(segments, loaded, strict=True):
                assert_same(segment, read)
    assert noticed > len(positions) // 2


@pytest.mark.parametrize("name", ["observations", "actions", "true_rewards", "hashes"])
def test_contents_that_do_not_match_their_hash_are_refused(tmp_path, name):
    path = tmp_path / "segments.npz"
    save_segments(path, [random_segment(np.random.default_rng(4))])
    arrays = dict(np.load(path))
    arrays[name] = np.flip(arrays[name]) if name != "hashes" else np.array(["0" * 64])
    np.savez_compressed(path, **arrays)
    with pytest.raises(UserError, match="do not match their hashes"):
        load_segments(path)


def test_pickled_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "segments.npz"
    with pytest.raises(UserError, match="no such file"):
        load_segments(path)
    np.savez(path, observations=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(UserError, match="not a complete file of segments"):
        load_segments(path)
    np.save(tmp_path / "array.npy", np.zeros(3))
    for foreign in ((tmp_path / "array.npy").read_bytes(), b"no zip at all"):
        path.write_bytes(foreign)
        with pytest.raises(UserError, match=r"segments\.npz"):
            load_segments(path)
    np.savez(path, observations=np.zeros((3, 2)))
    with pytest.raises(UserError, match="not a complete file of segments"):
        load_segments(path)
