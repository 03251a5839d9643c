"""Which device to compute on, said explicitly: never a silent fallback."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

import torch

from repro.config import Config
from repro.reading import UserError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt, in bytes
PREPARED_SHAPES = 64


def choose_device(name: str) -> torch.device:
    """`cpu`, `cuda` or `auto` (a GPU if there is one). Raises UserError if `cuda` is asked for and absent."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "training.device: cuda was asked for, but torch finds no GPU; find one, or set it to cpu or auto"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> str:
    """`float32`, `bfloat16`, or for `auto` one of them: bfloat16 where the hardware computes in it.

    Where it does not, bfloat16 is several times slower than float32. Results depend on it, so a run records the choice.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        flags = ""
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


def resolve_auto(config: Config) -> dict[str, Any]:
    """All parameters, as plain values, with what `auto` comes to on this machine. Raises UserError as above."""
    params = config.model_dump(mode="json")
    device = choose_device(config.training.device)
    params["training"]["device"] = device.type
    params["training"]["precision"] = choose_precision(config.training.precision, device)
    return params


def steady_memory() -> None:
    """Let this process keep what it frees for what it needs next. To be called before anything is computed.

    - glibc gives the large tensors of each minibatch back to the system, which clears their pages for the next one: a
      tenth of the time of a Nature CNN's update in float32.
    - oneDNN keeps what it has prepared for 1,024 shapes of its operands. Many shapes come once, as the rows that only
      reset are left out of minibatches, and what is kept of them lies scattered over the heap. With fewer kept, the
      memory of a run on Atari grows less.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PREPARED_SHAPES))
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(parameter, 2**30)


def resident_memory() -> float:
    """Of this process now, in MiB (on systems without /proc: its peak)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
