"""Small batches of Atari games."""

from repro.config import AtariConfig
from repro.envs import make_envs
from repro.envs.atari import AtariVectorEnv


def atari_config(game: str = "Breakout", **settings) -> AtariConfig:
    """The parameters of a game."""
    values = {
        "id": f"ALE/{game}-v5",
        "protocol": "classic",
        "num_envs": 4,
        "frame_stack": 4,
        "frame_skip": 4,
        "max_frames": 108000,
        "clip_rewards": True,
        "hide_score": False,
        "random_return": 0.0,
        "reference_return": 30.0,
    }
    return AtariConfig.model_validate(values | settings)


def atari_envs(game: str = "Breakout", evaluation: bool = False, render: bool = False, **settings) -> AtariVectorEnv:
    """The games."""
    envs = make_envs(atari_config(game, **settings), evaluation=evaluation, render=render)
    assert isinstance(envs, AtariVectorEnv)
    return envs
