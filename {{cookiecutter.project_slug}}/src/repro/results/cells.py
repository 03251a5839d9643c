"""Cells: the tracked results of the pipeline, for each experiment, ablation and seed. Ad-hoc runs never write them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from repro.config import Config
from repro.files import make_folder, storage_error, write_json
from repro.reading import UserError
from repro.tracking.archive import CHECKPOINT, RunFolder
from repro.tracking.durations import timestamp
from repro.tracking.git import read_git
from repro.tracking.index import list_summaries, without_copies
from repro.tracking.metrics import read_last_row
from repro.tracking.parameters import params_hash, resolved_as

EPISODE_VIDEO, SEGMENTS_VIDEO = "episode.mp4", "segments.mp4"  # beside the models of a cell
MODEL_FACTS = ("id", "seed", "code_hash", "dirty", "params", "env_steps", "labels", "wall_seconds")


def cell_name(config: Config, seed: int, ablation: str | None = None) -> str:
    """`<experiment>/seed-<seed>`: the path of a cell below data/, models/, results/cells/ and results/curves/.

    An ablation is a level between: `<experiment>/<ablation>/seed-<seed>`.
    """
    return "/".join(filter(None, (config.name, ablation, f"seed-{seed}")))


def publish_training(root: Path, run: RunFolder, cell: str) -> None:
    """Copy the final models and the learning curve of a finished run to models/ and results/curves/."""
    from repro.tracking.video import EPISODE, SEGMENTS, videos_of_training  # here, as numpy is slow to load

    models, curve = root / "models" / cell, root / "results/curves" / f"{cell}.jsonl"
    last = read_last_row(run.path / "metrics.jsonl") or {}
    facts = {name: run.record.get(name) for name in ("id", "seed", "ablation", "code_hash", "dirty", "params")} | {
        "env_steps": last.get("env_step"),
        "labels": last.get("preferences/labels"),
        "wall_seconds": last.get("time/wall"),
        "tuning_runs": count_tuning_runs(root, run),
    }
    make_folder(models)
    make_folder(curve.parent)
    try:
        for file in (models / "run.json", *models.glob("*.mp4"), *models.glob("*.pt")):
            file.unlink(missing_ok=True)  # run.json first: it says which run all others are of
        for file in sorted((run.path / CHECKPOINT.parent).glob("*.pt")):
            if file.name != CHECKPOINT.name:
                shutil.copyfile(file, models / file.name)
        for kind, name in ((EPISODE, EPISODE_VIDEO), (SEGMENTS, SEGMENTS_VIDEO)):
            for file in videos_of_training(run.path, kind)[-1:]:
                shutil.copyfile(file, models / name)
        shutil.copyfile(run.path / "metrics.jsonl", curve)
    except OSError as error:
        raise storage_error(models, error) from None
    write_json(models / "run.json", facts)


def count_tuning_runs(root: Path, run: RunFolder) -> int | None:
    """How many runs of the same experiment and ablation were started before this one, on seeds that are not final.

    That is how often its settings could have been chosen by looking; reruns repeat a run, and are no further look. Runs
    that were deleted since, or made elsewhere, are not known. None of a run that is itself on such a seed.
    """
    final = run.record["params"]["seeds"]["final"]
    if run.record["seed"] not in final:
        return None
    what = [run.record[name] for name in ("name", "ablation")]
    started = timestamp(run.record["started"])
    return sum(
        [other.get("name"), other.get("ablation")] == what
        and other["seed"] not in final
        and not other.get("rerun_of")
        and other["id"] != run.id
        and timestamp(other["started"]) <= started
        for other in without_copies(list_summaries(root))
        if other["status"] != "unreadable"
    )


def publish_evaluation(root: Path, config: Config, cell: str, evaluation: dict[str, Any]) -> Path:
    """Write results/cells/<cell>.json from an evaluation of models/<cell> by the code at `root`; returns its path."""
    facts = read_model_facts(root, config, cell)
    judged = config.evaluation.actions
    content = {
        "experiment": config.name,
        "ablation": facts.get("ablation"),
        "seed": facts["seed"],
        "run": facts["id"],
        "code_hash": facts["code_hash"],
        "dirty": facts["dirty"] or read_git(root).dirty,
        "params_hash": params_hash(resolved_as(config.model_dump(mode="json"), facts["params"])),
        **{name: facts[name] for name in ("env_steps", "labels", "wall_seconds")},
        "tuning_runs": facts.get("tuning_runs"),
        "judged": judged,
        "success": evaluation[judged]["score"] >= config.evaluation.success_score,
        "success_score": config.evaluation.success_score,
        "evaluation": evaluation,
    }
    path = root / "results/cells" / f"{cell}.json"
    make_folder(path.parent)
    write_json(path, content)
    return path


def read_model_facts(root: Path, config: Config, cell: str) -> dict[str, Any]:
    """What models/<cell>/run.json says of the run that made the models. Raises UserError.

    They have to be trained with what `config` says now, so that a cell never claims more.
    """
    path = root / "models" / cell / "run.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; make the models with: dvc repro, or fetch them with: dvc pull"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    missing = [name for name in MODEL_FACTS if not isinstance(facts, dict) or name not in facts]
    if missing:
        raise UserError(f"{path}: damaged: lacks {', '.join(missing)}; make it again with: dvc repro --force train")
    _check_trained_with(config, facts["params"], cell)
    return facts


def _check_trained_with(config: Config, params: dict[str, Any], cell: str) -> None:
    now = resolved_as(config.model_dump(mode="json"), params)
    for section in ("env", "agent", "reward", "preferences", "reward_model", "training"):
        for name, value in now[section].items():
            trained = params.get(section, {}).get(name)
            if trained != value:
                raise UserError(
                    f"models/{cell}: trained with {section}.{name} = {trained}, but it is {value} now; "
                    "train again with: dvc repro"
                )
