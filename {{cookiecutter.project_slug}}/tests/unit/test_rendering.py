"""Pictures of environments, on a machine without a screen."""

import sys

import numpy as np
import pytest
from gym_examples import gym_config, some_actions

from repro.envs import make_envs
from repro.envs.rendering import draw
from repro.reading import UserError


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_each_environment_gives_a_picture_that_follows_what_happens(name):
    pytest.importorskip("pygame")
    envs = make_envs(gym_config(name, num_envs=2), render=True)
    envs.reset(seed=0)
    before = [picture.copy() for picture in envs.render()]
    assert len(before) == 2 and all(one.dtype == np.uint8 and one.ndim == 3 and one.shape[2] == 3 for one in before)
    assert min(before[0].shape[:2]) >= 100 and before[0].std() > 0
    for actions in some_actions(envs, 8):
        envs.step(actions)
    assert any((one != other).any() for one, other in zip(before, envs.render(), strict=True))
    assert envs.metadata["render_fps"] > 0
    envs.close()


def test_what_is_not_installed_is_named(monkeypatch):
    envs = make_envs(gym_config("Acrobot-v1"), render=True)
    envs.reset(seed=0)
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(UserError, match=r"env.id: Acrobot-v1 cannot be drawn: pygame is not installed"):
        envs.render()


def test_graphics_that_do_not_work_are_explained_in_one_line():
    def render():
        raise RuntimeError("no OpenGL\nat all")

    with pytest.raises(UserError) as caught:
        draw(render, "Hopper-v5")
    message = str(caught.value)
    assert message.startswith("env.id: Hopper-v5 cannot be drawn here (RuntimeError: no OpenGL at all)")
    assert "evaluation.video_rollouts=0" in message
