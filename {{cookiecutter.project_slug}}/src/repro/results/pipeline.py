"""What `dvc repro` makes as params.yaml and dvc.yaml stand, and what has to be listed in them so that it makes more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.config import Config, SeedConfig, load_config
from repro.reading import read_yaml
from repro.results.claims import Group


@dataclass(frozen=True)
class Pipeline:
    """The experiments and seeds that are listed."""

    experiment: str  # of params.yaml
    seeds: SeedConfig
    baselines: Collection[str]  # of dvc.yaml
    presets: Path  # the folder of parameters of other experiments

    def how_to_make(self, group: Group, seeds: Sequence[int]) -> str:
        """The command that makes the cells of these seeds, and what must be listed before. Raises UserError."""
        lists = []
        if group.experiment != self.experiment:
            file = self.presets / f"{group.experiment}.yaml"
            name = f"{file.parent.name}/{file.name}"
            if not file.exists():
                return f"params.yaml is of {self.experiment}, and there is no {name}; correct the claim, or add it"
            if group.ablation or load_config(file).reward.source == "learned":  # baselines have no labels to collect
                like = "collect, train and evaluate" + (" of ablations" if group.ablation else "")
                return f"no stages of dvc.yaml make them; add some like {like}, with --params {name}"
            if group.experiment not in self.baselines:
                lists.append(f"baselines in dvc.yaml lists {group.experiment}")
        elif group.ablation and group.ablation not in self.seeds.ablations:
            lists.append(f"seeds.ablations in params.yaml lists {group.ablation}")
        if not set(seeds) <= set(self.seeds.final):
            lists.append("seeds.final in params.yaml lists them")
        if not set(seeds) <= set(self.seeds.pipeline):
            tuning = " instead of tuning seeds" if set(self.seeds.pipeline) <= set(self.seeds.tuning) else ""
            lists.append(f"seeds.pipeline in params.yaml lists them{tuning}")
        return "make them: dvc repro" + (f", once {' and '.join(lists)}" if lists else "")


def read_pipeline(root: Path, config: Config) -> Pipeline:
    """The pipeline of the project at `root`; `config` is params.yaml. Raises UserError."""
    return Pipeline(config.name, config.seeds, _baselines(root / "dvc.yaml"), root / "presets")


def _baselines(path: Path) -> list[str]:
    """Those in the variables of dvc.yaml; none where somebody has made it another file."""
    content = read_yaml(path) if path.exists() else None
    variables = content.get("vars") if isinstance(content, dict) else None
    tables = [table for table in variables or () if isinstance(table, dict)] if isinstance(variables, list) else []
    return [name for table in tables for name in table.get("baselines") or ()]
