"""Environments: `make_envs` builds the vector environment that a configuration asks for."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from repro.config import EnvConfig, GymConfig, MovingDotConfig
from repro.envs.atari import AtariVectorEnv
from repro.envs.base import ResumableVectorEnv
from repro.envs.gym import make_gym_envs
from repro.envs.moving_dot import MovingDotVectorEnv


def make_envs(
    config: EnvConfig, num_envs: int | None = None, evaluation: bool = False, render: bool = False
) -> ResumableVectorEnv:
    """The vector environment of `config`, with NEXT_STEP autoreset; seed it through `reset(seed=...)`.

    Args:
        config: the `env` section of params.yaml.
        num_envs: how many copies, where it differs from `config.num_envs` (evaluation).
        evaluation: episodes and rewards as they are scored, without what training makes of them.
        render: `render()` returns one uint8 (H, W, 3) picture an environment.

    Raises UserError if there is no such environment, or what it needs is not installed.
    """
    num_envs = num_envs or config.num_envs
    if isinstance(config, MovingDotConfig):
        return MovingDotVectorEnv(config, num_envs)
    if isinstance(config, GymConfig):
        return make_gym_envs(config, num_envs, render)
    return AtariVectorEnv(config, num_envs, evaluation, render)


def describe_environment(config: EnvConfig) -> str:
    """What segments must have in common to be compared: the environment and its observations."""
    if isinstance(config, MovingDotConfig):
        size = f"{config.image_size}x{config.image_size}x{config.frame_stack}"
        target = "({:g}, {:g})".format(*config.target)
        return f"{config.id}, {config.actions} actions, target {target}, images {size}, frame skip {config.frame_skip}"
    if isinstance(config, GymConfig):
        changes = [f"{name} {value}" for name, value in sorted(config.settings.items())]
        changes += ["fixed horizon"] if config.fixed_horizon else []
        return ", ".join([config.id, f"{config.max_steps} steps an episode", *changes])
    score = "hidden" if config.hide_score else "shown"
    images = f"images 84x84x{config.frame_stack}, frame skip {config.frame_skip}"
    return f"{config.id}, {config.protocol} protocol, {images}, score {score}"


def random_actions(envs: ResumableVectorEnv, generator: np.random.Generator) -> NDArray:
    """Uniformly random actions (N, ...)."""
    space = envs.single_action_space
    if isinstance(space, Discrete):
        return generator.integers(space.n, size=envs.num_envs)
    return generator.uniform(space.low, space.high, (envs.num_envs, *space.shape)).astype(np.float32)
