"""Which runs a launch of several seeds or ablations consists of: those that are done already, unfinished, and new.

Each is a run folder with the code, parameters and seed that were launched. What does them, here or on a cluster, starts
`repro _run FOLDER` from its snapshot for each, which is what `repro train` becomes too; and `command` in its record is
the `repro train` that does the same by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.accounts.expected import say_expected
from repro.config import Config, load_config
from repro.config.ablating import chosen_ablations
from repro.config.ablations import WHOLE
from repro.gate.prelaunch import check_given, pass_gate
from repro.preferences.schedule import labelling_minutes, person_labels
from repro.reading import UserError
from repro.results.pipeline import read_pipeline
from repro.runs.closing import say_withdrawn
from repro.runs.earlier import find_furthest
from repro.runs.preparing import RunRequest, check_request
from repro.tracking.archive import RunFolder, effective_status, is_live
from repro.tracking.creation import create_run, keep_code
from repro.tracking.index import list_summaries, without_copies
from repro.tracking.locks import creating_runs

SEED_SETS = ("tuning", "final", "pipeline")  # of the section `seeds`


def chosen_seeds(config: Config, seeds: str) -> list[int]:
    """The seeds of the set that is named, or those listed with commas between. Raises UserError."""
    if seeds in SEED_SETS:
        return list(getattr(config.seeds, seeds))
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", seeds):
        raise UserError(f"--seeds {seeds}: write {', '.join(SEED_SETS)}, or a list: 100,101,102")
    listed = [int(seed) for seed in seeds.split(",")]
    if len(set(listed)) < len(listed):
        raise UserError(f"--seeds {seeds}: one is there twice; give each once")
    return listed


def variants(config: Config, ablation: str | None, ablations: str | None) -> dict[str, Config]:
    """The parameters by ablation; WHOLE is the method with nothing taken away. Raises UserError."""
    if ablations is None:
        return {ablation or WHOLE: config}
    names = [name.strip() for name in ablations.split(",")]
    if "" in names:
        raise UserError(f"--ablations {ablations!r}: a name is empty; write them as: none,no-ensemble")
    chosen, left_out = chosen_ablations(config, names)
    for note in left_out:
        print(f"left out: {note}", flush=True)
    return chosen


def prepare_cells(
    root: Path, configs: Mapping[str, Config], seeds: Sequence[int], request: RunRequest, params: Path | None = None
) -> list[RunFolder]:
    """Find or create a run for each of `configs` and `seeds`; returns those that are not finished. Raises UserError.

    The new ones are checked and estimated, and pass the gate once for all; it is that of the first of `configs`. They
    come seed by seed, so that all ablations of the first seeds can be compared early. `params` is the file that was
    named for the parameters.
    """
    from repro.device import choose_device, resolve_auto

    for option, value in (("--reward-model", request.reward_model), ("--preferences", request.preferences)):
        if value:
            raise UserError(f"{option}: is for one run; of several each learns from comparisons of its own")
    stage = check_request(root, configs.values(), request)
    code = keep_code(root)
    resolved = {name: resolve_auto(config) for name, config in configs.items()}
    cells = [(seed, name) for seed in seeds for name in configs]

    def find(wanted: Sequence[tuple[int, str]], dirty: bool) -> dict[tuple[int, str], RunFolder]:
        summaries = without_copies(list_summaries(root))
        found = {cell: find_furthest(root, summaries, code.hash, resolved[cell[1]], cell[0], dirty) for cell in wanted}
        return {cell: run for cell, run in found.items() if run}

    runs = find(cells, code.git.dirty)
    _say_earlier(runs.values())
    new = [cell for cell in cells if cell not in runs]
    for run in find(new, dirty=True).values():
        print(f"does not count, as its code was not committed yet: {describe_cell(run)}", flush=True)
    minutes, gate = _pass_gate_once(root, configs, new, request, code.hash) if new else ({}, {})
    with creating_runs(root / "runs"):
        meanwhile = find(new, code.git.dirty)  # an equal launch passed the gate, too
        _say_earlier(meanwhile.values())
        runs |= meanwhile
        for seed, name in new:
            if (seed, name) in meanwhile:
                continue
            ablation = None if name == WHOLE else name
            run = create_run(
                root,
                code,
                config=resolved[name],
                name=configs[name].name,
                seed=seed,
                command=_train_command(request, params, seed, ablation),
                overrides=request.overrides,
                ablation=ablation,
                stage=stage,
                question=request.question,
                gate=gate,
                estimate_minutes=float(f"{minutes[name]:.3g}"),
                person_labels=person_labels(configs[name]),
                device=choose_device(configs[name].training.device).type,
            )
            run.update(status="queued")
            runs[seed, name] = run
    return [runs[cell] for cell in cells if runs[cell].record["status"] != "finished"]


def _say_earlier(runs: Iterable[RunFolder]) -> None:
    """Say which runs are there already; the prediction of one that goes on is no longer scored."""
    for run in runs:
        if run.record["status"] == "finished":
            print(f"done already: {describe_cell(run)}: {run.record.get('result') or 'no result'}", flush=True)
        elif is_live(effective_status(run.record, run.path)):
            print(f"under way: {describe_cell(run)}", flush=True)
        else:
            print(f"goes on: {describe_cell(run)}", flush=True)
            say_withdrawn(run.record)


def _pass_gate_once(
    root: Path, configs: Mapping[str, Config], new: Sequence[tuple[int, str]], request: RunRequest, code_hash: str
) -> tuple[dict[str, float], dict[str, Any]]:
    """Estimate the runs (seed, ablation) and pass the gate for all: minutes of each of `configs`, the gate's record."""
    from repro.device import choose_device
    from repro.preflight.estimate import estimate_minutes

    first = next(iter(configs.values()))
    check_given(root, first, code_hash, request.given)
    names = dict.fromkeys(name for _, name in new)
    labels = {name: person_labels(configs[name]) for name in names}
    minutes = {name: estimate_minutes(configs[name], new[0][0]) + labelling_minutes(labels[name]) for name in names}
    total, mean_labels = sum(minutes[name] for _, name in new), round(sum(labels[name] for _, name in new) / len(new))
    device = choose_device(first.training.device).type
    say_expected(root, first.name, device, total / len(new), len(new), mean_labels)
    gate = pass_gate(root, first, code_hash, request.given, total, runs=len(new))
    if final := sorted({seed for seed, _ in new} & {*first.seeds.final}):
        seeds = ", ".join(map(str, final))
        print(f"note: seeds.final holds {seeds}; after tuning on them, nothing can be claimed on them")
    return minutes, gate


