"""`repro compare`: runs side by side, with what differs between them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from repro.reading import UserError
from repro.terminal.sparkline import sparkline
from repro.terminal.text import counted, plain
from repro.tracking.archive import RunFolder, effective_status
from repro.tracking.curves import sample_curve
from repro.tracking.difference import circumstances, differing, first_difference, same_task
from repro.tracking.durations import shown_time
from repro.tracking.metrics import read_last_row
from repro.views.code_changes import changed_files
from repro.views.run_page import shown_commit

DRAWN = ("return/mean", "reward_model/accuracy_val")
ROWS = 400  # of a metrics file, however long, for a curve
MAX_CURVE = 100  # characters
LATEST = {  # metrics that stand side by side, with their formats
    "env_step": ",",
    "return/mean": ".4g",
    "return/score": ".3f",
    "reward_model/accuracy_val": ".1%",
    "preferences/labels": ",",
    "policy/entropy": ".3g",
}
POLICIES = ("sampled", "greedy", "random")  # of an evaluation
Curve = list[tuple[float, float]]  # (env step, value)


def short_names(runs: Sequence[RunFolder]) -> list[str]:
    """The code at the end of each id; the whole ids if these are not different."""
    codes = [run.id.rpartition("_")[2] for run in runs]
    return codes if len(set(codes)) == len(codes) else [run.id for run in runs]


def check_different(runs: Sequence[RunFolder]) -> None:
    """Raise UserError if a run is named twice."""
    for number, run in enumerate(runs):
        if any(run.path.samefile(earlier.path) for earlier in runs[:number]):
            raise UserError(f"{run.id}: is named twice; name another run to compare it with")


def print_comparison(root: Path, runs: Sequence[RunFolder], console: Console, show_diff: bool = False) -> None:
    """Print all of it. Raises UserError, before anything is printed, if metrics cannot be read."""
    names = short_names(runs)
    verdicts = [_verdict(runs[0], other, names[0], name) for other, name in zip(runs[1:], names[1:], strict=True)]
    records = [run.record for run in runs]
    settings = [{"seed": record["seed"], **record["params"]} for record in records]

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    for _ in runs:
        table.add_column(overflow="fold", ratio=1)
    if names != [run.id for run in runs]:
        for name, run in zip(names, runs, strict=True):  # not in the table: ids are too long for its columns
            console.print(Text.assemble((name, "bold"), f"  {plain(run.id)}"), soft_wrap=True)
        console.print()
    _add(table, "", [Text(name, style="bold") for name in names])
    for label, values in _facts(runs).items():
        _add(table, label, values)
    _section(table, "Parameters", differing(settings))
    code = [{"snapshot": record["code_hash"], "commit": shown_commit(record)} for record in records]
    if len({record["code_hash"] for record in records}) == 1:
        code = [{} for _ in records]  # commits differ in what is no code
    _section(table, "Code", differing(code))
    _section(table, "Circumstances", differing([circumstances(record) for record in records]))
    _section(table, "Latest metrics", _latest(runs))
    console.print(table)
    for verdict in filter(None, verdicts):
        _say(console, f"\n{verdict}")
    for other, name in zip(runs[1:], names[1:], strict=True):
        _print_code(root, (runs[0], other), f"{names[0]} -> {name}", console, show_diff)
    for metric in DRAWN:
        curves = [sample_curve(run.path / "metrics.jsonl", metric, ROWS) for run in runs]
        if any(curves):
            _print_curves(metric, names, curves, console)


def _facts(runs: Sequence[RunFolder]) -> dict[str, list[Any]]:
    records = [run.record for run in runs]
    facts = {
        "status": [effective_status(run.record, run.path) for run in runs],
        "started": [shown_time(record.get("started")) for record in records],
        "question": [record.get("question") or "not stated" for record in records],
        "result": [record.get("result") for record in records],
        "ablation": [record.get("ablation") for record in records],
        "repeats": [(record.get("rerun_of") or "").rpartition("_")[2] or None for record in records],
    }
    evaluations = [record.get("evaluation") or {} for record in records]
    for policy in POLICIES:
        scores = [(evaluation.get(policy) or {}).get("score") for evaluation in evaluations]
        facts[f"{policy} score"] = [None if score is None else f"{score:.3f}" for score in scores]
    return {label: values for label, values in facts.items() if any(values)}


def _latest(runs: Sequence[RunFolder]) -> dict[str, list[str | None]]:
    rows = [run.record.get("result_metrics") or read_last_row(run.path / "metrics.jsonl") or {} for run in runs]
    found = {
        name: [format(row[name], form) if isinstance(row.get(name), int | float) else row.get(name) for row in rows]
        for name, form in LATEST.items()
    }
    return {name: values for name, values in found.items() if any(values)}


def _section(table: Table, title: str, rows: Mapping[str, Iterable[Any]]) -> None:
    table.add_row()
    if not rows:
        table.add_row(Text(f"{title}: the same", style="bold"))
        return
    table.add_row(Text(title, style="bold"))
    for label, values in rows.items():
        _add(table, f"  {label}", values)


def _add(table: Table, label: str, values: Iterable[Any]) -> None:
    table.add_row(
        Text(f"{label[: len(label) - len(label.lstrip())]}{plain(label)}"),
        *(value if isinstance(value, Text) else Text(shown_value(value)) for value in values),
    )


def shown_value(value: Any) -> str:
    """A parameter's value, or another fact, in a line."""
    if value is None:
        return "-"
    return plain(value if isinstance(value, str) else json.dumps(value))


