"""`repro report`: tables, plots and one page from `results/`, and the results table of the README.

Of results nothing but `results/cells/`, `results/curves/` and the videos in `models/` is read, of the rest what git
tracks: `paper/`, parameters, dvc.yaml, and the code, if a preregistration froze it. So the report comes out the same in
another clone. The same results give the same bytes: no file holds the time it was written.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import gc
import io
import multiprocessing
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.progress import track

from repro.config import Config
from repro.files import make_folder, storage_error, write_atomic
from repro.machine import usable_cores
from repro.reading import UserError
from repro.report.ablations import compare_ablations
from repro.report.content import Section, make_section, make_summary
from repro.report.overview import make_overview
from repro.report.pages import html_page, markdown_page, markdown_summary
from repro.report.plots import PLOT_NAMES
from repro.report.videos import read_films
from repro.results.records import Cell, Rows, read_cells, read_curve

SEEDS_FOR_PROCESSES = 30  # from so many seeds on, processes save more time than the second that each takes to start
START, END = b"<!-- results:start -->", b"<!-- results:end -->"


@dataclass(frozen=True)
class ReportResult:
    """What `write_report` did: the files, and what a reader should be told."""

    written: list[Path]
    warnings: list[str]
    not_made: list[str]  # plots, each with the reason


def write_report(root: Path, config: Config) -> ReportResult:
    """Write `reports/` and the README's results table of the project at `root`.

    Everything is read and drawn before the first file is written, and each file is replaced whole. Plots of an earlier
    report of the same experiments that this one lacks are removed. Raises UserError if there are no results, a file is
    damaged, or the README lacks the markers of its table.

    config: params.yaml, for its claims, and its seeds.pipeline: tuning seeds of earlier do not mix with final ones.
    """
    readme = root / "README.md"
    _around_results(readme)  # a README that cannot take the table is refused before minutes of drawing
    groups, left_out = _select(read_cells(root), config)
    sections = [_with_ablations(section, groups) for section in _sections(root, groups)]
    # Of seeds for tuning nothing is to be seen here; other seeds that were run and are not shown are named.
    told = {name: [seed for seed in seeds if seed not in config.seeds.tuning] for name, seeds in left_out.items()}
    overview, summary = make_overview(root, config, groups, _notes(told)), make_summary(sections)

    reports = root / "reports"
    files = {
        reports / "results.csv": _csv(groups).encode(),
        reports / "results.md": markdown_page(overview, summary, sections).encode(),
        reports / "report.html": html_page(overview, summary, sections).encode(),
    }
    for section in sections:
        for plot in section.plots:
            files[reports / section.experiment / f"{plot.name}.png"] = plot.png
            files[reports / section.experiment / f"{plot.name}.svg"] = plot.svg
    possible = {
        reports / section.experiment / f"{name}.{form}"
        for section in sections
        for name in PLOT_NAMES
        for form in ("png", "svg")
    }
    for stale in possible - files.keys():
        try:
            stale.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(stale, error) from None
    for path, content in files.items():
        _write(path, content)
    before, after = _around_results(readme)  # as it is now: it may have been edited meanwhile
    newline = b"\r\n" if b"\r\n" in before else b"\n"
    table = markdown_summary(overview, summary, sections).encode().replace(b"\n", newline)
    _write(readme, before + 2 * newline + table + 2 * newline + after)
    return ReportResult(
        written=[*files, readme],
        warnings=[
            *_notes(left_out),
            *(f"{section.experiment}: {text}" for section in sections for text in section.warnings),
        ],
        not_made=[f"{section.experiment}: {text}" for section in sections for text in section.not_made],
    )


def _select(groups: dict[str, list[Cell]], config: Config) -> tuple[dict[str, list[Cell]], dict[str, list[int]]]:
    """The cells of the seeds that are wanted, and of each group the seeds that are left out."""
    selected, left_out = {}, {}
    for name, cells in groups.items():
        wanted = [cell for cell in cells if cell.experiment != config.name or cell.seed in config.seeds.pipeline]
        left_out[name] = [cell.seed for cell in cells if cell not in wanted]
        if wanted:
            selected[name] = wanted
    if not selected:
        raise UserError("results/cells: holds no results of the seeds in seeds.pipeline yet; make them: dvc repro")
    return selected, left_out


def _notes(left_out: Mapping[str, list[int]]) -> list[str]:
    """A line for each group of which there are some."""
    return [
        f"{name}: cells of seeds {', '.join(map(str, seeds))} are not in seeds.pipeline, and left out"
        for name, seeds in left_out.items()
        if seeds
    ]


def _sections(root: Path, groups: Mapping[str, list[Cell]]) -> Iterator[Section]:
    """All about each experiment; of many seeds, experiments are read and drawn in a process for each core."""
    make = partial(_section, root)
    shown = partial(track, description="drawing", total=len(groups), transient=True, disable=not sys.stdout.isatty())
    if sum(map(len, groups.values())) < SEEDS_FOR_PROCESSES:
        yield from shown(map(make, groups, groups.values()))
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(usable_cores(), len(groups)), spawn, initializer=gc.disable) as pool:
        yield from shown(pool.map(make, groups, groups.values()))


def _section(root: Path, experiment: str, cells: list[Cell]) -> Section:
    judged = {cell.judged: cell.path for cell in cells}
    if len(judged) > 1:
        raise UserError(
            f"judged: {judged['sampled']} is judged on sampled actions, {judged['greedy']} on greedy ones; "
            "their scores have no common mean; run `dvc repro` so that all seeds follow the same parameters"
        )
    curves: dict[int, Rows] = {}
    for cell in cells:
        if (rows := read_curve(root, cell)) is not None:
            curves[cell.seed] = rows
    return make_section(experiment, cells, curves, read_films(root, cells))


def _with_ablations(section: Section, groups: Mapping[str, list[Cell]]) -> Section:
    """The same, with a comparison if this is a whole method of which there are ablations."""
    method = section.cells[0]
    of_this = {cells[0].ablation: cells for cells in groups.values() if cells[0].experiment == method.experiment}
    if method.ablation or len(of_this) == 1:
        return section
    table, plot = compare_ablations(of_this)
    return dataclasses.replace(section, ablations=table, plots=[plot, *section.plots])


def _csv(groups: dict[str, list[Cell]]) -> str:
    """All numbers of all cells, a row each, unrounded."""
    rows = []
    for cell in (cell for cells in groups.values() for cell in cells):
        values = cell.model_dump(exclude={"evaluation", "wall_seconds"}) | {"success": cell.success}
        evaluation = cell.evaluation.model_dump()
        values |= {"minutes": cell.wall_seconds / 60, "episodes": evaluation.pop("episodes")}
        values |= {f"evaluation_{name}": evaluation.pop(name) for name in ("seed", "code_hash")}
        for policy, scores in evaluation.items():
            values |= {f"{policy}_{name}": number for name, number in scores.items()}
        rows.append(values | {"file": cell.path})
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _around_results(readme: Path) -> tuple[bytes, bytes]:
    """The README up to and with the start marker, and from the end marker on."""
    try:
        content = readme.read_bytes()
    except OSError as error:
        raise UserError(f"README.md: cannot be read ({error.strerror}); its results table goes there") from None
    for marker in (START, END):
        if content.count(marker) != 1:
            raise UserError(
                f"README.md: the marker {marker.decode()} is there {content.count(marker)} times, not once; "
                f"put {START.decode()} and {END.decode()}, each on its own line, where the results table belongs"
            )
    start, end = content.index(START) + len(START), content.index(END)
    if start > end:
        raise UserError(f"README.md: the marker {END.decode()} comes before {START.decode()}; swap them")
    return content[:start], content[end:]


def _write(path: Path, content: bytes) -> None:
    """Write a whole file or nothing; leave an equal one alone, so that nothing takes it for changed."""
    with contextlib.suppress(OSError):  # one that cannot be read is replaced
        if path.read_bytes() == content:
            return
    make_folder(path.parent)
    write_atomic(path, content)
