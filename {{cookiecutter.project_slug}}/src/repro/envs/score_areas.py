"""Where the games of Christiano et al. 2017 show score and lives: what is painted black when rewards are learned.

Their appendix A.2: the score is replaced by a constant black background in all seven games, as are the count of enemy
ships in BeamRider and the speedometer in Enduro. Lives and level go too where they are shown apart from
the game. One place is left: in Space Invaders the number of lives flashes in the ship's own row after each loss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Rows and columns of an observation of 84 x 84 pixels: top, bottom, left, right; bottom and right are outside.
SCORE_AREAS: dict[str, list[tuple[int, int, int, int]]] = {
    "ALE/BeamRider-v5": [(3, 12, 0, 84), (12, 17, 0, 24), (73, 77, 0, 84)],  # score and sector; enemies; lives
    "ALE/Breakout-v5": [(1, 7, 0, 84)],  # score, lives, player
    "ALE/Enduro-v5": [(63, 84, 0, 84)],  # the whole dashboard
    "ALE/Pong-v5": [(0, 9, 0, 84)],
    "ALE/Qbert-v5": [(2, 11, 0, 84)],  # score; lives
    "ALE/Seaquest-v5": [(3, 12, 0, 84)],  # score; lives
    "ALE/SpaceInvaders-v5": [(3, 9, 0, 84)],
}


def paint_black(images: NDArray[np.uint8], game: str) -> None:
    """Hide the score of `game` in images (..., 84, 84), in place."""
    for top, bottom, left, right in SCORE_AREAS[game]:
        images[..., top:bottom, left:right] = 0
