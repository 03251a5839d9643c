"""Plots of how a reward model did while it and the agent learned: accuracy, losses, agreement with the truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from repro.preferences.regularisation import LOSS_RATIO
from repro.results.plots import Theme, draw_group, label_levels, legend_above, step_axis
from repro.results.records import Columns

CHANCE_LOSS = float(np.log(2))  # nats; of a model that gives both segments of every comparison the same chance


def draw_accuracies(axes: Axes, theme: Theme, found: Mapping[int, Columns]) -> None:
    """Share of comparisons the reward model orders as the annotator did; every seed, means, intervals.

    `found`: seed -> (env steps, of those learned from, of those held out).
    """
    _draw_learned_and_held_out(axes, theme, found)
    axes.axhline(0.5, color=theme.faint, linestyle=":", linewidth=1.1, zorder=1.5)
    step_axis(axes)
    axes.set_ylabel("accuracy on comparisons")
    lowest = min(accuracies.min() for _, *both in found.values() for accuracies in both)
    axes.set_ylim(min(0.45, lowest - 0.03), 1.02)
    label_levels(axes, theme, {0.5: "chance"})
    legend_above(axes, columns=2)


def draw_losses(axes: Axes, theme: Theme, losses: Mapping[int, Columns]) -> None:
    """Cross-entropy on labels learned from and held out, and the least that these labels allow.

    `losses`: seed -> (env steps, training, validation, lowest possible).
    """
    _draw_learned_and_held_out(axes, theme, losses)
    floors = np.concatenate([floor for *_, floor in losses.values()])
    for steps, _, _, floor in losses.values():
        axes.plot(steps, floor, color=theme.faint, linestyle=":", linewidth=1.1, zorder=1.5)
    step_axis(axes)
    axes.set_ylabel("cross-entropy (nats)")
    axes.axhline(CHANCE_LOSS, color=theme.faint, linestyle="--", linewidth=1.1, zorder=1.5)
    axes.set_ylim(0, max(axes.get_ylim()[1], 1.05 * CHANCE_LOSS))
    label_levels(axes, theme, {float(floors[-1]): "lowest\npossible", CHANCE_LOSS: "chance"})
    legend_above(axes, columns=2)


def draw_loss_ratio(axes: Axes, theme: Theme, ratios: Mapping[int, Columns]) -> None:
    """Validation by training loss, with the band in which the paper holds it. `ratios`: seed -> (env steps, ratios)."""
    draw_group(axes, list(ratios.values()), theme.blue, "-", "")
    axes.axhspan(*LOSS_RATIO, color=theme.orange, alpha=0.15, linewidth=0, zorder=1)
    axes.axhline(1, color=theme.faint, linestyle=":", linewidth=1.1, zorder=1.5)
    step_axis(axes)
    axes.set_ylabel("validation / training loss")
    label_levels(axes, theme, {1.0: "1", sum(LOSS_RATIO) / 2: "paper"})
    legend_above(axes)


def draw_correlations(axes: Axes, theme: Theme, found: Mapping[int, Columns]) -> None:
    """Pearson's r of predicted and true rewards, of segments and of steps. `found`: seed -> (env steps, r, r)."""
    draw_group(axes, [(steps, segments) for steps, segments, _ in found.values()], theme.blue, "-", "segments: ")
    draw_group(axes, [(steps, single) for steps, _, single in found.values()], theme.orange, "--", "steps: ")
    axes.axhline(0, color=theme.faint, linestyle=":", linewidth=1.1, zorder=1.5)
    step_axis(axes)
    axes.set_ylabel("correlation with the true reward")
    axes.set_ylim(min(-0.05, axes.get_ylim()[0]), 1.02)
    legend_above(axes, columns=2)


def draw_disagreement(axes: Axes, theme: Theme, found: Mapping[int, Columns]) -> None:
    """Standard deviation of rewards over the members of the ensemble. `found`: seed -> (env steps, deviations)."""
    draw_group(axes, list(found.values()), theme.blue, "-", "")
    step_axis(axes)
    axes.set_ylabel("disagreement of the ensemble")
    axes.set_ylim(bottom=0)
    legend_above(axes)


def _draw_learned_and_held_out(axes: Axes, theme: Theme, found: Mapping[int, Columns]) -> None:
    """`found`: seed -> (env steps, of labels learned from, of labels held out, ...)."""
    draw_group(axes, [(steps, learned) for steps, learned, *_ in found.values()], theme.orange, "--", "training: ")
    draw_group(axes, [(steps, held_out) for steps, _, held_out, *_ in found.values()], theme.blue, "-", "held out: ")
