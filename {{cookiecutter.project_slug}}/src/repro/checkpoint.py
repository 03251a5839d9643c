"""Checkpoints: the whole state of a run in one file, written atomically and read without running code."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repro.files import write_atomic
from repro.reading import UserError

# What damaged files, or files of other contents, may raise on the way to a state.
_UNREADABLE = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, pickle.UnpicklingError)
_UNUSABLE = (ValueError, LookupError, TypeError, AttributeError)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the file at `path` by `state`: nested dicts and lists of tensors, arrays and plain values.

    A reader sees the old checkpoint or the new one, never half of one. Raises UserError (disk full).
    """
    write_atomic(path, checkpoint_bytes(state))


def checkpoint_bytes(state: dict[str, Any]) -> bytes:
    """The content of a checkpoint's file."""
    buffer = io.BytesIO()
    torch.save(_arrays_to_tensors(state), buffer)
    return buffer.getvalue()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, arrays as tensors, all on the CPU. Raises UserError if it is missing or damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip():  # torch itself reads on where a checksum is wrong
                raise zipfile.BadZipFile
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint") from None
    except (*_UNREADABLE, *_UNUSABLE) as error:
        raise UserError(f"{path}: not a readable checkpoint ({type(error).__name__}); start the run again") from None
    if not isinstance(state, dict):
        raise UserError(f"{path}: not a checkpoint; start the run again")
    return state


def check_algorithm_of(path: Path, state: dict[str, Any], algorithm: str) -> None:
    """Refuse, in one line, a state that the agent of another algorithm left at `path`. Raises UserError.

    Networks of two algorithms may be shaped alike. One that names none is let through.
    """
    found = state.get("algorithm", algorithm)
    if found != algorithm:
        raise UserError(
            f"{path}: holds an agent of {found}, but agent.algorithm is {algorithm}; use the parameters that it was "
            "trained with, or train again"
        )


def check_shapes(path: Path, state: Any, expected: dict[str, Any]) -> None:
    """Refuse, in one line, a state whose networks are not shaped as those of `expected`, which may lack other things.

    Both are nested as `save_checkpoint` says; `path` is where the state was read. Raises UserError.
    """
    if found := _difference(state, expected, ""):
        raise UserError(f"{path}: holds another network than the parameters describe ({found}); start the run again")


def _difference(state: Any, expected: Any, name: str) -> str | None:
    """The first tensor that is missing, unexpected or of another shape, and what is wrong with it; None if all fit."""
    if isinstance(expected, torch.Tensor):
        if not isinstance(state, torch.Tensor):
            return f"{name} is missing"
        shapes = [" x ".join(map(str, tensor.shape)) or "a number" for tensor in (state, expected)]
        return None if state.shape == expected.shape else f"{name} is {shapes[0]}, not {shapes[1]}"
    if not isinstance(expected, dict):
        return None
    parts = state if isinstance(state, dict) else {}
    below = f"{name}." if name else ""
    for key, part in expected.items():
        if found := _difference(parts.get(key), part, f"{below}{key}"):
            return found
    if expected and all(isinstance(part, torch.Tensor) for part in expected.values()):  # of one network
        return next((f"{below}{key} is too many" for key in parts if key not in expected), None)
    return None


def _arrays_to_tensors(value: Any) -> Any:
    """The same structure without numpy arrays, which the safe loader refuses."""
    if isinstance(value, dict):
        return {key: _arrays_to_tensors(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_arrays_to_tensors(item) for item in value]
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value
