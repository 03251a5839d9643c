"""Environments: `make_envs` builds the vector environment that a configuration asks for."""

from __future__ import annotations

from repro.config import EnvConfig
from repro.envs.base import ResumableVectorEnv
from repro.envs.moving_dot import MovingDotVectorEnv


def make_envs(config: EnvConfig, num_envs: int | None = None) -> ResumableVectorEnv:
    """The vector environment of `config`, with NEXT_STEP autoreset; seed it through `reset(seed=...)`.

    Args:
        config: the `env` section of params.yaml.
        num_envs: how many copies, where it differs from `config.num_envs` (evaluation).
    """
    return MovingDotVectorEnv(
        num_envs=num_envs or config.num_envs,
        actions=config.actions,
        image_size=config.image_size,
        frame_stack=config.frame_stack,
        frame_skip=config.frame_skip,
        max_frames=config.max_frames,
    )
