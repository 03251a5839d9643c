"""Clips: the pictures of a segment on one sheet, which a browser can step through without a decoder of its own."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from repro.preferences.segments import Segment, unpack

MAX_PICTURES = 120  # of a clip; phones hold no larger sheets
MAX_WIDTH = 320  # pixels of a picture that was drawn for people
SHORTEST_SECONDS = 1.0  # Christiano et al. 2017, section 2.2: clips last 1 to 2 seconds

Draw = Callable[[NDArray], list[NDArray]]  # observations (T, D) to T colour pictures, uint8 (H, W, 3)


@dataclass(frozen=True)
class Clip:
    """Pictures side by side and row by row in one WebP image."""

    image: bytes
    pictures: int
    columns: int
    width: int  # of a picture, in pixels
    height: int
    rate: float  # pictures a second
    pixelated: bool  # of a game, or what the agent itself sees; to be enlarged without smoothing

    def description(self) -> dict[str, int | float | bool]:
        """All but the image."""
        return {name: value for name, value in self.__dict__.items() if name != "image"}


def make_clip(segment: Segment, draw: Draw | None, frames_per_second: int) -> Clip:
    """A clip of what the actions of `segment` led to.

    Where there are pictures for people they are shown, else images as the agent sees them, one a step; vectors are
    drawn by `draw`. A clip that would be over in less than a second is slowed down. Raises what `draw` raises.
    """
    images = segment.observations.ndim > 2
    pictures = pictures_of(segment, draw, every=math.ceil(len(segment) / MAX_PICTURES))
    if not images:
        pictures = [_shrink(picture) for picture in pictures]
    height, width = pictures[0].shape[:2]
    columns = math.ceil(math.sqrt(len(pictures)))
    sheet = np.zeros((math.ceil(len(pictures) / columns) * height, columns * width, 3), np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    seconds = clip_seconds(len(segment), frames_per_second)
    return Clip(_webp(sheet, images), len(pictures), columns, width, height, len(pictures) / seconds, images)


def pictures_of(segment: Segment, draw: Draw | None, every: int = 1) -> list[NDArray[np.uint8]]:
    """What every first, second, ... action of `segment` led to, uint8 (H, W, 3) each, as `make_clip` shows it.

    Raises ValueError if that cannot be told, and what `draw` raises.
    """
    if segment.pictures:
        return list(unpack(segment.pictures)[::every])
    if segment.observations.ndim > 2:
        frames = segment.observations[-len(segment) :: every]
        return [np.repeat(frame[:, :, None], 3, axis=2) for frame in frames]
    if not draw:
        raise ValueError("vectors cannot be shown unless they are drawn")
    return draw(segment.observations)[::every]


def clip_seconds(steps: int, frames_per_second: int) -> float:
    """How long a clip of so many steps lasts."""
    return max(steps / frames_per_second, SHORTEST_SECONDS)


def _webp(sheet: NDArray[np.uint8], lossless: bool) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "WEBP", lossless=lossless, quality=50 if lossless else 90, method=1)
    return buffer.getvalue()


def _shrink(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, not wider than MAX_WIDTH."""
    from PIL import Image

    if picture.shape[1] <= MAX_WIDTH:
        return picture
    size = (MAX_WIDTH, round(picture.shape[0] * MAX_WIDTH / picture.shape[1]))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
