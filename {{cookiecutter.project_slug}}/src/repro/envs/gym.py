"""Any environment of Gymnasium as a vector environment with NEXT_STEP autoreset."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import DependencyNotInstalled
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from repro.config import GymConfig
from repro.envs.base import ScaledVectorEnv
from repro.envs.cartpole import NativeCartPole
from repro.envs.mujoco import fixed_horizon_settings, forward_warnings, is_mujoco
from repro.envs.rendering import draw, prepare_rendering, watched_rate
from repro.envs.saved_states import can_save, get_env_state, set_env_state
from repro.reading import UserError

CARTPOLE = ("CartPole-v0", "CartPole-v1")  # and no other name of the class, which may stand for a variant
LIST_THEM = "it lists them with: python -c 'import gymnasium; gymnasium.pprint_registry()'"
EXTRAS = {"mujoco": ".[mujoco]", "Box2D": "gymnasium[box2d]"}  # what is missing -> what pip installs


def make_gym_envs(config: GymConfig, num_envs: int, render: bool = False) -> ScaledVectorEnv:
    """The environments of `config`: a native batch of them where there is one, else one after the other.

    Raises UserError: no such environment, what it needs is not installed, settings that it does not take, or spaces
    that no agent here can use.
    """
    spec = find_spec(config.id)
    with explained(config):
        if is_mujoco(str(spec.entry_point)):
            forward_warnings()
        if render:
            prepare_rendering()
        kind = NativeCartPole if spec.id in CARTPOLE else EnvLoop
        return kind(config, num_envs, "rgb_array" if render else None)


class EnvLoop(ScaledVectorEnv):
    """Single environments stepped one after the other.

    Observations are float32 (num_envs, features): vectors as they are, discrete ones one-hot. Continuous actions are
    clipped to their bounds. The time limit is counted here, in place of Gymnasium's.
    """

    def __init__(self, config: GymConfig, num_envs: int, render_mode: str | None = None):
        settings = fixed_horizon_settings(config) if config.fixed_horizon else {}
        settings = settings | ({"render_mode": render_mode} if render_mode else {})  # not all have the argument
        self.envs = [make_single(config, **settings) for _ in range(num_envs)]
        self.num_envs, self.render_mode, self._name = num_envs, render_mode, config.id
        self.random_return, self.reference_return = config.random_return, config.reference_return
        self.max_steps, self.fixed_horizon = config.max_steps, config.fixed_horizon
        metadata = self.envs[0].metadata
        self.metadata = metadata | {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_fps": watched_rate(metadata)}
        seen = self.envs[0].observation_space
        self.single_observation_space = _vector_space(seen, config.id)
        self._one_hot = np.eye(seen.n, dtype=np.float32) if isinstance(seen, Discrete) else None
        self.single_action_space = _checked_actions(self.envs[0].action_space, config.id)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.can_save_state = can_save(self.envs[0])
        self._steps = np.zeros(num_envs, np.int64)
        self._done = np.zeros(num_envs, bool)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[NDArray, dict]:
        """Start all episodes; environment i is seeded with `seed` + i, as in Gymnasium."""
        seeds = [None if seed is None else seed + index for index in range(self.num_envs)]
        observed = [env.reset(seed=one, options=options)[0] for env, one in zip(self.envs, seeds, strict=True)]
        self._steps[:], self._done[:] = 0, False
        return self._vectors(observed), {}

    def step(self, actions: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray, dict]:
        """One agent step. Environments whose episode ended in the last step are reset instead, with reward 0."""
        space = self.single_action_space
        if isinstance(space, Box):
            actions = np.clip(actions, space.low, space.high)
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), bool)
        observed = []
        for index, env in enumerate(self.envs):
            if self._done[index]:
                observation = env.reset()[0]
            else:
                observation, rewards[index], terminated[index], truncated[index], _ = env.step(actions[index])
            observed.append(observation)
        self._steps = np.where(self._done, 0, self._steps + 1)
        truncated |= self._steps >= self.max_steps
        if self.fixed_horizon:
            terminated[:] = False
        self._done = terminated | truncated
        return self._vectors(observed), rewards, terminated, truncated, {}

    def render(self) -> tuple[NDArray[np.uint8], ...]:
        """A colour picture of each environment, uint8 (H, W, 3)."""
        return draw(lambda: [env.render() for env in self.envs], self._name)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments."""
        for env in self.envs:
            env.close()

    def get_state(self) -> dict[str, Any]:
        """Everything that the next steps depend on; only where `can_save_state`."""
        return {
            "envs": [get_env_state(env) for env in self.envs],
            "steps": self._steps.copy(),
            "done": self._done.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        for env, one in zip(self.envs, state["envs"], strict=True):
            set_env_state(env, one)
        self._steps = np.asarray(state["steps"]).copy()  # may be a tensor
        self._done = np.asarray(state["done"]).copy()

    def _vectors(self, observed: list[Any]) -> NDArray[np.float32]:
        """Observations as float32 (num_envs, features)."""
        if self._one_hot is not None:
            return self._one_hot[observed]
        return np.array(observed, np.float32)


def make_single(config: GymConfig, **settings: Any) -> gymnasium.Env:
    """One environment of `config`, without a time limit; `settings` of its constructor go before those of `config`."""
    merged: dict[str, Any] = config.settings | settings
    return gymnasium.make(config.id, max_episode_steps=-1, disable_env_checker=True, **merged)


def find_spec(name: str) -> EnvSpec:
    """What is registered under `name`, once the package before its colon, if any, is imported.

    Raises UserError: that package is not there; no such environment, with the nearest names.
    """
    package, _, registered = name.rpartition(":")
    if package:
        _import(package, name)
    try:
        return gymnasium.spec(registered)
    except gymnasium.error.Error:
        wanted = registered.rpartition("-v")[0].lower()  # the "-v1" of all says nothing
        latest = {known.rpartition("-v")[0].lower(): known for known in sorted(gymnasium.registry)}  # of each name
        near = difflib.get_close_matches(wanted, latest, n=2)
        offer = f"did you mean {' or '.join(latest[one] for one in near)}?" if near else LIST_THEM
        raise UserError(f"env.id: {name} is no environment that Gymnasium knows; {offer}") from None


def _import(package: str, name: str) -> None:
    """Import the package that registers the environment `name`. Raises UserError."""
    try:
        importlib.import_module(package)
    except (ImportError, TypeError, ValueError) as error:  # `..x` and the like are no names of packages
        missing = getattr(error, "name", None) or package
        raise UserError(
            f"env.id: {name} needs the package {missing}, which is not installed; install it, or correct its name"
        ) from None


@contextmanager
def explained(config: GymConfig) -> Iterator[None]:
    """Say in one line why the environments of `config` cannot be made. Raises UserError."""
    try:
        yield
    except (DependencyNotInstalled, ImportError) as error:
        missing = getattr(error.__cause__ or error, "name", None)
        if not missing:
            raise UserError(f"env.id: {config.id} cannot be made: {error}") from None
        install = EXTRAS.get(missing, missing)
        raise UserError(
            f"env.id: {config.id} needs {missing}, which is not installed; type: pip install '{install}'"
        ) from None
    except (TypeError, ValueError, LookupError) as error:
        if "argument 'render_mode'" in str(error):
            raise UserError(
                f"env.id: {config.id} cannot be drawn: it takes no render_mode; add it; no videos are "
                "made with evaluation.video_rollouts=0"
            ) from None
        if isinstance(error, UserError) or not config.settings:
            raise
        raise UserError(f"env.settings: {config.id} cannot be made with {config.settings}: {error}") from None


def _vector_space(space: gymnasium.Space, name: str) -> Box:
    """What agents see of the observations in `space`. Raises UserError."""
    if isinstance(space, Discrete) and space.start == 0:
        return Box(0, 1, (int(space.n),), np.float32)
    if isinstance(space, Box) and len(space.shape) == 1:
        return Box(space.low.astype(np.float32), space.high.astype(np.float32), dtype=np.float32)
    raise UserError(f"env.id: {name} has observations {space}; write one whose observations are a vector or discrete")


def _checked_actions(space: gymnasium.Space, name: str) -> Discrete | Box:
    """`space` as int64 or float32, if agents can act in it. Raises UserError."""
    if isinstance(space, Discrete) and space.start == 0:
        return Discrete(int(space.n))
    if isinstance(space, Box) and len(space.shape) == 1 and np.isfinite([space.low, space.high]).all():
        return Box(space.low.astype(np.float32), space.high.astype(np.float32), dtype=np.float32)
    raise UserError(f"env.id: {name} has actions {space}; write one whose actions are discrete or a bounded vector")
