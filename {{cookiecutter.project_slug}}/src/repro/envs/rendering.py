"""Pictures of environments on machines without a screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray

from repro.reading import UserError


def prepare_rendering() -> None:
    """Have pygame and MuJoCo draw into memory; what the user has set in the environment stays as it is.

    To be called after `mujoco` was imported, if it will be: told of EGL, its import fails where that is missing.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # else it greets
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("MUJOCO_GL", "egl")


def watched_rate(metadata: dict[str, Any]) -> int:
    """Steps a second at which an environment with this metadata is to be watched; 15 where it does not say."""
    return max(1, round(metadata.get("render_fps") or 15))


def draw(render: Callable[[], Iterable[object]], name: str) -> tuple[NDArray[np.uint8], ...]:
    """The pictures that `render` returns, uint8 (H, W, 3). Raises UserError if environment `name` cannot be drawn."""
    try:
        return tuple(np.asarray(picture, np.uint8) for picture in render())
    except DependencyNotInstalled as error:
        raise UserError(f"env.id: {name} cannot be drawn: {error}") from None
    except Exception as error:  # whatever graphics libraries raise
        raise UserError(
            f"env.id: {name} cannot be drawn here ({type(error).__name__}: {error}); without a screen MuJoCo needs the "
            "system's libEGL, or MUJOCO_GL=osmesa and libOSMesa; no videos are made with evaluation.video_rollouts=0"
        ) from error
