"""The state of Gymnasium's single environments, for an exact resume of those that we know inside out."""

from __future__ import annotations

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
from gymnasium.wrappers import OrderEnforcing

# The attribute that holds all that a step depends on, beside the generator.
ATTRIBUTES: dict[type, str] = {
    AcrobotEnv: "state",
    CartPoleEnv: "state",
    Continuous_MountainCarEnv: "state",
    MountainCarEnv: "state",
    PendulumEnv: "state",
    CliffWalkingEnv: "s",
    FrozenLakeEnv: "s",
}
# What Gymnasium's MuJoCo environments read before they simulate. It lags behind the positions by one step of the
# simulator, so that it cannot be computed again.
MUJOCO_DERIVED = ("xpos", "xipos")


def can_save(env: gymnasium.Env) -> bool:
    """Whether the functions below are exact for `env`: a class of Gymnasium's own, neither derived nor wrapped."""
    return not is_wrapped(env) and (type(env.unwrapped) in ATTRIBUTES or _is_mujoco(env))


def is_wrapped(env: gymnasium.Env) -> bool:
    """Whether wrappers stand around `env`, which may keep a state or change what is observed.

    The one that Gymnasium itself puts there does neither: it sees to it that `reset` comes first.
    """
    return (env.env if isinstance(env, OrderEnforcing) else env) is not env.unwrapped


def get_env_state(env: gymnasium.Env) -> dict[str, Any]:
    """Everything that the next steps of `env` depend on, time limits aside: arrays and plain values."""
    inner: Any = env.unwrapped
    state = _get_mujoco(inner) if _is_mujoco(env) else {"state": np.array(getattr(inner, ATTRIBUTES[type(inner)]))}
    return {"generator": inner.np_random.bit_generator.state, **state}


def set_env_state(env: gymnasium.Env, state: dict[str, Any]) -> None:
    """Continue from what `get_env_state` returned."""
    env.reset(seed=0)  # wrappers want one, and what is drawn here is overwritten
    inner: Any = env.unwrapped
    inner.np_random.bit_generator.state = state["generator"]
    if _is_mujoco(env):
        _set_mujoco(inner, state)
        return
    value = np.asarray(state["state"]).copy()  # may be a tensor
    setattr(inner, ATTRIBUTES[type(inner)], value if value.ndim else value.item())


def _is_mujoco(env: gymnasium.Env) -> bool:
    return type(env.unwrapped).__module__.startswith("gymnasium.envs.mujoco.")


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
