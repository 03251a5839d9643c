"""A video of the segments that a reward model values highest and lowest, of all that its run asked about.

These are of the whole of training, from the untrained policy on, so that they differ as much as anything that the model
has seen; episodes of the final policy all look alike. Where the order is not that of the true returns, or what is
valued highly is not what was wanted, the model is wrong, and the policy will have used it.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from repro.config import Config
from repro.preferences.clips import Draw, clip_seconds, pictures_of
from repro.preferences.reward_model import RewardModel
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.tracking.video import VideoWriter

CLIPS = 4  # of the highest predicted returns, and as many of the lowest
MAX_PICTURES = 30  # of a clip
LOOPS = 3  # a second is over too soon
SEGMENTS_AT_ONCE = 256  # in memory
IMAGE_SIZE, DRAWN_SIZE = 168, 224  # pixels, width of a clip: at most of images, and of what is drawn from vectors
MARGIN, LINE = 8, 21  # pixels
PAPER, INK, FAINT = (255, 255, 255), (36, 41, 47), (89, 99, 110)


class Valued(NamedTuple):
    """A segment, and what is written under it."""

    segment: Segment
    predicted: float  # return, in the unit that the agent was trained on
    env_step: int  # when it was first asked about


def film_extremes(config: Config, store: PreferenceStore, run: str, model: RewardModel, path: Path) -> bool:
    """Write the video to `path`. Returns False, and writes nothing, if the run has asked about too few segments.

    Raises UserError if they cannot be drawn.
    """
    from repro.envs.redrawing import drawing_for

    highest, lowest = extremes(store, run, model)
    if not lowest:
        return False
    draw, rate = drawing_for(config.env)
    chosen = [valued.segment for valued in (*highest, *lowest)]
    if not all(segment.pictures for segment in chosen):  # as of those that were exported once: all in one size
        highest, lowest = ([_without_pictures(valued) for valued in row] for row in (highest, lowest))
    longest = max(map(len, chosen))
    every = math.ceil(longest / MAX_PICTURES)
    rows = [[_clip(valued, draw, every) for valued in row] for row in (highest, lowest)]
    count = max(len(clip) for row in rows for clip in row)
    speed = count / clip_seconds(longest, rate)
    with VideoWriter(path, max(1, round(speed))) as video:
        for number in [*range(count), *[count - 1] * math.ceil(speed / 2)] * LOOPS:  # the end stays for half a second
            video.add(_sheet([[clip[min(number, len(clip) - 1)] for clip in row] for row in rows]))
    return True


def extremes(store: PreferenceStore, run: str, model: RewardModel) -> tuple[list[Valued], list[Valued]]:
    """The segments with the highest predicted returns, and those with the lowest: CLIPS each, fewer if there are few.

    The most extreme ones come first; no segment is among both.
    """
    asked = store.compared(run)
    names = list(asked)
    parts = [np.zeros(0)]
    for first in range(0, len(names), SEGMENTS_AT_ONCE):
        segments = [store.segment(name) for name in names[first : first + SEGMENTS_AT_ONCE]]
        lengths = torch.tensor([len(segment) for segment in segments])
        parts.append(model.normalise(model.returns(segments), lengths).mean(0).numpy())
    predicted = np.concatenate(parts)
    order = np.argsort(predicted, kind="stable")
    count = min(CLIPS, len(order) // 2)

    def valued(chosen: NDArray) -> list[Valued]:
        return [Valued(store.segment(names[i], pictures=True), float(predicted[i]), asked[names[i]]) for i in chosen]

    return valued(order[::-1][:count]), valued(order[:count])


def _without_pictures(valued: Valued) -> Valued:
    return valued._replace(segment=dataclasses.replace(valued.segment, pictures=None))


def _clip(valued: Valued, draw: Draw | None, every: int) -> list[NDArray[np.uint8]]:
    """The pictures of a segment, with what there is to say under each."""
    from PIL import Image

    segment = valued.segment
    pictures = [Image.fromarray(picture) for picture in pictures_of(segment, draw, every)]
    width, smoothed = DRAWN_SIZE, Image.Resampling.LANCZOS
    if not draw:  # pixels stay squares of one size
        width, smoothed = max(1, IMAGE_SIZE // pictures[0].width) * pictures[0].width, Image.Resampling.NEAREST
    height = round(pictures[0].height * width / pictures[0].width)
    predicted, true = (round(value, 1) + 0.0 for value in (valued.predicted, segment.true_return))  # no -0.0
    texts = (f"predicted {predicted}", f"true {true}", f"at step {valued.env_step:,}")
    below = np.concatenate([_text(text, width, INK if row < 2 else FAINT) for row, text in enumerate(texts)])
    return [np.concatenate([np.asarray(picture.resize((width, height), smoothed)), below]) for picture in pictures]


def _sheet(rows: list[list[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """One picture of the video: clips side by side, the highest above the lowest."""
    parts = []
    for title, row in zip(("highest predicted return", "lowest predicted return"), rows, strict=True):
        padded = [np.pad(clip, ((0, 0), (0, MARGIN), (0, 0)), constant_values=255) for clip in row]
        clips = np.concatenate(padded, axis=1)
        parts += [_text(title, clips.shape[1], INK), clips]
    return np.pad(np.concatenate(parts), ((MARGIN, MARGIN), (MARGIN, 0), (0, 0)), constant_values=255)


def _text(text: str, width: int, color: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A line of text, uint8 (LINE, width, 3)."""
    from PIL import Image, ImageDraw, ImageFont

    line = Image.new("RGB", (width, LINE), PAPER)
    ImageDraw.Draw(line).text((0, 2), text, fill=color, font=ImageFont.load_default(13))
    return np.asarray(line)
