"""What the plots show, read back from their axes, and the bytes they are rendered to."""

from __future__ import annotations

import io
import itertools
import re
import subprocess
import sys
from functools import partial
from xml.etree import ElementTree

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from repro.report import predicted_plot, reward_plots, score_plots
from repro.report.recolouring import for_dark_pages
from repro.results import plots
from repro.results.records import Columns
from repro.results.statistics import t_interval

STEPS = np.arange(1_000.0, 50_000.0, 1_000.0)


def curves(*seeds: int) -> dict[int, Columns]:
    return {seed: (STEPS, 1 - np.exp(-STEPS / 1e4) - 0.05 * seed) for seed in seeds}


def drawn(draw: plots.Draw) -> Axes:
    axes = Figure(layout="constrained").add_subplot()
    draw(axes, plots.LIGHT)
    axes.figure.canvas.draw()
    return axes


def bands(axes: Axes) -> list[PolyCollection]:
    return [artist for artist in axes.collections if isinstance(artist, PolyCollection)]


def learning_curves(*seeds: int) -> plots.Draw:
    return partial(score_plots.draw_learning_curves, curves=curves(*seeds), random=0.02, success=0.85)


@pytest.mark.parametrize("seeds", [(0, 1, 4), (0, 1, 2, 4, 6)])
def test_every_seed_the_mean_and_its_interval_or_range_are_drawn(seeds: tuple[int, ...]) -> None:
    axes = drawn(learning_curves(*seeds))
    lines = [line.get_ydata() for line in axes.lines]
    for _, values in curves(*seeds).values():
        assert any(np.array_equal(line, values) for line in lines)

    (mean,) = (line for line in axes.lines if line.get_label() == f"mean, n={len(seeds)}")
    last = [values[-1] for _, values in curves(*seeds).values()]
    expected_mean, low, high = t_interval(last)
    if len(seeds) == 3:
        low, high = min(last), max(last)
    assert mean.get_ydata()[-1] == pytest.approx(expected_mean)
    (band,) = bands(axes)
    assert band.get_label() == ("range" if len(seeds) == 3 else "95% t-interval")
    vertices = band.get_paths()[0].vertices
    at_the_end = vertices[vertices[:, 0] == STEPS[-1], 1]
    assert (at_the_end.min(), at_the_end.max()) == pytest.approx((low, high))


def test_random_success_and_optimal_are_drawn_and_named() -> None:
    axes = drawn(learning_curves(0, 1))
    levels = [line.get_ydata()[0] for line in axes.lines if line.get_label().startswith("_child")]
    assert {0.02, 0.85, 1.0} <= set(levels)
    assert [text.get_text() for text in axes.texts] == ["random", "success 0.85", "best known"]


def test_one_seed_has_no_band_and_says_so() -> None:
    axes = drawn(learning_curves(0))
    assert not bands(axes)
    assert "one seed (n=1)" in [line.get_label() for line in axes.lines]


def test_seeds_without_common_steps_are_drawn_without_a_mean() -> None:
    apart = {0: (np.array([1.0, 2.0]), np.array([0.1, 0.2])), 1: (np.array([3.0, 4.0]), np.array([0.3, 0.4]))}
    axes = drawn(partial(score_plots.draw_learning_curves, curves=apart, random=0.0, success=0.85))
    assert not bands(axes)
    assert {len(line.get_xdata()) for line in axes.lines} == {2}


def test_a_single_point_is_visible() -> None:
    point = {0: (np.array([100.0]), np.array([0.5]))}
    axes = drawn(partial(score_plots.draw_learning_curves, curves=point, random=0.0, success=0.85))
    assert axes.lines[0].get_marker() == "o"


@pytest.mark.parametrize("success", [0.85, 0.99, 1.0])
def test_names_of_levels_do_not_overlap(success: float) -> None:
    axes = drawn(partial(score_plots.draw_learning_curves, curves=curves(0, 1), random=0.97, success=success))
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    for lower, upper in itertools.pairwise(boxes):
        assert lower.y1 - upper.y0 < 0.25 * lower.height  # the boxes hold room for descenders


def seed_scores(n: int) -> plots.Draw:
    judged, other = np.linspace(0.8, 0.95, n), np.linspace(0.7, 0.9, n)
    return partial(
        score_plots.draw_seed_scores,
        seeds=list(range(n)),
        scores=(judged, other),
        names=("sampled (judged)", "greedy"),
        random=0.02,
        success=0.85,
    )


def test_seed_scores_show_both_kinds_of_action_and_their_means() -> None:
    axes = drawn(seed_scores(3))
    points = {line.get_label(): line.get_xdata() for line in axes.lines}
    np.testing.assert_allclose(points["sampled (judged)"], [0.8, 0.875, 0.95])
    np.testing.assert_allclose(points["greedy"], [0.7, 0.8, 0.9])
    bars = [container.lines[0].get_xdata()[0] for container in axes.containers]
    assert bars == pytest.approx([0.875, 0.8])
    assert [label.get_text() for label in axes.get_yticklabels()][:3] == ["seed 0", "seed 1", "seed 2"]


def test_seed_scores_of_one_seed_have_no_interval() -> None:
    axes = drawn(seed_scores(1))
    assert not axes.containers
    assert [label.get_text() for label in axes.get_yticklabels()] == ["seed 0 (n=1)"]


def test_reward_model_shows_training_and_held_out_accuracy() -> None:
    found = {seed: (steps, values, values - 0.1) for seed, (steps, values) in curves(0, 1).items()}
    axes = drawn(partial(reward_plots.draw_accuracies, found=found))
    labels = [line.get_label() for line in axes.lines]
    assert {"training: mean, n=2", "held out: mean, n=2"} <= set(labels)
    assert len(bands(axes)) == 2


