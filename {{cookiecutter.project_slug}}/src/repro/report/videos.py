"""Videos of a report: what the policies do, and what their reward models like. A few seeds show it, within the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.results.cells import EPISODE_VIDEO, SEGMENTS_VIDEO
from repro.results.records import Cell, read_video

SHOWN = 3  # seeds of an experiment: with the lowest, the middle and the highest score
KINDS = {  # file: title, caption
    EPISODE_VIDEO: (
        "An episode",
        "The last one that was filmed while training. Where there are more than three seeds, those with the lowest, "
        "the middle and the highest judged score.",
    ),
    SEGMENTS_VIDEO: (
        "Segments with the highest and the lowest predicted returns",
        "Of all segments that were compared in a run: those to which its reward model gives the highest returns in "
        "the end, and those to which it gives the lowest, with their true returns. What ranks highest is what the "
        "policy was trained to do.",
    ),
}


@dataclass(frozen=True)
class Film:
    """Videos of one kind."""

    title: str
    caption: str
    videos: dict[int, bytes]  # MP4, by seed
    files: list[str]


def read_films(root: Path, cells: Sequence[Cell]) -> list[Film]:
    """The videos beside the models of these cells, of one experiment; none of a kind that no cell has.

    Raises UserError if one cannot be read.
    """
    films = []
    for name, (title, caption) in KINDS.items():
        filmed = [cell for cell in cells if (root / cell.video_path(name)).exists()]
        chosen = _few(filmed)
        files = [cell.video_path(name) for cell in chosen]
        videos = {cell.seed: read_video(root, file) for cell, file in zip(chosen, files, strict=True)}
        if videos:
            films.append(Film(title, caption, videos, files))
    return films


def _few(cells: Sequence[Cell]) -> list[Cell]:
    """At most SHOWN, in the order of their seeds."""
    if len(cells) <= SHOWN:
        return list(cells)
    ranked = sorted(cells, key=lambda cell: cell.judged_score.score)
    return sorted((ranked[0], ranked[len(ranked) // 2], ranked[-1]), key=lambda cell: cell.seed)
