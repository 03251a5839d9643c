"""Predictions against outcomes as text and as a plot."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.accounts.calibration import ENOUGH_RUNS, Bin, Calibration, next_question, question_yaml
from repro.reading import UserError
from repro.results.proportions import wilson_interval
from repro.terminal.tables import Column, format_table, wrap
from repro.terminal.text import counted, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from repro.results.plots import Theme

BAR = 31  # characters from 0% to 100%
NAMED = 5  # runs that are listed
SIDE = 4.2  # inches of the plot


def format_calibration(found: Calibration, asked: Collection[str], width: int | None) -> str:
    """All of `repro ledger --predictions`; `asked` are the ids of the checklist's questions."""
    parts = [wrap(_scores(found), width), _reliability(found.bins, width), wrap(_foreseen(found), width)]
    parts += [_causes(found, width), _next(found, asked, width), wrap(_open(found), width)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def write_reliability_plot(path: Path, found: Calibration) -> None:
    """Draw predicted probability against share that failed, as PNG or SVG, light and dark. Raises UserError."""
    from repro.results.plots import plot_form, write_plots

    plot_form(path)  # raises for one that will not do
    if not found.bins:
        raise UserError(f"--plot {path}: there is nothing to draw; no run with a prediction is closed yet")
    write_plots(path, lambda axes, theme: draw_reliability(axes, theme, found), SIDE)


def draw_reliability(axes: Axes, theme: Theme, found: Calibration) -> None:
    """A point for each bin, its Wilson interval, how many runs it holds; the diagonal is perfect."""
    axes.plot([0, 1], [0, 1], color=theme.faint, linestyle=":", linewidth=1.1, zorder=1, label="perfect")
    x = [one.predicted for one in found.bins]
    y = [one.failed / one.n for one in found.bins]
    low = [share - one.interval[0] for share, one in zip(y, found.bins, strict=True)]
    high = [one.interval[1] - share for share, one in zip(y, found.bins, strict=True)]
    style: dict[str, Any] = {
        "color": theme.blue,
        "marker": "o",
        "markersize": 6,
        "capsize": 3,
        "linewidth": 1.6,
        "zorder": 3,
    }
    axes.errorbar(x, y, yerr=[low, high], linestyle="none", label="failed, 95% Wilson interval", **style)
    for one, share in zip(found.bins, y, strict=True):
        axes.annotate(
            f"n={one.n}",
            (one.predicted, share),
            xytext=(7, 6 if share < 0.9 else -13),
            textcoords="offset points",
            fontsize=9.5,
            bbox={"facecolor": theme.background, "edgecolor": "none", "pad": 1},
            zorder=2,
        )
    axes.set_xlim(-0.03, 1.08)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("predicted probability of failure (mean of a bin)")
    axes.set_ylabel("share of the runs that failed")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2)


def _scores(found: Calibration) -> list[str]:
    if found.brier is None or found.brier_base_rate is None:
        return [
            "predictions: no run that was launched with one is closed yet",
            f"Close runs with: repro close RUN. From about {ENOUGH_RUNS} on, the numbers tell something.",
        ]
    share = found.failed / found.n
    lines = [
        f"predictions: {counted(found.n, 'closed run')} ({counted(found.passes, 'prediction')}), {found.failed} failed",
        f"Brier score {found.brier:.3f}  (0 is perfect; less is better)",
        f"            {found.brier_base_rate:.3f}  always predicting {share:.0%}, as many as failed (known only now)",
        "            0.250  always predicting 50%",
    ]
    if found.n < ENOUGH_RUNS:
        lines.append(f"{counted(ENOUGH_RUNS - found.n, 'more closed run')} needed before these numbers tell much.")
    elif found.failed in (0, found.n):
        lines.append("All ended alike: whether the predictions tell failures from successes cannot be seen yet.")
    return lines


def _reliability(bins: tuple[Bin, ...], width: int | None) -> list[str]:
    if not bins:
        return []
    columns = [
        Column("predicted", [f"{one.low:.0%} to {one.high:.0%}" for one in bins], text=True),
        Column("runs", [str(one.n) for one in bins]),
        Column("mean", [f"{one.predicted:.0%}" for one in bins]),
        Column("failed", [f"{one.failed / one.n:.0%}" for one in bins]),
        Column("95% interval", [f"{one.interval[0]:.0%} to {one.interval[1]:.0%}" for one in bins], optional=1),
        Column(f"{'0%':.<{BAR - 4}}100%", [_bar(one) for one in bins], text=True),
    ]
    return [
        *format_table(columns, width),
        "o failed, = its 95% Wilson interval, | mean prediction, # both at one place",
    ]


def _bar(one: Bin) -> str:
    """A bin on a line from 0% to 100%."""

    def place(share: float) -> int:
        return round(share * (BAR - 1))

    low, high = (place(bound) for bound in one.interval)
    bar = ["=" if low <= column <= high else "." for column in range(BAR)]
    failed, predicted = place(one.failed / one.n), place(one.predicted)
    bar[failed] = "o"
    bar[predicted] = "#" if failed == predicted else "|"
    return "".join(bar)


def _foreseen(found: Calibration) -> list[str]:
    if not found.failures_judged:
        return ["failures foreseen: none has been judged yet; repro close RUN asks"] if found.failed else []
    low, high = wilson_interval(found.failures_foreseen, found.failures_judged)
    share = found.failures_foreseen / found.failures_judged
    counts = f"{found.failures_foreseen} of {found.failures_judged}"
    return [f"failures foreseen: {counts}, {share:.0%} (95% Wilson interval {low:.0%} to {high:.0%})"]


def _causes(found: Calibration, width: int | None) -> list[str]:
    if not found.causes:
        return []
    columns = [
        Column("runs", [str(len(cause.runs)) for cause in found.causes]),
        Column("foreseen", [str(cause.foreseen) for cause in found.causes]),
        Column("not foreseen", [str(cause.unforeseen) for cause in found.causes]),
        Column("not known", [str(cause.unknown) for cause in found.causes], optional=1),
        Column("cause of failure", [cause.text for cause in found.causes], text=True),
    ]
    return format_table(columns, width)


def _next(found: Calibration, asked: Collection[str], width: int | None) -> list[str]:
    question = next_question(found.causes, asked)
    if question is None:
        return []
    cause, name = question
    why = "is the most frequent cause that was not foreseen and that no question is about"
    todo = "add to questions in checklists/prelaunch.yaml, and reword it as you like:"
    return [*wrap([f"ask next: {plain(cause.text)} {why};", todo], width), "", question_yaml(cause, name)]


def _open(found: Calibration) -> list[str]:
    if not found.open_runs:
        return []
    named = plain(", ".join(found.open_runs[-NAMED:]))
    return [f"not closed: {counted(len(found.open_runs), 'run')} that ended, with a prediction; the latest: {named}"]
