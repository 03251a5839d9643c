"""Which device to compute on, and how precisely: what was asked for, never something else in its place.

A GPU that is not there is refused. bfloat16 is not: where the hardware does not compute in it, it takes longer.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from repro.config import Config
from repro.reading import UserError


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
    """`float32`, `bfloat16`, or for `auto` one of them: bfloat16 where a GPU or an x86 processor computes in it.

    On other processors it was not tried. What is asked for by name is not checked: where the hardware does not compute
    in it, bfloat16 is several times slower than float32. Results depend on it, so a run records the choice.
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


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """In which matrix products and convolutions are of that precision. Of float32 it is nothing, and costs nothing."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def resolve_auto(config: Config) -> dict[str, Any]:
    """All parameters, as plain values, with what `auto` comes to on this machine. Raises UserError as above."""
    params = config.model_dump(mode="json")
    device = choose_device(config.training.device)
    params["training"]["device"] = device.type
    params["training"]["precision"] = choose_precision(config.training.precision, device)
    return params
