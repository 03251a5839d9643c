"""Runs that a benchmark compares: each trained and scored in a process of its own, and kept in a file once it is done.

A benchmark that was stopped goes on with the runs that the file lacks.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from repro.config import Config

ROOT = Path(__file__).resolve().parents[2]
PRESET = ROOT / "template" / "presets" / "moving-dot.yaml"
SEEDS = (200, 201, 202, 203, 204)  # neither those that the preset was tuned on, nor its final ones


class Cell(TypedDict):
    """What is kept of a run."""

    score: float  # of full episodes, by the actions that the preset is judged by
    random: float  # score of random actions from the same starts
    labels: int
    training_steps: int  # of the agent, over all environments; without those that the initial labels cost
    seconds: float  # of the processor, for training


def options(description: str, page: Path) -> argparse.ArgumentParser:
    """The options that all such benchmarks have."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, metavar="N")
    parser.add_argument("--cells", type=Path, required=True, metavar="FILE", help="where runs that are done are kept")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="runs at a time; default: 2")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override; repeatable")
    parser.add_argument("--page", type=Path, default=page, help=f"to write; default: {page.relative_to(ROOT)}")
    return parser


def command(arguments: argparse.Namespace) -> str:
    """What makes the page again."""
    given = list(sys.argv[1:])
    for name, value in (("--cells", arguments.cells), ("--page", arguments.page)):
        given = [Path(word).name if word == str(value) else word for word in given]
        given = [f"{name}={Path(value).name}" if word == f"{name}={value}" else word for word in given]
    script = Path(sys.argv[0]).resolve().relative_to(ROOT)
    return f"PYTHONPATH=template/src python {' '.join([str(script), *given])}"


def write_page(page: Path, text: str, plot: bytes) -> None:
    """Write a page and, beside it under the same name, its plot (SVG)."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.with_suffix(".svg").write_bytes(plot)
    page.write_text(text)
    print(f"wrote {page} and its plot")


def run(main: Callable[[], None]) -> None:
    """Run the benchmark; wrong parameters end it with one line."""
    from repro.reading import UserError

    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")


def paragraph(*sentences: str) -> str:
    """Lines of a page."""
    return textwrap.fill(" ".join(sentence for sentence in sentences if sentence), 118)


def described(seeds: Sequence[int], overrides: Sequence[str]) -> str:
    """Which seeds these are to the preset, and what else is not as it is there."""
    from repro.config import load_config

    tuning = set(load_config(PRESET).seeds.tuning)
    shared = ", ".join(str(seed) for seed in seeds if seed in tuning)
    tuned = f"the preset was tuned on {shared}" if shared else "the preset was tuned on none of them"
    changed = f" Overridden: {', '.join(f'`{one}`' for one in overrides)}." if overrides else ""
    return f"Seeds: {', '.join(map(str, seeds))}; {tuned}.{changed}"


def get_cells(file: Path, wanted: Mapping[str, tuple[Config, int]], at_once: int) -> dict[str, Cell]:
    """The results of the runs `wanted`: parameters and seed, by name. Those that `file` lacks are made, in this order.

    Benchmarks may share the file: a run is known by its parameters and seed. Ends the program, in one line, if the
    file is none of ours.
    """
    from repro.files import write_json

    cells = _kept(file)
    keys = {name: _key(config, seed) for name, (config, seed) in wanted.items()}
    missing = [name for name in wanted if keys[name] not in cells]
    print(f"{len(wanted) - len(missing)} of {len(wanted)} runs are in {file}", file=sys.stderr)
    file.parent.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawn, max_tasks_per_child=1) as pool:
        runs = {pool.submit(_train, *wanted[name]): name for name in missing}
        try:
            for run in as_completed(runs):
                name, cell = runs[run], run.result()
                cells[keys[name]] = cell
                write_json(file, cells)
                print(f"{name}: {cell['score']:.3f}, {cell['seconds']:.0f} s", file=sys.stderr, flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else all that were submitted would still be made
            raise
    return {name: cells[keys[name]] for name in wanted}


def _key(config: Config, seed: int) -> str:
    from repro.device import resolve_auto
    from repro.tracking.parameters import params_hash

    return f"{params_hash(resolve_auto(config))}, seed {seed}"


def _kept(file: Path) -> dict[str, Cell]:
    """The runs in the file, which need not be there yet."""
    try:
        cells = json.loads(file.read_text())
        if all(cell.keys() == Cell.__annotations__.keys() for cell in cells.values()):
            return cells
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError):
        pass
    sys.exit(f"error: --cells {file}: holds no runs of a benchmark; name another file")


def _train(config: Config, seed: int) -> Cell:
    """One run and its evaluation."""
    from repro.envs import describe_environment
    from repro.preferences.store import PreferenceStore
    from repro.results.evaluate import evaluate
    from repro.session.run import save_agent
    from repro.training import make_trainer

    before = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with PreferenceStore(folder / "preferences.db", describe_environment(config.env)) as store:
            trainer = make_trainer(config, seed, "run", store)
            *_, last = trainer.rows()
            seconds = time.process_time() - before
        save_agent(folder / "agent.pt", trainer)
        judged = config.evaluation.actions
        final = evaluate(config, folder / "agent.pt", (judged,))
    assert trainer.learning
    return {
        "score": final[judged]["score"],
        "random": final["random"]["score"],
        "labels": int(last["preferences/labels"]),
        "training_steps": trainer.env_step - trainer.learning.initial_steps,
        "seconds": seconds,
    }
