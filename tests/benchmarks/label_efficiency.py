"""How many labels the moving dot takes, with and without queries by the ensemble's disagreement.

The preset `moving-dot` as it is, but for `preferences.total_labels`, of which the initial ones stay a quarter, and for
`preferences.queries`. Each seed is trained with each number of labels, in both ways; then full episodes from fixed
starts are scored. Writes docs/results/label-efficiency.md and its plot.

    PYTHONPATH=template/src python tests/benchmarks/label_efficiency.py --cells build/label-efficiency.json

In an environment of a generated project: 50 runs, of one to three minutes each. One that was stopped goes on with
the same command.
"""

from __future__ import annotations

import statistics
import sys

import numpy as np
from cells import PRESET, ROOT, Cell, command, described, get_cells, options, paragraph, run, write_page
from matplotlib.axes import Axes

PAGE = ROOT / "docs" / "results" / "label-efficiency.md"
LABELS = (44, 88, 175, 350, 700)
QUERIES = {"uniform": "at random", "disagreement": "by disagreement"}
INITIAL_SHARE = 0.25  # of the labels, from the untrained policy (Christiano et al. 2017, A.1)

Found = dict[str, dict[int, list[Cell]]]  # by `preferences.queries`, then by number of labels: a cell for each seed


def draw(found: Found):
    """How the plot is drawn: each seed, and means with their intervals, by number of labels."""
    from repro.results.plots import Theme, label_levels, legend_above
    from repro.results.statistics import spread, spread_name

    def scores_by_labels(axes: Axes, theme: Theme) -> None:
        looks = (("uniform", theme.orange, "D", "--", 0.97), ("disagreement", theme.blue, "o", "-", 1.03))
        for queries, color, marker, line, aside in looks:
            groups = {labels: [cell["score"] for cell in cells] for labels, cells in found[queries].items()}
            places = np.array(list(groups)) * aside  # side by side, on an axis of powers
            for place, scores in zip(places, groups.values(), strict=True):
                axes.plot([place] * len(scores), scores, marker, color=color, markersize=3.5, alpha=0.45)
            mean, low, high = np.array([spread(scores) for scores in groups.values()]).T
            seeds = len(next(iter(groups.values())))
            bars = None if seeds == 1 else [mean - low, high - mean]
            label = f"{QUERIES[queries]}: mean, {spread_name(seeds)} (n={seeds})"
            axes.errorbar(
                places, mean, bars, color=color, linestyle=line, marker=marker, markersize=6, capsize=3, label=label
            )
        random = statistics.fmean(cell["random"] for cells in found["uniform"].values() for cell in cells)
        levels = {1.0: "best", 0.9: "0.9", random: "random"}
        for level in levels:
            axes.axhline(level, color=theme.faint, linestyle=":", linewidth=1.1, zorder=1)
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(found["uniform"]), [str(labels) for labels in found["uniform"]])
        axes.minorticks_off()
        axes.set_xlabel("labels (comparisons answered)")
        axes.set_ylabel("score (1: best possible)")
        label_levels(axes, theme, levels)
        legend_above(axes, columns=1)

    return scores_by_labels


