"""Videos: MP4 files (H.264) that browsers, W&B and any player show, written whole or not at all.

PyAV brings its own FFmpeg, in one wheel that needs no other package; GIFs, which Pillow could write, are tens of times
as large and cannot be paused.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repro.files import write_atomic

EPISODE, SEGMENTS = "step", "segments"  # how names of videos of training begin
MAX_FRAMES = 4500  # of a video; five minutes of a game at 15 frames a second


class VideoWriter:
    """A video that is at `path` once the `with` block has been left, unless by an exception."""

    def __init__(self, path: Path, frames_per_second: int):
        self.path, self.rate = path, frames_per_second
        self.frames = 0
        self._file = io.BytesIO()

    def __enter__(self) -> VideoWriter:
        import av

        self._container = av.open(self._file, "w", format="mp4")
        self._stream = self._container.add_stream(
            "libx264", rate=self.rate, options={"crf": "23", "preset": "veryfast"}
        )
        self._stream.pix_fmt = "yuv420p"  # what browsers decode; takes even sizes only
        self._stream.thread_count = 1  # the others are training
        return self

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Append a colour picture, uint8 (height, width, 3), all of one size; those after MAX_FRAMES are left out."""
        import av

        if self.frames == MAX_FRAMES:
            return
        frame = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
        if not self.frames:
            self._stream.height, self._stream.width = frame.shape[:2]
        self.frames += 1
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
            self._container.mux(packet)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()
        if kind is None:
            self.path.parent.mkdir(exist_ok=True)
            write_atomic(self.path, self._file.getvalue())


def video_path(run_dir: Path, env_step: int, of: str = EPISODE) -> Path:
    """Where the video of an episode, or of SEGMENTS, after so many agent steps of training lies."""
    return run_dir / "videos" / f"{of}-{env_step:09}.mp4"


def videos_of_training(run_dir: Path, *kinds: str) -> list[Path]:
    """All of these kinds that lie where `video_path` says, in the order of their names."""
    return sorted(path for of in kinds for path in (run_dir / "videos").glob(f"{of}-*.mp4"))


def video_kind(path: Path) -> str:
    """What `video_path` was given: EPISODE or SEGMENTS."""
    return path.stem.partition("-")[0]


def video_step(path: Path) -> int:
    """The agent steps of training that `video_path` was given."""
    return int(path.stem.partition("-")[2])
