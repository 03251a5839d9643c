"""All randomness flows from one seed, through named streams: a new draw in one does not shift another."""

from __future__ import annotations

import zlib

import numpy as np
import torch


def derive_seed(seed: int, stream: str) -> int:
    """A 63-bit seed for the named stream of a run ("env", "policy", "queries" ...)."""
    state = np.random.SeedSequence([seed, zlib.crc32(stream.encode())]).generate_state(2, np.uint32)
    return int(state[0]) << 31 | int(state[1]) >> 1


def numpy_generator(seed: int, stream: str) -> np.random.Generator:
    """A numpy generator for the named stream of a run."""
    return np.random.default_rng(derive_seed(seed, stream))


def torch_generator(seed: int, stream: str, device: torch.device) -> torch.Generator:
    """A torch generator for the named stream of a run."""
    return torch.Generator(device).manual_seed(derive_seed(seed, stream))