def _verdict(one: RunFolder, other: RunFolder, name: str, other_name: str) -> str | None:
    """What is to be said of two runs that should have gone the same way; None of others."""
    if not same_task(one.record, other.record):
        return None
    names = f"{name} and {other_name}: same code and parameters"
    if one.record["seed"] != other.record["seed"]:
        return f"{names}, another seed."
    paths = [run.path / "metrics.jsonl" for run in (one, other)]
    missing = [label for label, path in zip((name, other_name), paths, strict=True) if not path.exists()]
    if missing:
        return f"{names}; {' and '.join(missing)}: no metrics yet."
    difference = first_difference(*paths)
    if difference is None:
        return f"{names}, identical metrics."
    if difference.shorter is not None:
        step = f"{difference.env_step:,}"
        return f"{names}, identical metrics before step {step}, which {(name, other_name)[difference.shorter]} lacks."
    return f"{names}, but metrics differ, first at {difference}."


def _print_code(root: Path, runs: tuple[RunFolder, RunFolder], title: str, console: Console, show_diff: bool) -> None:
    codes = [run.record["code_hash"] for run in runs]
    if codes[0] == codes[1]:
        return
    try:
        files = changed_files(root, *codes)
    except UserError as error:  # deleted to make room: the rest can be compared all the same
        _say(console, f"\nCode, {title}: cannot be compared: {error}")
        return
    _say(console, f"\nCode, {title}: {counted(len(files), 'file')}")
    size = max((len(file.name) for file in files), default=0)
    for file in files:
        _say(console, f"  {file.name:<{size}}  {file}")
    if show_diff:
        for file in files:
            console.print()
            for line in file.diff:
                style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
                console.print(Text(line.expandtabs(), style=style), soft_wrap=True)


def _print_curves(metric: str, names: Sequence[str], curves: Sequence[Curve], console: Console) -> None:
    """A line for each run, with the same scales."""
    last_step = max(step for curve in curves for step, _ in curve)
    low, high = (end(value for curve in curves for _, value in curve) for end in (min, max))
    size = max(map(len, names))
    width = max(10, min(MAX_CURVE, console.width - size - 20))
    _say(console, f"\n{metric} over steps 0 to {last_step:,.0f}, from {low:.4g} (▁) to {high:.4g} (█)")
    for name, curve in zip(names, curves, strict=True):
        line = sparkline(curve, last_step, width, low, high)
        _say(console, f"  {name:<{size}}  {line:<{width}}  " + (f"last {curve[-1][1]:.4g}" if curve else "none"))


def _say(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)
