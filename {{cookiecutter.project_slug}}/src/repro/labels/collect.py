"""`repro prefs collect`: the initial comparisons of a cell, exported for its training."""

from __future__ import annotations

import tempfile
from pathlib import Path

from repro.config import Config
from repro.files import make_folder
from repro.preferences.export import answers_to_replace
from repro.preferences.oracle import ORACLE
from repro.reading import UserError


def collect_preferences(config: Config, seed: int, folder: Path) -> str:
    """Collect and export the initial comparisons to `folder`; returns what they are in a line. Raises UserError.

    Where rewards are not learned there is nothing to collect: the folder stays empty, as the pipeline expects one.
    """
    if config.reward.source != "learned":
        make_folder(folder)
        return "nothing to collect, as reward.source is environment"
    if config.preferences.annotator != ORACLE:
        raise UserError(
            "preferences.annotator: a person's labels are asked for while a run waits for them (repro train, then "
            "repro label in another terminal); to collect an oracle's: --set preferences.annotator=oracle"
        )
    people = sorted({label["annotator"] for label in answers_to_replace(folder)} - {ORACLE})
    if people:
        raise UserError(f"--out {folder}: holds answers of {', '.join(people)}; name a new folder")
    from repro.asking.questions import collect_initial_labels
    from repro.envs import describe_environment
    from repro.preferences.store import PreferenceStore

    with (
        tempfile.TemporaryDirectory() as temporary,
        PreferenceStore(Path(temporary) / "preferences.db", describe_environment(config.env)) as store,
    ):
        steps = collect_initial_labels(config, seed, store, "initial")
        store.export(folder, name=config.name, seed=seed, env_steps=steps)
        counts = store.counts()
    return f"{counts['labels']} labels ({counts['tie']} ties) from {steps:,} steps"
