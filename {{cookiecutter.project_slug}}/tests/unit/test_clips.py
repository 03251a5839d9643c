"""Clips: pictures of segments on one sheet, and vectors drawn from what was observed."""

from io import BytesIO

import gymnasium
import numpy as np
import pytest
from gym_examples import gym_config
from PIL import Image

from repro.envs.redrawing import Redrawing
from repro.preferences.clips import MAX_PICTURES, MAX_WIDTH, make_clip
from repro.preferences.segments import Segment
from repro.reading import UserError


def sheet_of(clip):
    return np.asarray(Image.open(BytesIO(clip.image)).convert("RGB"))


def picture(clip, number):
    row, column = divmod(number, clip.columns)
    return sheet_of(clip)[row * clip.height :, column * clip.width :][: clip.height, : clip.width]


def images(steps, stack=2, size=(6, 4)):
    frames = np.random.default_rng(0).integers(0, 256, (steps + stack - 1, *size), np.uint8)
    return Segment(frames, np.zeros(steps, np.int64), np.zeros(steps, np.float32))


@pytest.mark.parametrize("steps", [1, 2, 7, 25, 60])
def test_images_are_shown_as_they_are_seen_one_a_step(steps):
    segment = images(steps, stack=4)
    clip = make_clip(segment, None, 15)
    assert (clip.pictures, clip.width, clip.height, clip.pixelated) == (steps, 4, 6, True)
    for number in range(steps):
        expected = np.repeat(segment.observations[number + 3][:, :, None], 3, 2)
        np.testing.assert_array_equal(picture(clip, number), expected)


def test_clips_last_a_second_at_least_and_have_no_more_pictures_than_phones_hold():
    assert make_clip(images(30), None, 15).rate == 15
    assert make_clip(images(10), None, 50).rate == 10  # of a fifth of a second
    long = make_clip(images(1000), None, 15)
    assert long.pictures <= MAX_PICTURES
    assert long.pictures / long.rate == pytest.approx(1000 / 15)
    assert max(sheet_of(long).shape) < 16384  # what WebP can hold


def test_wide_pictures_are_made_smaller():
    segment = Segment(np.zeros((3, 4), np.float32), np.zeros(3, np.int64), np.zeros(3, np.float32))
    red = np.full((400, 600, 3), (255, 0, 0), np.uint8)
    clip = make_clip(segment, lambda observations: [red] * len(observations), 50)
    assert (clip.width, clip.height, clip.pixelated) == (MAX_WIDTH, 213, False)
    np.testing.assert_allclose(picture(clip, 2)[100, 100], (255, 0, 0), atol=8)
    with pytest.raises(ValueError, match="unless they are drawn"):
        make_clip(segment, None, 50)


@pytest.mark.parametrize(
    "name",
    ["CartPole-v1", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "FrozenLake-v1"]
    + ["CliffWalking-v1"],
)
def test_what_is_redrawn_is_what_was_there(name):
    """Pictures made from observations alone equal those that the simulator gave."""
    env = gymnasium.make(name, render_mode="rgb_array")
    redrawing = Redrawing(gym_config(name))
    observations, pictures = [env.reset(seed=3)[0]], []
    env.action_space.seed(3)
    for _ in range(12):
        observations.append(env.step(env.action_space.sample())[0])
        env.unwrapped.last_u = env.unwrapped.lastaction = None  # neither torque nor direction is observed
        pictures.append(env.render())
    if isinstance(env.observation_space, gymnasium.spaces.Discrete):
        observations = np.eye(env.observation_space.n, dtype=np.float32)[observations]
    redrawn = redrawing(np.array(observations[1:], np.float32))
    assert any((picture != pictures[0]).any() for picture in pictures) or name == "FrozenLake-v1"
    for picture, expected in zip(redrawn, pictures, strict=True):
        assert np.abs(picture.astype(int) - expected).mean() < 0.1  # float32 may move an edge by a pixel
    env.close()


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Hopper-v5", "InvertedPendulum-v5", "Ant-v5"])
def test_a_robot_is_put_where_it_was_seen_and_moves_along(name):
    pytest.importorskip("mujoco")
    env = gymnasium.make(name)
    redrawing = Redrawing(gym_config(name))
    redrawing.env.unwrapped.render = lambda: np.zeros((2, 2, 3), np.uint8)  # no graphics library is needed
    poses = []
    set_state = redrawing.env.unwrapped.set_state
    redrawing.env.unwrapped.set_state = lambda *state: (poses.append(state), set_state(*state))
    env.reset(seed=3)
    env.action_space.seed(3)
    seen, were = [], []
    for _ in range(20):
        seen.append(env.step(env.action_space.sample())[0])
        were.append((env.unwrapped.data.qpos.copy(), env.unwrapped.data.qvel.copy()))
    redrawing(np.array(seen, np.float32))
    hidden = redrawing.structure.get("skipped_qpos", 0)
    for (position, velocity), (true_position, true_velocity) in zip(poses, were, strict=True):
        np.testing.assert_allclose(position[hidden:], true_position[hidden:], atol=1e-5)
        np.testing.assert_allclose(
            velocity, np.clip(true_velocity, -10, 10) if name == "Hopper-v5" else true_velocity, atol=1e-4
        )
    if hidden:  # the way along the track, from the first picture on
        way, true_way = poses[-1][0][0] - poses[0][0][0], were[-1][0][0] - were[0][0][0]
        assert way == pytest.approx(true_way, abs=0.1)
    env.close()


def test_an_environment_whose_state_is_not_observed_is_refused():
    pytest.importorskip("mujoco")
    with pytest.raises(UserError, match=r"env\.id: Reacher-v5 cannot be drawn from its observations; say in src/repro"):
        Redrawing(gym_config("Reacher-v5"))


def test_an_environment_of_another_package_is_drawn(tmp_path, monkeypatch):
    entry = "gymnasium.envs.classic_control.cartpole:CartPoleEnv"
    register = f"import gymnasium\ngymnasium.register('Drawn-v0', entry_point='{entry}')\n"
    (tmp_path / "drawn_tasks.py").write_text(register)
    monkeypatch.syspath_prepend(tmp_path)
    observations = np.array([[0, 0, 0.1, 0], [0, 0, 0.2, 0]], np.float32)
    theirs, ours = (Redrawing(gym_config(name))(observations) for name in ("drawn_tasks:Drawn-v0", "CartPole-v1"))
    np.testing.assert_array_equal(theirs, ours)
    del gymnasium.registry["Drawn-v0"]
