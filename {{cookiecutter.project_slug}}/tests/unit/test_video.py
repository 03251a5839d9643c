"""Videos: what was shown is what is in the file, and training does not notice that it is filmed."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from project import DISABLED_WANDB, VARYING, write_tiny_params

from repro.config import load_config
from repro.reading import UserError
from repro.session.run import train_run
from repro.tracking import video
from repro.tracking.archive import RunFolder
from repro.tracking.metrics import read_metrics
from repro.tracking.video import VideoWriter, video_path, video_step


def frames_of(path):
    """The decoded pictures, (frames, height, width, 3), and how many of them are shown in a second."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]), stream.average_rate


def pictures(count, height=64, width=48):
    """A bright square that moves to the right on a red ground."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 0] = 200
    for number, frame in enumerate(frames):
        frame[16:32, 2 * number : 2 * number + 16] = 255
    return frames


def test_the_file_shows_what_was_added(tmp_path):
    shown = pictures(12)
    with VideoWriter(tmp_path / "videos/a.mp4", 15) as film:
        for frame in shown:
            film.add(frame)
    decoded, rate = frames_of(tmp_path / "videos/a.mp4")
    assert decoded.shape == shown.shape and rate == 15
    assert np.abs(decoded.astype(int) - shown).mean() < 8
    assert [*(tmp_path / "videos").iterdir()] == [tmp_path / "videos/a.mp4"]


def test_odd_sizes_are_filled_up(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 15) as film:
        for frame in pictures(3, 33, 51):
            film.add(frame)
    decoded, _ = frames_of(tmp_path / "a.mp4")
    assert decoded.shape == (3, 34, 52, 3) and np.abs(decoded[:, -1].astype(int) - [200, 0, 0]).mean() < 12


def test_a_video_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "MAX_FRAMES", 5)
    with VideoWriter(tmp_path / "a.mp4", 15) as film:
        for frame in pictures(9):
            film.add(frame)
    assert len(frames_of(tmp_path / "a.mp4")[0]) == 5


def test_an_episode_that_fails_leaves_the_old_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")

    def broken():
        with VideoWriter(tmp_path / "a.mp4", 15) as film:
            film.add(pictures(1)[0])
            raise UserError("the network has diverged")

    with pytest.raises(UserError, match="diverged"):
        broken()
    assert [*tmp_path.iterdir()] == [tmp_path / "a.mp4"] and (tmp_path / "a.mp4").read_bytes() == b"old"


def test_paths_are_in_the_order_of_steps(tmp_path):
    steps = [0, 512, 100_000, 20_000_000, 999_999_999]
    paths = [video_path(tmp_path, step) for step in steps]
    assert sorted(paths) == paths and [video_step(path) for path in paths] == steps


def train(folder, *overrides):
    """Metrics without those of the machine, and the agent, of a run with sampled actions."""
    folder.mkdir()
    write_tiny_params(folder / "params.yaml")
    config = load_config(folder / "params.yaml", ["training.total_steps=1792", "agent.learning_rate=0.01", *overrides])
    train_run(RunFolder(folder, {"id": "run", "seed": 5}), config, DISABLED_WANDB, None)
    rows = read_metrics(folder / "metrics.jsonl")
    rows = [{name: value for name, value in row.items() if not name.startswith(VARYING)} for row in rows]
    return rows, torch.load(folder / "checkpoints/agent.pt")["network"]


def test_training_does_not_notice_that_it_is_filmed(tmp_path):
    rows, agent = train(tmp_path / "unseen")
    filmed_rows, filmed_agent = train(tmp_path / "filmed", "evaluation.video_rollouts=2")
    np.testing.assert_equal(filmed_rows, rows)
    assert all(torch.equal(filmed_agent[name], value) for name, value in agent.items())
    assert not (tmp_path / "unseen/videos").exists()
    videos = sorted((tmp_path / "filmed/videos").glob("step-*"))
    steps = [row["env_step"] for row in rows]
    assert [video_step(path) for path in videos] == [*steps[1::2], *steps[-1:]]  # each second rollout, and the last
    film, rate = frames_of(videos[0])
    assert film.shape == (51, 210, 160, 3) and rate == 15  # an episode of 50 steps, with its start
    assert [row.get("time/video", 0) > 0 for row in read_metrics(tmp_path / "filmed/metrics.jsonl")] == [
        *(False, False, True, False, True)
    ]
    assert np.abs(frames_of(videos[-1])[0].astype(int) - film).max() > 150  # another policy
    assert np.abs(film[0].astype(int) - frames_of(videos[-1])[0][0]).max() < 50  # from the same start, but for losses
