"""What happens to a run before its training: checked, estimated, let through the gate, and archived.

torch is imported only where something is computed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from repro.accounts.budget import read_budget, stage_name
from repro.accounts.expected import say_expected
from repro.config import Config, load_config
from repro.gate.prelaunch import Given, check_given, pass_gate
from repro.results.cells import cell_name, publish_training
from repro.runs.earlier import check_clock, find_same_run, find_trained, find_unfinished, offer_earlier
from repro.tracking.archive import RunFolder
from repro.tracking.creation import create_run, keep_code
from repro.tracking.wandb import read_wandb_settings


@dataclass(frozen=True)
class RunRequest:
    """What a user asked for on the command line, beside the parameters."""

    seed: int
    overrides: Sequence[str] = ()
    question: str | None = None
    stage: str | None = None  # of the budget; by default the one that is on
    preferences: Path | None = None  # start from the comparisons exported to this folder
    cell: bool = False  # publish the models and the curve for the pipeline
    answers: Path | None = None
    skip: str | None = None
    ablation: str | None = None  # that the parameters are of
    reward_model: str | None = None  # start with that of this run

    @property
    def given(self) -> Given:
        """What it says for the gate."""
        return Given(self.answers, self.skip, self.question)


def adopt(root: Path, config: Config, request: RunRequest) -> RunFolder | None:
    """Publish a finished run that did what this cell of the pipeline is, and return it; None if there is no such run.

    Nothing is computed: what it was done on (a GPU of a cluster) need not be here. For code that is committed, runs of
    it from before the commit do not count: nobody else could see what they were of. Raises UserError.
    """
    preferences = _given_preferences(root, config, request)
    if request.reward_model or (preferences and not (preferences / "meta.json").exists()):
        return None
    code, params = keep_code(root), config.model_dump(mode="json")
    find = partial(find_trained, root, code.hash, params, request.seed, request.ablation)
    run = find(preferences, code.git.dirty)
    if run:
        publish_training(root, run, cell_name(config, request.seed, request.ablation))
    elif other := find(preferences, True):
        print(f"{other.id} did what this cell is, but does not count, as its code was not committed yet", flush=True)
    elif other := find(None, code.git.dirty):
        print(f"{other.id} would be this cell, but began with other comparisons than {preferences}", flush=True)
    return run


def check_request(root: Path, configs: Iterable[Config], request: RunRequest) -> str:
    """Raise UserError if runs with these parameters cannot be, as far as that shows at once; returns their stage."""
    from repro.device import choose_device
    from repro.training import check_algorithm

    importlib.import_module("repro.session.run")  # as the runs will: an error in it shows before there are any
    read_wandb_settings(root / "pyproject.toml")
    for config in configs:
        choose_device(config.training.device)
        check_algorithm(config)
    check_clock(root)
    return stage_name(read_budget(root), request.stage)


def prepare_run(root: Path, config: Config, request: RunRequest) -> RunFolder:
    """Check what can be checked at once, pass the gate, and create the run folder. Raises UserError.

    For a cell of the pipeline, an unfinished run that would be the same is returned instead, to go on with.
    """
    from repro.device import choose_device, resolve_auto
    from repro.envs import describe_environment
    from repro.preferences.export import check_export
    from repro.preferences.schedule import labelling_minutes, person_labels
    from repro.preflight.estimate import estimate_minutes
    from repro.runs.given_model import reward_model_of

    stage = check_request(root, [config], request)
    device = choose_device(config.training.device)
    name = cell_name(config, request.seed, request.ablation)
    preferences = _given_preferences(root, config, request)
    if preferences:
        check_export(config, describe_environment(config.env), preferences, request.seed)
    reward_model = reward_model_of(root, config, request.reward_model)
    code = keep_code(root)  # before the gate: what is checked and asked about is what will run
    params = resolve_auto(config)
    if request.cell and (unfinished := find_unfinished(root, name, code.hash, params, request.seed, preferences)):
        print(f"going on with {unfinished.id}, an unfinished run of this cell with this code, data and parameters")
        return unfinished
    check_given(root, config, code.hash, request.given)
    given = preferences is not None
    labels = person_labels(config, given, fixed=reward_model is not None and not given)
    minutes = estimate_minutes(config, request.seed) + labelling_minutes(labels)
    # The pipeline passes once, for all its seeds; those of a baseline are in params.yaml, too.
    runs = len(load_config(root / "params.yaml").seeds.pipeline) if request.cell else 1
    say_expected(root, config.name, device.type, minutes, runs, labels)
    if not reward_model and (earlier := find_same_run(root, code.hash, params, request.seed, preferences)):
        long = minutes > config.gate.after_minutes
        offer_earlier(earlier, input if long and sys.stdin.isatty() else None)
    gate = pass_gate(root, config, code.hash, request.given, runs * minutes, runs=runs)
    if not request.cell and request.seed in config.seeds.final:
        print(f"note: seed {request.seed} is one of seeds.final; after tuning on it, nothing can be claimed on it")
    return create_run(
        root,
        code,
        config=params,
        name=config.name,
        seed=request.seed,
        command=["repro", *sys.argv[1:]],
        overrides=request.overrides,
        ablation=request.ablation,
        cell=name if request.cell else None,
        stage=stage,
        question=request.question,
        gate=gate,
        estimate_minutes=float(f"{minutes:.3g}"),
        person_labels=labels,
        device=device.type,
        preferences=preferences,
        reward_model=reward_model,
    )


def _given_preferences(root: Path, config: Config, request: RunRequest) -> Path | None:
    """The exported comparisons that the run starts from; for a cell of the pipeline those of the cell."""
    if request.cell and config.reward.source == "learned":
        return request.preferences or root / "data" / cell_name(config, request.seed, request.ablation)
    return request.preferences
