"""The video of the segments that are valued highest and lowest: which they are, what is shown, where it goes."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from gym_examples import gym_config
from project import DISABLED_WANDB, write_tiny_params
from report_examples import make_results, report
from reward_examples import IMAGES, VECTORS, add_comparisons, amplify, make_model, make_segment, stacks

from repro.config import Config, load_config
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.results.cells import publish_training
from repro.results.evaluate import film_segments
from repro.session import segment_video
from repro.session.run import train_run
from repro.session.segment_video import CLIPS, IMAGE_SIZE, LINE, LOOPS, MARGIN, extremes, film_extremes
from repro.tracking.archive import RunFolder
from repro.tracking.video import SEGMENTS, video_path

RUN = "run"


class Brightness:
    """A reward model: the reward of a step is the mean of its last picture, and half of that to a second member."""

    def returns(self, segments):
        sums = [segment.observations[-len(segment) :].mean((1, 2)).sum() for segment in segments]
        return torch.tensor([sums, [value / 2 for value in sums]])

    def normalise(self, raw, steps):
        return raw - 100 * steps


def grey(level: int, steps: int = 4) -> Segment:
    """The same picture all along, of which the oldest, that the agent saw before the first step, is black."""
    frames = np.full((steps + 1, 12, 12), level, np.uint8)
    frames[0] = 0
    return Segment(frames, np.zeros(steps, int), np.full(steps, level / 100, np.float32))


@pytest.fixture
def store(tmp_path):
    with PreferenceStore(tmp_path / "preferences.db") as store:
        yield store


def ask(store, segments, run=RUN, step=100):
    for number, (left, right) in enumerate(zip(segments[::2], segments[1::2], strict=True)):
        store.add_query(run, number, left, right, step * number, "uniform")


def pictures_of(path):
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int), rate


def test_the_extremes_are_of_all_that_the_run_asked_about(store):
    levels = np.random.default_rng(0).permutation(np.arange(10, 250, 8))  # 30 of them
    ask(store, [grey(level) for level in levels])
    ask(store, [grey(255), grey(1)], run="another")
    highest, lowest = extremes(store, RUN, Brightness())
    assert [valued.segment.observations.max() for valued in highest] == [242, 234, 226, 218]
    assert [valued.segment.observations.max() for valued in lowest] == [10, 18, 26, 34]
    assert highest[0].predicted == pytest.approx(4 * 0.75 * 242 - 400)  # the mean over the members
    assert lowest[0].segment.true_return == pytest.approx(0.4)
    assert lowest[0].env_step == 100 * (list(levels).index(10) // 2)


def test_memory_holds_a_part_at_a_time_and_order_does_not_depend_on_it(store, monkeypatch):
    ask(store, [grey(level) for level in range(10, 250, 8)])
    whole = extremes(store, RUN, Brightness())
    monkeypatch.setattr(segment_video, "SEGMENTS_AT_ONCE", 7)
    for row, again in zip(whole, extremes(store, RUN, Brightness()), strict=True):
        assert [(one.segment.hash, *one[1:]) for one in row] == [(one.segment.hash, *one[1:]) for one in again]


def test_a_segment_counts_once_and_from_when_it_was_first_asked_about(store):
    bright, dark, other = grey(200), grey(50), grey(60)
    ask(store, [dark, bright, bright, other], step=7)
    highest, lowest = extremes(store, RUN, Brightness())
    assert [(valued.segment.hash, valued.env_step) for valued in highest] == [(bright.hash, 0)]  # of three, one each
    assert [valued.segment.hash for valued in lowest] == [dark.hash]


def test_nothing_is_filmed_where_nothing_was_asked(store, tmp_path):
    config = load_config(Path(__file__).parents[2] / "presets/moving-dot.yaml")
    assert extremes(store, RUN, Brightness()) == ([], [])
    assert not film_extremes(config, store, RUN, Brightness(), tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("space", [IMAGES, VECTORS], ids=["images", "vectors"])
def test_predicted_returns_are_sums_of_the_rewards_that_the_agent_gets(store, space):
    model = make_model(space)
    add_comparisons(model, space, 8)
    amplify(model)
    model.standardise()
    model.train(3)
    ask(store, [make_segment(space, seed, steps=steps) for seed, steps in enumerate((5, 5, 3, 5, 5, 2, 5, 5))])
    for valued in (*extremes(store, RUN, model)[0], *extremes(store, RUN, model)[1]):
        rewards = model.predict(stacks(space, valued.segment)[-len(valued.segment) :])
        assert valued.predicted == pytest.approx(rewards.sum(), abs=1e-4)


def test_the_highest_are_above_the_lowest_with_what_the_agent_saw(store, tmp_path):
    ask(store, [grey(level) for level in range(10, 250, 8)] + [grey(250, steps=1), grey(5, steps=8)])
    config = load_config(Path(__file__).parents[2] / "presets/moving-dot.yaml")
    path = tmp_path / "videos" / "segments.mp4"
    assert film_extremes(config, store, RUN, Brightness(), path)
    pictures, rate = pictures_of(path)
    assert rate == 8 and len(pictures) == LOOPS * (8 + 4)  # a second, and half of one
    row = LINE + IMAGE_SIZE + 3 * LINE
    assert pictures.shape[1:3] == (2 * MARGIN + 2 * row, MARGIN + CLIPS * (IMAGE_SIZE + MARGIN))

    def shown(row_number, column, picture):
        top, left = MARGIN + row_number * row + LINE, MARGIN + column * (IMAGE_SIZE + MARGIN)
        return pictures[picture][top : top + IMAGE_SIZE, left : left + IMAGE_SIZE]

    for picture in (0, 3, 11, 12):
        assert [round(shown(0, column, picture).mean()) for column in range(4)] == pytest.approx(
            [242, 234, 226, 218], abs=3
        )
        assert shown(1, 0, picture).mean() == pytest.approx(5, abs=3)
    text = pictures[0][MARGIN + LINE + IMAGE_SIZE : MARGIN + row, MARGIN : MARGIN + IMAGE_SIZE]
    assert text.min() < 90 and text.mean() > 200  # there is something written


def test_vectors_are_drawn(store, tmp_path):
    def upright(angle):
        observations = np.zeros((6, 4), np.float32)
        observations[:, 2] = angle
        return Segment(observations, np.zeros(6, int), np.zeros(6, np.float32))

    class Angle(Brightness):
        def returns(self, segments):
            return torch.tensor([[-abs(float(segment.observations[0, 2])) for segment in segments]])

    ask(store, [upright(angle) for angle in (0.0, 0.2, 0.01, 0.19)])
    config = load_config(Path(__file__).parents[2] / "presets/cartpole-preferences.yaml")
    config = config.model_copy(update={"env": gym_config("CartPole-v1")})
    assert film_extremes(config, store, RUN, Angle(), tmp_path / "a.mp4")
    pictures, _ = pictures_of(tmp_path / "a.mp4")
    half = pictures.shape[1] // 2
    best, worst = pictures[0][: half - 4], pictures[0][half : 2 * half - 4]
    assert np.abs(best[: len(worst)] - worst[: len(best)]).mean() > 2  # poles of other angles


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[RunFolder, Config]:
    folder = tmp_path_factory.mktemp("trained")
    write_tiny_params(folder / "params.yaml")
    config = load_config(folder / "params.yaml", ["training.total_steps=1024", "evaluation.video_rollouts=100"])
    run = RunFolder(folder, {"id": "run", "seed": 5})
    train_run(run, config, DISABLED_WANDB, None)
    return run, config


def test_a_run_ends_with_the_video_and_an_evaluation_makes_the_same(trained):
    run, config = trained
    path = video_path(run.path, 1024, SEGMENTS)
    before, rate = pictures_of(path)
    path.unlink()
    assert film_segments(config, run) == path
    after, same_rate = pictures_of(path)
    assert same_rate == rate and before.shape == after.shape
    assert np.abs(before - after).mean() < 0.1  # the encoder does not always write the same bytes
    true_reward = load_config(run.path / "params.yaml", ["reward.source=environment"])
    assert film_segments(true_reward, run) is None


@pytest.mark.parametrize("override", ["reward.source=environment", "evaluation.video_rollouts=0"])
def test_no_video_is_made_of_what_is_not_learned_or_not_wanted(tmp_path, override):
    write_tiny_params(tmp_path / "params.yaml")
    overrides = ["training.total_steps=1024", "evaluation.video_rollouts=100", override]
    train_run(
        RunFolder(tmp_path, {"id": "run", "seed": 5}), load_config(tmp_path / "params.yaml", overrides), DISABLED_WANDB,
        None,
    )  # fmt: skip
    assert not list(tmp_path.glob("videos/segments-*"))


def test_a_run_whose_segments_cannot_be_drawn_is_not_lost(tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise UserError("env.id: cannot be drawn here")

    monkeypatch.setattr("repro.session.run.film_extremes", broken)
    write_tiny_params(tmp_path / "params.yaml")
    config = load_config(tmp_path / "params.yaml", ["training.total_steps=1024", "evaluation.video_rollouts=100"])
    train_run(RunFolder(tmp_path, {"id": "run", "seed": 5}), config, DISABLED_WANDB, None)
    assert (tmp_path / "checkpoints/agent.pt").exists()
    note = "note: no video of the segments that are valued highest and lowest: env.id: cannot be drawn here"
    assert note in capsys.readouterr().out.splitlines()


def test_networks_are_saved_before_anything_is_filmed(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("a fault in a library that draws")

    monkeypatch.setattr("repro.session.run.film_extremes", broken)
    write_tiny_params(tmp_path / "params.yaml")
    config = load_config(tmp_path / "params.yaml", ["training.total_steps=1024", "evaluation.video_rollouts=100"])
    with pytest.raises(RuntimeError, match="a fault in a library"):
        train_run(RunFolder(tmp_path, {"id": "run", "seed": 5}), config, DISABLED_WANDB, None)
    assert {"agent.pt", "reward_model.pt"} < {file.name for file in (tmp_path / "checkpoints").iterdir()}


def test_it_goes_with_the_models_into_the_report(trained, tmp_path):
    run, config = trained
    run.record |= {"name": config.name, "ablation": None, "started": "2026-11-21T10:00:00+01:00"}
    run.record |= {"params": config.model_dump(mode="json")}
    project = make_results(tmp_path / "project")
    report(project)
    assert "<video" not in (project / "reports/report.html").read_text()
    publish_training(project, run, "moving-dot/seed-101")
    video = project / "models/moving-dot/seed-101/segments.mp4"
    assert video.read_bytes() == video_path(run.path, 1024, SEGMENTS).read_bytes()
    report(project)
    page = (project / "reports/report.html").read_text()
    assert page.count("<video") == 2 and 'src="data:video/mp4;base64,' in page and "media-src data:" in page
    assert "<figcaption>seed 101</figcaption>" in page
    table = (project / "reports/results.md").read_text()
    assert all(f"- `models/moving-dot/seed-101/{name}.mp4`" in table for name in ("episode", "segments"))
