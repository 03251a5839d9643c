"""Read the records of finished experiments: `results/cells/` and `results/curves/`.

A cell is one experiment at one seed. Its evaluation lies in `results/cells/<experiment>/seed-<n>.json`,
the metrics of the run behind it in `results/curves/<experiment>/seed-<n>.jsonl`; those of an ablation one level
lower, in `<experiment>/<ablation>/`. A video of segments may lie beside the models, in `models/`. All are written by
the pipeline only, so what is read here does not depend on `runs/`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from repro.config.base import FiniteFloat, NonNegativeFloat, NonNegativeInt, PositiveInt, Record, parse_record
from repro.reading import UserError
from repro.tracking.metrics import read_metrics

Rows = list[dict[str, Any]]
Columns = tuple[NDArray[np.float64], ...]  # of equal length, a row each rollout

MOST_ROWS = 200  # of a curve; so many steps has the grid of a mean curve too
REMEDY = "delete the file and run `dvc repro` to make it anew"


class Score(Record):
    """True returns of one policy over the evaluation's episodes, and their score."""

    score: FiniteFloat
    return_mean: FiniteFloat
    return_std: FiniteFloat
    returns_sum: FiniteFloat


class Evaluation(Record):
    """Full episodes from fixed starts."""

    episodes: PositiveInt
    seed: NonNegativeInt
    code_hash: str | None = None  # of the code that evaluated, where the writer records it
    sampled: Score
    greedy: Score
    random: Score
    optimal: Score


class Cell(Record):
    """The evaluation of one experiment at one seed, and the run it came from."""

    experiment: str
    ablation: str | None = None  # None: the whole method
    seed: NonNegativeInt
    run: str
    code_hash: str
    params_hash: str | None = None  # as they were resolved at launch, where the writer records it
    dirty: bool
    env_steps: NonNegativeInt
    labels: NonNegativeInt | None  # None: trained without preferences
    wall_seconds: NonNegativeFloat  # of training
    tuning_runs: NonNegativeInt | None = None  # on other than final seeds before it, where the writer counted them
    judged: Literal["sampled", "greedy"]
    success_score: FiniteFloat
    evaluation: Evaluation

    @property
    def judged_score(self) -> Score:
        return self.evaluation.sampled if self.judged == "sampled" else self.evaluation.greedy

    @property
    def other_score(self) -> Score:
        return self.evaluation.greedy if self.judged == "sampled" else self.evaluation.sampled

    @property
    def success(self) -> bool:
        return self.judged_score.score >= self.success_score

    @property
    def group(self) -> str:
        """What its seeds are summed up under: the experiment, or an ablation of it."""
        return f"{self.experiment}/{self.ablation}" if self.ablation else self.experiment

    @property
    def path(self) -> str:
        return f"results/cells/{self.group}/seed-{self.seed}.json"

    @property
    def curve_path(self) -> str:
        return f"results/curves/{self.group}/seed-{self.seed}.jsonl"

    def video_path(self, name: str) -> str:
        return f"models/{self.group}/seed-{self.seed}/{name}"


def read_cells(root: Path) -> dict[str, list[Cell]]:
    """As `find_cells`, but raises UserError also if there is none."""
    groups = find_cells(root)
    if not groups:
        raise UserError("results/cells: holds no results yet; `dvc repro` trains and evaluates every seed")
    return groups


def find_cells(root: Path) -> dict[str, list[Cell]]:
    """All cells under `root`, by `Cell.group`, in the order of names and seeds.

    Raises UserError naming the file and the key that is wrong.
    """
    folder = root / "results" / "cells"
    groups: dict[str, list[Cell]] = {}
    for path in sorted(folder.rglob("*.json")):
        shown = path.relative_to(root).as_posix()
        try:
            cell = parse_record(Cell, path.read_bytes(), shown, REMEDY)
        except OSError as error:
            raise UserError(f"{shown}: cannot be read ({error.strerror}); {REMEDY}") from None
        if cell.path != shown:
            raise UserError(f"{shown}: as its contents say, it should be {cell.path}; {REMEDY}")
        groups.setdefault(cell.group, []).append(cell)
    return {name: sorted(cells, key=lambda cell: cell.seed) for name, cells in sorted(groups.items())}


def read_curve(root: Path, cell: Cell) -> Rows | None:
    """The metrics of the cell's run, one dict per rollout, `env_step` increasing; None if there is no file.

    Of more than MOST_ROWS so many, as a plot shows no more. Raises UserError naming the file and the line at fault.
    """
    path = root / cell.curve_path
    if not path.exists():
        return None
    rows = read_metrics(path, MOST_ROWS)
    before = -1
    for number, row in enumerate(rows, start=1):
        step = row["env_step"]
        if not isinstance(step, int) or step <= before:
            raise UserError(f"{path}, line {number}: env_step: {step!r} does not follow {before}; {REMEDY}")
        before = step
    return rows


def read_video(root: Path, path: str) -> bytes:
    """A video of `Cell.video_path`. Raises UserError."""
    try:
        return (root / path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from None


def columns(rows: Rows, *names: str) -> Columns:
    """The metrics `names` of the rows in which all of them are finite numbers, each (rows,)."""
    kept = [[row[name] for name in names] for row in rows if all(_is_number(row.get(name)) for name in names)]
    return tuple(np.array(kept, dtype=np.float64).reshape(-1, len(names)).T)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # a bool is no number