def _train_command(request: RunRequest, params: Path | None, seed: int, ablation: str | None) -> list[str]:
    """The command line that does the run of a cell by itself."""
    options = [("--params", params), ("--seed", seed), ("--ablation", ablation)]
    options += [("--set", override) for override in request.overrides]
    options += [("--question", request.question), ("--stage", request.stage)]
    return ["repro", "train", *(str(word) for option in options if option[1] is not None for word in option)]


def how_to_publish(root: Path, runs: Sequence[RunFolder]) -> str | None:
    """What makes cells of these runs of one launch once they have finished; None where it is not meant to, or cannot.

    That is with parameters that are not those of a file, with a person's labels, and for seeds that are tuned on and
    are not the pipeline's; of the presets, dvc.yaml has stages for true rewards alone, without ablations.
    """
    try:
        pipeline = read_pipeline(root, load_config(root / "params.yaml"))
    except UserError:  # edited since the launch: whoever types dvc repro is told
        return None
    name, params, listed = runs[0].record["name"], runs[0].record["params"], pipeline.seeds
    learned = params["reward"]["source"] == "learned"
    seeds = sorted({run.record["seed"] for run in runs} - {*listed.pipeline})
    ablations = {run.record["ablation"] for run in runs} - {None}
    if runs[0].record["overrides"] or {*seeds} & {*listed.tuning}:
        return None
    if learned and (params["preferences"]["annotator"] == "person" or name != pipeline.experiment):
        return None
    missing = [f"{', '.join(map(str, seeds))} in seeds.pipeline of params.yaml"] if seeds else []
    if others := sorted(ablations - {*listed.ablations}):
        missing.append(f"{', '.join(others)} in seeds.ablations of params.yaml")
    if name not in (pipeline.experiment, *pipeline.baselines):
        missing.append(f"{name} in baselines of dvc.yaml")
    with_them = f", with {' and '.join(missing)}, committed" if missing else ""
    return f"for claims and the report: dvc repro{with_them}; it trains none of these again"


def describe_cell(run: RunFolder) -> str:
    """A run in a line: its id, seed and ablation."""
    return f"{run.id}  seed {run.record['seed']}  {run.record['ablation'] or 'the whole method'}"
