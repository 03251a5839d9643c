"""Whether bfloat16 harms learning: PPO with the Nature CNN on the moving dot, trained in it and in float32.

The preset `moving-dot-true-reward` (84 x 84 pixels, true reward) as it is, but for its precision. Each
seed is trained in both precisions, with the same initial weights and environments; then 100 full episodes from fixed
starts are scored, with sampled actions as in training. Writes docs/results/bf16.md and its plot.

    PYTHONPATH=template/src python tests/benchmarks/bf16_curves.py    (about ten minutes of one core)

In an environment of a generated project, on a processor that computes in bfloat16: elsewhere it is emulated, and slow.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

ROOT = Path(__file__).resolve().parents[2]
PRESET = ROOT / "template" / "presets" / "moving-dot-true-reward.yaml"
PAGE = ROOT / "docs" / "results" / "bf16.md"
SEEDS = (100, 101, 102, 103, 104)
STEPS = 32_768
PRECISIONS = ("float32", "bfloat16")
STYLES = {"float32": "--", "bfloat16": "-"}


def train(precision: str, seed: int) -> dict:
    """One run and its evaluation: the curve of scores, the final score, seconds of processor time."""
    from repro.config import load_config
    from repro.preferences.store import PreferenceStore
    from repro.results.evaluate import evaluate
    from repro.session.run import save_agent
    from repro.training import make_trainer

    overrides = (f"training.precision={precision}", f"training.total_steps={STEPS}", "training.device=cpu")
    config = load_config(PRESET, overrides)
    before = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with PreferenceStore(folder / "preferences.db", "moving-dot") as store:
            trainer = make_trainer(config, seed, "run", store)
            rows = [row for row in trainer.rows() if "return/score" in row]
            seconds = time.process_time() - before
            save_agent(folder / "agent.pt", trainer)
        final = evaluate(config, folder / "agent.pt", ("sampled",))
    return {
        "curve": (np.array([row["env_step"] for row in rows], float), np.array([row["return/score"] for row in rows])),
        "random": final["random"]["score"],
        "score": final["sampled"]["score"],
        "seconds": seconds,
    }


def draw(found: dict[str, list[dict]]):
    """How the plot is drawn: each seed thin, means and their pointwise 95% t-intervals."""
    from repro.results.plots import Theme
    from repro.results.statistics import align_curves, curve_interval

    def learning_curves(axes: Axes, theme: Theme) -> None:
        for precision, color in zip(PRECISIONS, (theme.orange, theme.blue), strict=True):
            curves = [run["curve"] for run in found[precision]]
            for curve in curves:
                axes.plot(*curve, color=color, linestyle=STYLES[precision], linewidth=0.7, alpha=0.5)
            grid, matrix = align_curves(curves)
            mean, low, high = curve_interval(matrix)
            axes.fill_between(grid, low, high, color=color, alpha=0.18, linewidth=0)
            label = f"{precision}: mean of {len(curves)} seeds, 95% t-interval"
            axes.plot(grid, mean, color=color, linestyle=STYLES[precision], linewidth=2.2, label=label)
        axes.set_xlabel("environment steps (agent steps, all environments)")
        axes.set_ylabel("score while training (1: best)")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.legend(loc="lower right")

    return learning_curves


def page(found: dict[str, list[dict]]) -> str:
    """The page of results, in Markdown."""
    from repro.results.statistics import t_interval

    def interval(values: list[float]) -> str:
        return "{:.3f} [{:.3f}, {:.3f}]".format(*t_interval(values))

    def area(run: dict) -> float:
        return float(run["curve"][1].mean())

    seeds = " | ".join(f"seed {seed}" for seed in SEEDS)
    lines = [
        "# Learning in bfloat16 and in float32",
        "",
        "Made by `PYTHONPATH=template/src python tests/benchmarks/bf16_curves.py`. PPO with the Nature CNN on the",
        f"moving dot of 84 x 84 pixels, true reward, {STEPS:,} agent steps: the preset `moving-dot-true-reward`. Each",
        "seed was trained in both precisions, with the same initial weights. Scores are 0 for random actions and 1",
        "for the best possible; intervals are 95% t-intervals over seeds, those of differences of seeds in pairs.",
        "",
        f"| | {seeds} | final score | mean score while training | CPU seconds, median |",
        f"|{'---|' * (len(SEEDS) + 4)}",
    ]
    for precision in PRECISIONS:
        runs = found[precision]
        scores = [run["score"] for run in runs]
        lines.append(
            f"| {precision} | {' | '.join(f'{score:.3f}' for score in scores)} | {interval(scores)} | "
            f"{interval([area(run) for run in runs])} | {np.median([run['seconds'] for run in runs]):.0f} |"
        )
    pairs = list(zip(found["bfloat16"], found["float32"], strict=True))
    differences = [half["score"] - full["score"] for half, full in pairs]
    areas = [area(half) - area(full) for half, full in pairs]
    lines += [
        f"| difference | {' | '.join(f'{one:+.3f}' for one in differences)} | {interval(differences)} | "
        f"{interval(areas)} | |",
        "",
        "![Learning curves in both precisions](bf16.svg)",
        "",
        f"- A loss of more than {max(0.0, -t_interval(differences)[1]):.3f} in the final score is excluded with 97.5%"
        " confidence; a smaller one is not.",
        "- Pong, whose speed is what bfloat16 is for, takes hours here in either precision: its curve was not",
        "  measured. The network, the size of the images and the algorithm are the same; rewards as rare as Pong's are",
        "  not covered.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    from repro.device import choose_device, choose_precision
    from repro.results.plots import LIGHT, render

    if choose_precision("auto", choose_device("cpu")) != "bfloat16":
        sys.exit("error: this processor does not compute in bfloat16 (no avx512_bf16 or amx_bf16)")
    os.environ["OMP_NUM_THREADS"] = "1"
    found: dict[str, list[dict]] = {precision: [] for precision in PRECISIONS}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for seed in SEEDS:
            for precision in PRECISIONS:
                run = pool.apply(train, (precision, seed))
                found[precision].append(run)
                print(f"{precision}, seed {seed}: {run['score']:.3f}, {run['seconds']:.0f} s", file=sys.stderr)
    PAGE.with_suffix(".svg").write_bytes(render(draw(found), LIGHT, "svg"))
    PAGE.write_text(page(found))
    print(f"wrote {PAGE.relative_to(ROOT)} and its plot")


if __name__ == "__main__":
    main()
