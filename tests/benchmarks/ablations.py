"""What each part of the method is worth on the moving dot: it and every ablation, on the same seeds.

The preset `moving-dot` with queries by disagreement, as in Christiano et al. 2017: the preset itself, which asks at
random, is the ablation random-queries. Each is trained on each seed; then full episodes from fixed starts are
scored. Writes docs/results/ablations.md and its plot.

    PYTHONPATH=template/src python tests/benchmarks/ablations.py --cells build/ablations.json

In an environment of a generated project: 45 runs, of one to three minutes each. One that was stopped goes on with the
same command.
"""

from __future__ import annotations

import statistics
from functools import partial

import numpy as np
from cells import PRESET, ROOT, Cell, command, described, get_cells, options, paragraph, run, write_page

PAGE = ROOT / "docs" / "results" / "ablations.md"
WHOLE_METHOD = "preferences.queries=disagreement"

Found = dict[str, list[Cell]]  # by ablation, the whole method first: a cell for each seed


def page(found: Found, seeds: list[int], made_by: str, overrides: list[str], left_out: list[str]) -> str:
    """The page of results, in Markdown."""
    from repro.config.ablations import ABLATIONS, WHOLE
    from repro.report.ablations import difference_text
    from repro.report.content import mean_text
    from repro.results.statistics import SEEDS_FOR_INTERVAL, paired_interval

    scores = {name: [cell["score"] for cell in cells] for name, cells in found.items()}
    lines = [
        "# Ablations on the moving dot",
        "",
        f"Made by `{made_by}`.",
        "",
        paragraph(
            "The preset `moving-dot` (84 x 84 pixels, PPO, three reward models of keypoints, 700 labels of an exact",
            f"oracle) with `{WHOLE_METHOD}`, as in Christiano et al. 2017; the preset itself is the row",
            "`random-queries`. What each ablation sets is in the generated project's `docs/ablations.md`.",
            described(seeds, overrides),
        ),
        "",
        paragraph(
            "Scores are of full episodes from fixed starts, by the actions the preset is judged by: 0 is about random,",
            f"1 the best possible. In brackets: 95% t-intervals over {len(seeds)} seeds, of differences (ablation less",
            "whole method) over the pairs of seeds; in parentheses the range, where there are fewer than",
            f"{SEEDS_FOR_INTERVAL} seeds.",
        ),
        "",
        "| ablation | score | difference | agent's training steps | the paper |",
        "|---|---|---|---|---|",
    ]
    apart = []
    for name, cells in found.items():
        whole = name == WHOLE
        difference = "" if whole else difference_text(scores[name], scores[WHOLE], paired=True)
        _, low, high = paired_interval(scores[name], scores[WHOLE])
        if not whole and (low > 0 or high < 0):
            apart.append(f"`{name}` is {'better' if low > 0 else 'worse'}")
        steps = statistics.median(cell["training_steps"] for cell in cells)
        finding = "" if whole else ABLATIONS[name].finding
        called = "the whole method" if whole else f"`{name}`"
        lines.append(f"| {called} | {mean_text(scores[name])} | {difference} | {steps:,.0f} | {finding} |")
    lines += ["", "![Scores of the method and of its ablations](ablations.svg)", "", "Every seed:", ""]
    lines += [f"| ablation | {' | '.join(f'seed {seed}' for seed in seeds)} |", f"|{'---|' * (len(seeds) + 1)}"]
    for name, values in scores.items():
        called = "the whole method" if name == WHOLE else f"`{name}`"
        lines.append(f"| {called} | {' | '.join(f'{score:.3f}' for score in values)} |")
    lines.append("")
    seconds = statistics.median(cell["seconds"] for cells in found.values() for cell in cells)
    verdict = "; ".join(apart) if apart else "none differs from the whole method"
    count = len(found) - 1
    certain = (
        f"With 95% confidence for each ablation by itself: {verdict}. Of {count} comparisons some would seem to differ "
        f"with a probability of {1 - 0.95**count:.2f} where none does."
    )
    notes = [
        certain if len(seeds) >= SEEDS_FOR_INTERVAL else "So few seeds tell nothing about differences.",
        "All runs have the same number of steps. Where all labels are asked for at the start, collecting their "
        "segments leaves the agent the fewer that the table shows: part of that ablation's difference.",
        *(f"Left out: {note}." for note in left_out),
        f"A run takes {seconds:.0f} s of a core (median).",
    ]
    lines += [f"- {note}" for note in notes]
    return "\n".join(lines) + "\n"


def main() -> None:
    from repro.config import load_config
    from repro.config.ablating import chosen_ablations
    from repro.config.ablations import ALL
    from repro.report.score_plots import ablations_height, draw_ablations
    from repro.results.plots import LIGHT, render

    arguments = options(__doc__, PAGE).parse_args()
    seeds = sorted(set(arguments.seeds))
    configs, left_out = chosen_ablations(load_config(PRESET, [WHOLE_METHOD, *arguments.set]), [ALL])
    wanted = {f"{name}, seed {seed}": (config, seed) for seed in seeds for name, config in configs.items()}
    cells = get_cells(arguments.cells, wanted, arguments.at_once)
    found = {name: [cells[f"{name}, seed {seed}"] for seed in seeds] for name in configs}
    plot = partial(
        draw_ablations,
        names=list(found),
        scores=[np.array([cell["score"] for cell in group]) for group in found.values()],
        random=statistics.fmean(cell["random"] for group in found.values() for cell in group),
    )
    text = page(found, seeds, command(arguments), arguments.set, left_out)
    write_page(arguments.page, text, render(plot, LIGHT, "svg", ablations_height(len(found))))


if __name__ == "__main__":
    run(main)