def test_the_legend_of_two_groups_of_one_seed_is_no_wider_than_the_plot() -> None:
    with matplotlib.rc_context(plots._style(plots.LIGHT)):
        axes = Figure(figsize=(plots.WIDTH, plots.HEIGHT), layout="constrained").add_subplot()
        ((seed, (steps, values)),) = curves(0).items()
        reward_plots.draw_accuracies(axes, plots.LIGHT, {seed: (steps, values, values)})
        axes.figure.canvas.draw()
    assert axes.get_legend().get_window_extent().x1 <= axes.figure.bbox.x1


def test_losses_stand_beside_chance_and_the_lowest_possible() -> None:
    steps = np.arange(20.0)
    losses = {seed: (steps, np.full(20, 0.3), np.full(20, 0.4 + seed / 100), np.full(20, 0.2)) for seed in (0, 1)}
    axes = drawn(partial(reward_plots.draw_losses, losses=losses))
    assert {text.get_text() for text in axes.texts} == {"lowest\npossible", "chance"}
    levels = {float(line.get_ydata()[0]) for line in axes.lines if len(set(line.get_ydata())) == 1}
    assert {0.2, 0.3, float(np.log(2))} <= levels and axes.get_ylim()[0] == 0


def test_the_ratio_of_losses_shows_the_band_of_the_paper() -> None:
    ratios = {0: (np.arange(20.0), np.linspace(1, 2, 20))}
    axes = drawn(partial(reward_plots.draw_loss_ratio, ratios=ratios))
    (band,) = (patch for patch in axes.patches if patch.get_height() == pytest.approx(0.4))
    assert band.get_y() == pytest.approx(1.1)


def points(level: float, slope: float) -> Columns:
    true = np.linspace(0, 1, 20)
    return np.arange(20.0), true + level, slope * true + level


def test_correlation_is_taken_within_seeds() -> None:
    # Pooled, the two levels would correlate by more than .9.
    found = predicted_plot.correlations({0: points(0, -1), 1: points(10, -1)})
    assert found == pytest.approx({0: -1, 1: -1})
    assert predicted_plot.correlation_text({0: points(0, -1), 1: points(10, 1)}) == (
        "correlation within a seed: median 0.00 (-1.00 to 1.00, n=2)"
    )


def test_correlation_that_is_undefined_is_called_so() -> None:
    constant = points(0, 0)
    two = tuple(column[:2] for column in points(0, 1))
    assert predicted_plot.correlations({0: constant, 1: two}) == {}
    assert "undefined" in predicted_plot.correlation_text({0: constant, 1: two})


def test_predicted_return_is_coloured_by_step() -> None:
    axes = drawn(partial(predicted_plot.draw_predicted_return, points={0: points(0, 1), 1: points(1, 1)}))
    dots = axes.collections[0]
    assert len(dots.get_offsets()) == 40
    np.testing.assert_array_equal(dots.get_array(), np.tile(np.arange(20.0), 2))
    assert "correlation" in axes.get_title(loc="left")


def test_png_has_the_promised_size_and_no_transparency() -> None:
    image = matplotlib.image.imread(io.BytesIO(plots.render(learning_curves(0, 1), plots.LIGHT, "png")))
    assert image.shape[:2] == (plots.HEIGHT * 200, plots.WIDTH * 200)
    assert (image[..., 3] == 1).all()


@pytest.mark.parametrize("theme", [plots.LIGHT, plots.DARK])
def test_svg_is_one_image_without_dates_or_scripts(theme: plots.Theme) -> None:
    svg = plots.render(learning_curves(0, 1), theme, "svg").decode()
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert "path" in tags
    assert not tags & {"script", "image", "date"}
    assert theme.background in svg


@pytest.mark.parametrize("form", ["png", "svg"])
def test_bytes_depend_on_nothing_but_the_input(form: str) -> None:
    first = plots.render(learning_curves(0, 1), plots.LIGHT, form)
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "svg.hashsalt": None}):
        assert plots.render(learning_curves(0, 1), plots.LIGHT, form) == first
        assert matplotlib.rcParams["font.size"] == 30  # the caller's settings are left alone
    assert plots.render(learning_curves(0, 2), plots.LIGHT, form) != first


def test_a_figure_is_laid_out_once_for_all_its_forms() -> None:
    png, svg = plots.render_forms(learning_curves(0, 1), plots.LIGHT, ("png", "svg"))
    assert svg == plots.render(learning_curves(0, 1), plots.LIGHT, "svg")
    assert png == plots.render(learning_curves(0, 1), plots.LIGHT, "png")


@pytest.mark.parametrize(
    "draw",
    [learning_curves(0, 1), partial(predicted_plot.draw_predicted_return, points={0: points(0, 1), 1: points(1, 1)})],
)
def test_exchanged_colours_are_those_of_a_plot_drawn_for_dark_pages(draw: plots.Draw) -> None:
    exchanged, dark = for_dark_pages(plots.render(draw, plots.LIGHT, "svg")), plots.render(draw, plots.DARK, "svg")
    # Names within the file are hashes of what they name, colours included.
    one, other = (re.sub(rb"\b[mpC][0-9a-f_]{10,}\b", b"name", svg) for svg in (exchanged, dark))
    assert one == other


def test_pyplot_stays_out() -> None:
    program = (
        "import sys, numpy as np; from repro.report import score_plots; from repro.results import plots\n"
        "c = {0: (np.arange(3.), np.arange(3.))}\n"
        "plots.render(lambda axes, theme: score_plots.draw_learning_curves(axes, theme, c, 0, 1), plots.DARK, 'png')\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
