"""Segments: short stretches of behaviour that are shown in pairs and compared.

A segment of T steps holds what its actions led to (the *next* observations, on which rewards are
predicted), the actions, and the true rewards, which only oracles and evaluation may look at. Segments are of one
length, but for those that an episode ends: these are compared by their sums as they are, as after its end an episode
is worth nothing more. What the clock cut short (the end of a rollout, a time limit) is no segment: its sum says how
long it is, not how good.

Images are kept as single frames: T steps of stacks of S frames overlap in all but one frame each, so T + S - 1 frames
say it all.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from repro.files import make_folder, write_atomic
from repro.reading import UserError

# What damaged files, or files of other contents, may raise on the way to arrays.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError)
_UNUSABLE = (ValueError, KeyError, TypeError, AttributeError, MemoryError)


@dataclass(frozen=True, eq=False)
class Segment:
    """T steps of one environment, within one episode.

    observations: (T + S - 1, H, W) uint8 single frames, or (T, D) float32 vectors.
    actions: (T,) or (T, A). true_rewards: (T,) float32. pictures: what people are shown of each step, where that is
    more than is observed, uint8 (T, H, W, 3) as `pack` packs it.
    """

    observations: np.ndarray
    actions: np.ndarray
    true_rewards: np.ndarray
    pictures: bytes | None = None

    def __post_init__(self) -> None:
        steps = len(self.actions)
        if steps == 0 or len(self.true_rewards) != steps or len(self.observations) < steps:
            raise ValueError(
                f"a segment of {steps} actions cannot have {len(self.true_rewards)} rewards "
                f"and {len(self.observations)} observations"
            )

    def __len__(self) -> int:
        return len(self.actions)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that an answer may depend on: observations, actions and true rewards."""
        digest = hashlib.sha256()
        for array in (self.observations, self.actions, self.true_rewards):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def looks_like(self, other: Segment) -> bool:
        """Whether the agent saw and did the same in both. Their true rewards may differ, and with them their hashes."""
        same_sight = np.array_equal(self.observations, other.observations)
        return same_sight and np.array_equal(self.actions, other.actions)

    @property
    def true_return(self) -> float:
        """The undiscounted sum of true rewards."""
        return float(self.true_rewards.sum(dtype=np.float64))


def cut_segments(
    next_observations: np.ndarray,
    actions: np.ndarray,
    true_rewards: np.ndarray,
    valid: np.ndarray,
    done: np.ndarray,
    terminated: np.ndarray,
    length: int,
    screens: np.ndarray | None = None,
) -> list[Segment]:
    """Cut a rollout of T rows and N environments into segments of `length` steps, fewer where an episode terminates.

    next_observations: (T, N, S, H, W) uint8 stacks, or (T, N, D) float. actions: (T, N, ...).
    true_rewards: (T, N). valid: (T, N) bool, False in rows that only reset. done: (T, N) bool, True
    where the episode ended with that row; terminated: (T, N) bool, True where that was not for lack of time.
    screens: (T, N, H, W, 3) uint8, what people are to see of each row.

    Segments do not overlap, hold no reset row, and an episode's end at most as their last row. Each
    uninterrupted stretch is tiled from its start; of what is left over at its end a segment is made if the episode
    terminated there. Ordered by environment, then time. The arrays are copies: keeping a segment does not keep the
    rollout.
    """
    rows, environments = valid.shape
    segments = []
    for environment in range(environments):
        start = 0  # of the window being grown
        for row in range(rows):
            if not valid[row, environment]:
                start = row + 1
                continue
            ended = done[row, environment]
            if row + 1 - start == length or (ended and terminated[row, environment]):
                window = slice(start, row + 1)
                segments.append(
                    Segment(
                        _unstack(next_observations[window, environment]),
                        actions[window, environment].copy(),
                        true_rewards[window, environment].astype(np.float32),
                        None if screens is None else pack(screens[window, environment]),
                    )
                )
                start = row + 1
            if ended:
                start = row + 1
    return segments


def _unstack(observations: np.ndarray) -> np.ndarray:
    """(T, S, H, W) sliding stacks -> (T + S - 1, H, W) frames; vectors (T, D) are copied as they are."""
    if observations.ndim == 2:
        return observations.astype(np.float32)
    # Within an episode a stack is the one before, moved on by one frame.
    return np.concatenate([observations[0], observations[1:, -1]])


def pack(array: np.ndarray) -> bytes:
    """A compressed .npy file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return zlib.compress(buffer.getbuffer(), level=1)  # quick, and enough: most pixels are empty


def unpack(blob: bytes) -> np.ndarray:
    """The array that was packed. Raises ValueError if that is not what there is."""
    try:
        return np.lib.format.read_array(io.BytesIO(zlib.decompress(blob)), allow_pickle=False)
    except (*_UNREADABLE, *_UNUSABLE) as error:
        raise ValueError(_in_one_line(error)) from None


def to_blobs(segment: Segment) -> list[bytes]:
    """Observations, actions and true rewards as compressed .npy files, for a database."""
    return [pack(array) for array in (segment.observations, segment.actions, segment.true_rewards)]


def from_blobs(blobs: Sequence[bytes], name: str) -> Segment:
    """The segment of `to_blobs` with the hash `name`. Raises ValueError if that is not what they hold."""
    observations, actions, true_rewards = (unpack(blob) for blob in blobs)
    try:
        segment = Segment(observations, actions, true_rewards)
    except _UNUSABLE as error:
        raise ValueError(_in_one_line(error)) from None
    if segment.hash != name:
        raise ValueError("it does not match its hash")
    return segment


def save_segments(path: Path, segments: Sequence[Segment]) -> None:
    """Write all segments into one compressed npz file; the same segments give the same bytes.

    Segments may differ in length, but not in the shape and dtype of a frame, vector or action.
    The file appears whole or not at all. Raises UserError.
    """
    if not segments:
        raise UserError(f"{path}: there are no segments to save")
    arrays = {
        "observations": _join([segment.observations for segment in segments]),
        "observation_counts": np.array([len(segment.observations) for segment in segments]),
        "actions": _join([segment.actions for segment in segments]),
        "true_rewards": _join([segment.true_rewards for segment in segments]),
        "steps": np.array([len(segment) for segment in segments]),
        "hashes": np.array([segment.hash for segment in segments]),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    make_folder(path.parent)
    write_atomic(path, buffer.getvalue())


def _join(arrays: list[np.ndarray]) -> np.ndarray:
    """One array after another; another dtype is an error, as a cast would change the hash."""
    return np.concatenate(arrays, dtype=arrays[0].dtype, casting="no")


def load_segments(path: Path) -> list[Segment]:
    """Read a file of `save_segments`, checking every segment against its hash. Raises UserError."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file}
        observations = np.split(arrays["observations"], np.cumsum(arrays["observation_counts"])[:-1])
        actions = np.split(arrays["actions"], np.cumsum(arrays["steps"])[:-1])
        true_rewards = np.split(arrays["true_rewards"], np.cumsum(arrays["steps"])[:-1])
        segments = [Segment(*parts) for parts in zip(observations, actions, true_rewards, strict=True)]
        hashes = [str(name) for name in arrays["hashes"]]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (*_UNREADABLE, *_UNUSABLE) as error:
        raise UserError(f"{path}: not a complete file of segments: {_in_one_line(error)}") from None
    if hashes != [segment.hash for segment in segments]:
        raise UserError(f"{path}: damaged: its segments do not match their hashes")
    return segments


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
