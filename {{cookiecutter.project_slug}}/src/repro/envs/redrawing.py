"""Pictures of Gymnasium's environments made from what was observed in them, for people who compare segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.continuous_mountain_car import Continuous_MountainCarEnv
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from numpy.typing import NDArray

from repro.config import EnvConfig, GymConfig
from repro.envs.gym import explained, find_spec
from repro.envs.mujoco import forward_warnings
from repro.envs.rendering import draw, prepare_rendering, watched_rate
from repro.envs.saved_states import is_wrapped
from repro.reading import UserError

IMAGE_RATE = 15  # steps a second of the environments that are seen as images; Christiano et al. 2017, section A.2

Restore = Callable[[Any, NDArray], None]  # puts an environment into the state in which this was observed


def _angle(cosine: float, sine: float) -> float:
    return float(np.arctan2(sine, cosine))


def _set_state(env: Any, observation: NDArray) -> None:
    env.state = observation.astype(np.float64)


def _set_pendulum(env: Any, observation: NDArray) -> None:
    cosine, sine, velocity = observation
    env.state, env.last_u = np.array([_angle(cosine, sine), velocity]), None  # no arrow of the torque


def _set_acrobot(env: Any, observation: NDArray) -> None:
    env.state = np.array([_angle(*observation[:2]), _angle(*observation[2:4]), *observation[4:]])


def _set_square(env: Any, observation: NDArray) -> None:
    env.s = int(observation.argmax())


RESTORE: dict[type, Restore] = {
    AcrobotEnv: _set_acrobot,
    CartPoleEnv: _set_state,
    Continuous_MountainCarEnv: _set_state,
    MountainCarEnv: _set_state,
    PendulumEnv: _set_pendulum,
    CliffWalkingEnv: _set_square,
    FrozenLakeEnv: _set_square,
}


class Redrawing:
    """Draws segments of vectors. All calls must come from one thread, because of the graphics libraries."""

    def __init__(self, config: GymConfig):
        """Raises UserError if the environment cannot be made, drawn, or put into a state by what is observed in it."""
        settings: dict[str, Any] = dict(config.settings)
        self.name = config.id
        with explained(config):
            if str(find_spec(config.id).entry_point).startswith("gymnasium.envs.mujoco"):
                forward_warnings()
                settings |= {"width": 320, "height": 240}
            prepare_rendering()
            settings |= {"render_mode": "rgb_array"}
            self.env = gymnasium.make(config.id, max_episode_steps=-1, disable_env_checker=True, **settings)
        self.rate = watched_rate(self.env.metadata)
        self.env.reset(seed=0)
        inner: Any = self.env.unwrapped
        self.structure: dict[str, int] = getattr(inner, "observation_structure", {})  # of most of MuJoCo's
        self.restore = RESTORE.get(type(inner))
        if is_wrapped(self.env) or not (self.restore or self.structure):
            raise UserError(
                f"env.id: {config.id} cannot be drawn from its observations; say in src/repro/envs/redrawing.py how "
                "they give its state"
            )

    def __call__(self, observations: NDArray) -> list[NDArray]:
        """A colour picture of each observation (T, D), uint8 (H, W, 3)."""
        inner: Any = self.env.unwrapped
        travelled = np.zeros(self.structure.get("skipped_qpos", 0))
        pictures: list[NDArray] = []
        for observation in observations:
            if self.restore:
                self.restore(inner, observation)
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
