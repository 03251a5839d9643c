"""Pictures of Gymnasium's environments made from what was observed in them, for people who compare segments."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.config import EnvConfig, GymConfig
from repro.envs.gym import explained, find_spec, make_single
from repro.envs.mujoco import forward_warnings, is_mujoco
from repro.envs.rendering import draw, prepare_rendering, watched_rate
from repro.envs.saved_states import KNOWN, Known, is_wrapped
from repro.reading import UserError

IMAGE_RATE = 15  # steps a second of the environments that are seen as images; Christiano et al. 2017, section A.2


class Redrawing:
    """Draws segments of vectors. All calls must come from one thread, because of the graphics libraries."""

    def __init__(self, config: GymConfig):
        """Raises UserError if the environment cannot be made, drawn, or put into a state by what is observed in it."""
        settings: dict[str, Any] = {"render_mode": "rgb_array"}
        self.name = config.id
        with explained(config):
            if is_mujoco(str(find_spec(config.id).entry_point)):
                forward_warnings()
                settings |= {"width": 320, "height": 240}
            prepare_rendering()
            self.env = make_single(config, **settings)
        self.rate = watched_rate(self.env.metadata)
        self.env.reset(seed=0)
        inner: Any = self.env.unwrapped
        self.structure: dict[str, int] = getattr(inner, "observation_structure", {})  # of most of MuJoCo's
        self.known = KNOWN.get(type(inner), Known(""))
        if is_wrapped(self.env) or not (self.known.from_observation or self.structure):
            raise UserError(
                f"env.id: {config.id} cannot be drawn from its observations; say in src/repro/envs/saved_states.py how "
                "they give its state"
            )

    def __call__(self, observations: NDArray) -> list[NDArray]:
        """A colour picture of each observation (T, D), uint8 (H, W, 3)."""
        inner: Any = self.env.unwrapped
        travelled = np.zeros(self.structure.get("skipped_qpos", 0))
        pictures: list[NDArray] = []
        for observation in observations:
            if self.known.from_observation:
                setattr(inner, self.known.attribute, self.known.from_observation(observation))
            else:
                travelled += self._set_robot(inner, observation, travelled) * inner.dt
            pictures += draw(lambda: [self.env.render()], self.name)
        return pictures

    def _set_robot(self, env: Any, observation: NDArray, travelled: NDArray) -> NDArray:
        """Put a robot where it was seen. Where it is along the track is not observed, and comes from its speed there.

        Returns that speed.
        """
        positions = self.structure["qpos"]
        velocity = observation[positions : positions + self.structure["qvel"]]
        env.set_state(np.concatenate([travelled, observation[:positions]]), velocity)
        return velocity[: len(travelled)]


def drawing_for(config: EnvConfig) -> tuple[Redrawing | None, int]:
    """What draws segments, None where they are images already; and the steps a second at which they are watched.

    Raises UserError as `Redrawing`.
    """
    if not isinstance(config, GymConfig):
        return None, IMAGE_RATE
    drawing = Redrawing(config)
    return drawing, drawing.rate
