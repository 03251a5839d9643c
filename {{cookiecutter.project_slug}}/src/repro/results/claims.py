"""`paper/claims.yaml`: what is claimed, and which cells decide it. Strict, as params.yaml is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from repro.config.base import FiniteFloat, NonNegativeFloat, NonNegativeInt
from repro.reading import UserError, nearest
from repro.results.aggregates import SEEDS_FOR_BOOTSTRAP
from repro.results.statistics import SEEDS_FOR_INTERVAL
from repro.results.strict_files import Strict, Text, read_strict

PATH = "paper/claims.yaml"
SUCCESS_RATE = "success_rate"
# Of the actions that evaluation.actions judges, or of those that are named.
METRICS = (
    SUCCESS_RATE,
    *(f"{of}.{name}" for of in ("judged", "sampled", "greedy") for name in ("score", "return_mean")),
)
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Group(Strict):
    """Which results: an experiment, or an ablation of it."""

    experiment: Name
    ablation: Name | None = None

    @property
    def name(self) -> str:
        """As `Cell.group` has it."""
        return f"{self.experiment}/{self.ablation}" if self.ablation else self.experiment


class Deciding(Strict):
    """The cells that decide a claim; of several experiments, each a task, the interquartile mean over all of them."""

    experiment: Name | Annotated[list[Name], Field(min_length=2)]
    ablation: Name | None = None
    seeds: Literal["final"] | Annotated[list[NonNegativeInt], Field(min_length=1)]

    @property
    def groups(self) -> list[Group]:
        names = [self.experiment] if isinstance(self.experiment, str) else self.experiment
        return [Group(experiment=name, ablation=self.ablation) for name in names]


class Claim(Strict):
    """One sentence that can turn out false, and what settles it."""

    id: Name
    claim: Text
    where: Text  # section, figure or table of the paper
    environment: Text
    metric: str  # of METRICS
    paper_value: FiniteFloat | None
    target: FiniteFloat | None
    tolerance: NonNegativeFloat | None  # below the paper's value
    min_seeds: Annotated[int, Field(ge=SEEDS_FOR_INTERVAL)]
    cells: Deciding
    against: Group | None = None  # the metric is the difference from it, seed by seed

    @model_validator(mode="after")
    def can_be_judged(self) -> Claim:
        if self.metric not in METRICS:
            raise ValueError(f"metric: {self.metric!r} is none{nearest(self.metric, METRICS)}")
        if (self.target is None) == (self.tolerance is None):
            raise ValueError("target, tolerance: exactly one of them is a number, the other is null")
        if self.tolerance is not None and self.paper_value is None:
            raise ValueError("paper_value: null has no tolerance; write the paper's number, or a target")
        names = [group.name for group in self.cells.groups]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"cells.experiment: {twice} is there twice; name each once")
        several = len(names) > 1
        if several and self.min_seeds < SEEDS_FOR_BOOTSTRAP:
            raise ValueError(
                f"min_seeds: {self.min_seeds}, but several experiments have a bootstrap interval, which is too narrow "
                f"for so few; write {SEEDS_FOR_BOOTSTRAP} or more"
            )
        if several and (not self.metric.endswith(".score") or self.against):
            raise ValueError("cells.experiment: several are for a score, without against: write one, or that metric")
        if self.against and self.metric == SUCCESS_RATE:
            raise ValueError("against: success rates are not compared; write judged.score, or no against")
        if self.against in self.cells.groups:
            raise ValueError(f"against: {self.against.name} is what is claimed about; name another")
        return self

    @property
    def threshold(self) -> float:
        """What the metric must reach."""
        if self.target is not None:
            return self.target
        assert self.paper_value is not None and self.tolerance is not None
        return self.paper_value - self.tolerance

    def seeds(self, final: Sequence[int]) -> list[int]:
        """Those of its cells; `final`: seeds.final of params.yaml."""
        return list(final) if self.cells.seeds == "final" else list(self.cells.seeds)

    @property
    def groups(self) -> list[Group]:
        """All that it needs cells of."""
        return self.cells.groups + ([self.against] if self.against else [])


class ClaimsFile(Strict):
    """The whole file."""

    paper: dict[str, Any]
    claims: list[Claim]

    @model_validator(mode="after")
    def ids_are_unique(self) -> ClaimsFile:
        ids = [claim.id for claim in self.claims]
        twice = [name for name in ids if ids.count(name) > 1]
        if twice:
            raise ValueError(f"claims: id {twice[0]!r} is there twice; rename one")
        return self


def read_claims(root: Path, tuning: Sequence[int], final: Sequence[int]) -> list[Claim]:
    """The claims of the project at `root`; `tuning` and `final` are the lists of params.yaml.

    Raises UserError that names the field, the value and the fix, also if a claim is made on tuning seeds, or needs more
    seeds than it names.
    """
    claims = read_strict(root / PATH, ClaimsFile).claims
    for number, claim in enumerate(claims):
        seeds, where = claim.seeds(final), f"{PATH}: claims[{number}] ({claim.id})"
        if shared := sorted(set(seeds) & set(tuning)):
            raise UserError(f"{where}.cells.seeds: {shared[0]} is a tuning seed; claim on seeds that chose nothing")
        if len(set(seeds)) < len(seeds):
            raise UserError(f"{where}.cells.seeds: {seeds} lists one twice; each counts once")
        if len(seeds) < claim.min_seeds:
            raise UserError(
                f"{where}.min_seeds: {claim.min_seeds}, but cells.seeds are {len(seeds)}; name more, or need fewer"
            )
    return claims
