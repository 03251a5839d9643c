"""What several commands share: options, and the project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro.tracking.snapshot import project_root

if TYPE_CHECKING:
    from repro.config import Config

Params = Annotated[Path | None, typer.Option(help="Parameter file.", show_default="the project's params.yaml")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override, e.g. agent.learning_rate=3e-4. Repeatable."),
]
Seed = Annotated[int, typer.Option(min=0, help="All randomness follows from it.")]
Question = Annotated[
    str | None, typer.Option(help="What this run is to answer; where it is given, the gate does not ask for it.")
]
Stage = Annotated[
    str | None, typer.Option(help="Stage of budget.yaml to book it to.", show_default="the one that is on")
]
Preferences = Annotated[Path | None, typer.Option(help="Start from comparisons exported to this folder.")]
RewardModel = Annotated[
    str | None,
    typer.Option(help="Start with the reward model of this run; without --preferences it stays as it is, unasked."),
]
Answers = Annotated[Path | None, typer.Option(help="Answers to the pre-launch questions, for use without a terminal.")]
Skip = Annotated[str | None, typer.Option(help="Start without the pre-launch questions, for this reason (recorded).")]
Ablation = Annotated[
    str | None, typer.Option(help="Without one part of the method: docs/ablations.md lists them, e.g. no-ensemble.")
]
A_RUN = "A run's id, its start or its last four letters, or `latest`."
Run = Annotated[str, typer.Argument(help=A_RUN)]


def find_params(root: Path, file: Path) -> Path:
    """A parameter file that is not below the current folder is looked for from the project's."""
    return root / file if not file.exists() and (root / file).exists() else file


def open_project(params: Path | None, overrides: list[str] | None, ablation: str | None = None) -> tuple[Path, Config]:
    """The project's folder and its parameters, with overrides, and then what the ablation sets."""
    from repro.config import load_config

    root = project_root()
    config = load_config(find_params(root, params) if params else root / "params.yaml", overrides or ())
    if ablation is not None:
        from repro.config.ablating import ablate

        config = ablate(config, ablation)
    return root, config