def page(found: Found, seeds: list[int], made_by: str, overrides: list[str]) -> str:
    """The page of results, in Markdown."""
    from repro.report.ablations import difference_text
    from repro.report.content import mean_text
    from repro.results.statistics import SEEDS_FOR_INTERVAL, paired_interval, spread

    def scores(queries: str, labels: int) -> list[float]:
        return [cell["score"] for cell in found[queries][labels]]

    numbers = list(found["uniform"])
    every = [cell for groups in found.values() for cells in groups.values() for cell in cells]
    lines = [
        "# Labels and score on the moving dot",
        "",
        f"Made by `{made_by}`.",
        "",
        paragraph(
            "The preset `moving-dot` (84 x 84 pixels, PPO, three reward models of keypoints, an exact oracle) as it",
            "is, but for the number of labels, of which the initial ones are a quarter, and for which segments are",
            "compared: at random, or those pairs of ten times as many on which the ensemble disagrees most (Christiano",
            "et al. 2017, 2.2.4; the initial ones are drawn at random in both cases).",
            described(seeds, overrides),
        ),
        "",
        paragraph(
            "Scores are of full episodes from fixed starts, by the actions the preset is judged by: 0 is about random,",
            f"1 the best possible. In brackets: 95% t-intervals over {len(seeds)} seeds, of differences over the pairs",
            f"of seeds; in parentheses the range, where there are fewer than {SEEDS_FOR_INTERVAL} seeds. All runs have",
            "the same number of steps; more of them train the agent where fewer go into collecting initial segments.",
        ),
        "",
        "| labels | at random | by disagreement | difference | agent's training steps |",
        "|---|---|---|---|---|",
    ]
    apart = []
    for labels in numbers:
        uniform, informed = scores("uniform", labels), scores("disagreement", labels)
        _, low, high = paired_interval(informed, uniform)
        if len(seeds) >= SEEDS_FOR_INTERVAL and (low > 0 or high < 0):
            apart.append(f"at {labels} labels disagreement is {'better' if low > 0 else 'worse'}")
        steps = statistics.median(cell["training_steps"] for group in found.values() for cell in group[labels])
        lines.append(
            f"| {labels} | {mean_text(uniform)} | {mean_text(informed)} | "
            f"{difference_text(informed, uniform, paired=True)} | {steps:,.0f} |"
        )
    lines += ["", "![Score by number of labels, both ways of asking](label-efficiency.svg)", "", "Every seed:", ""]
    lines += [f"| labels | queries | {' | '.join(f'seed {seed}' for seed in seeds)} |", f"|{'---|' * (len(seeds) + 2)}"]
    for labels in numbers:
        for queries, called in QUERIES.items():
            shown = " | ".join(f"{score:.3f}" for score in scores(queries, labels))
            lines.append(f"| {labels} | {called} | {shown} |")
    lines.append("")
    for queries, called in QUERIES.items():
        enough = [labels for labels in numbers if spread(scores(queries, labels))[0] >= 0.9]
        reached = "none of these numbers has a mean score of 0.9 or more"
        if enough:
            reached = f"{min(enough)} labels are the fewest with a mean score of 0.9 or more"
        lines.append(f"- Queries {called}: {reached}.")
    if len(seeds) < SEEDS_FOR_INTERVAL:
        lines.append("- So few seeds tell nothing about the difference between the two.")
    else:
        verdict = "; ".join(apart) if apart else "at none of these numbers are the two apart"
        lines.append(f"- With 95% confidence at each number by itself: {verdict}.")
    lines.append(f"- A run takes {statistics.median(cell['seconds'] for cell in every):.0f} s of a core (median).")
    return "\n".join(lines) + "\n"


def main() -> None:
    from repro.config import load_config
    from repro.results.plots import LIGHT, render

    parser = options(__doc__, PAGE)
    parser.add_argument("--labels", type=int, nargs="+", default=LABELS, metavar="N")
    arguments = parser.parse_args()
    seeds, numbers = sorted(set(arguments.seeds)), sorted(set(arguments.labels))
    if numbers[0] < 4:
        sys.exit(f"error: --labels {numbers[0]}: a quarter of them are the initial ones; give 4 or more")

    def config(labels: int, queries: str):
        initial = round(INITIAL_SHARE * labels)
        return load_config(
            PRESET,
            [
                *arguments.set,
                f"preferences.total_labels={labels}",
                f"preferences.initial_labels={initial}",
                f"preferences.queries={queries}",
            ],
        )

    wanted = {
        f"{labels} labels, {queries}, seed {seed}": (config(labels, queries), seed)
        for seed in seeds
        for labels in numbers
        for queries in QUERIES
    }
    cells = get_cells(arguments.cells, wanted, arguments.at_once)
    found = {
        queries: {labels: [cells[f"{labels} labels, {queries}, seed {seed}"] for seed in seeds] for labels in numbers}
        for queries in QUERIES
    }
    text = page(found, seeds, command(arguments), arguments.set)
    write_page(arguments.page, text, render(draw(found), LIGHT, "svg"))


if __name__ == "__main__":
    run(main)
