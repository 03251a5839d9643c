"""The state of Gymnasium's single environments that we know inside out: for an exact resume, and to show them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.continuous_mountain_car import Continuous_MountainCarEnv
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.wrappers import OrderEnforcing
from numpy.typing import NDArray

from repro.envs.mujoco import is_mujoco


class Known(NamedTuple):
    """Where an environment keeps its state, and which state an observation (features,) is of."""

    attribute: str  # holds all that a step depends on, beside the generator
    from_observation: Callable[[NDArray], Any] | None = None  # its value; None where observations do not tell it


def _itself(observation: NDArray) -> NDArray[np.float64]:
    return observation.astype(np.float64)


def _pendulum(observation: NDArray) -> NDArray[np.float64]:
    cosine, sine, velocity = observation
    return np.array([np.arctan2(sine, cosine), velocity], np.float64)


def _acrobot(observation: NDArray) -> NDArray[np.float64]:
    cosines, sines = observation[[0, 2]], observation[[1, 3]]
    return np.array([*np.arctan2(sines, cosines), *observation[4:]], np.float64)


def _square(observation: NDArray) -> int:
    return int(observation.argmax())


KNOWN: dict[type, Known] = {  # a class derived from one of these may depend on more
    AcrobotEnv: Known("state", _acrobot),
    CartPoleEnv: Known("state", _itself),
    Continuous_MountainCarEnv: Known("state", _itself),
    MountainCarEnv: Known("state", _itself),
    PendulumEnv: Known("state", _pendulum),
    CliffWalkingEnv: Known("s", _square),
    FrozenLakeEnv: Known("s", _square),
}
# What Gymnasium's MuJoCo environments read before they simulate. It lags behind the positions by one step of the
# simulator, so that it cannot be computed again.
MUJOCO_DERIVED = ("xpos", "xipos")


def can_save(env: gymnasium.Env) -> bool:
    """Whether the functions below are exact for `env`: a class of Gymnasium's own, neither derived nor wrapped."""
    return not is_wrapped(env) and (type(env.unwrapped) in KNOWN or _of_mujoco(env))


def is_wrapped(env: gymnasium.Env) -> bool:
    """Whether wrappers stand around `env`, which may keep a state or change what is observed.

    The one that Gymnasium itself puts there does neither: it sees to it that `reset` comes first.
    """
    return (env.env if isinstance(env, OrderEnforcing) else env) is not env.unwrapped


def get_env_state(env: gymnasium.Env) -> dict[str, Any]:
    """Everything that the next steps of `env` depend on, time limits aside: arrays and plain values."""
    inner: Any = env.unwrapped
    state = _get_mujoco(inner) if _of_mujoco(env) else {"state": np.array(getattr(inner, KNOWN[type(inner)].attribute))}
    return {"generator": inner.np_random.bit_generator.state, **state}


def set_env_state(env: gymnasium.Env, state: dict[str, Any]) -> None:
    """Continue from what `get_env_state` returned."""
    env.reset(seed=0)  # wrappers want one, and what is drawn here is overwritten
    inner: Any = env.unwrapped
    inner.np_random.bit_generator.state = state["generator"]
    if _of_mujoco(env):
        _set_mujoco(inner, state)
        return
    value = np.asarray(state["state"]).copy()  # may be a tensor
    setattr(inner, KNOWN[type(inner)].attribute, value if value.ndim else value.item())


def _of_mujoco(env: gymnasium.Env) -> bool:
    return is_mujoco(type(env.unwrapped).__module__)


def _get_mujoco(env: Any) -> dict[str, Any]:
    """Positions, velocities, time, warm start and controls (MuJoCo's "integration state"), and what is derived."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    values = np.zeros(mujoco.mj_stateSize(env.model, kind))
    mujoco.mj_getState(env.model, env.data, values, kind)
    return {"integration": values} | {name: getattr(env.data, name).copy() for name in MUJOCO_DERIVED}


def _set_mujoco(env: Any, state: dict[str, Any]) -> None:
    import mujoco

    values = np.asarray(state["integration"])
    mujoco.mj_setState(env.model, env.data, values, mujoco.mjtState.mjSTATE_INTEGRATION)
    for name in MUJOCO_DERIVED:
        getattr(env.data, name)[:] = np.asarray(state[name])
