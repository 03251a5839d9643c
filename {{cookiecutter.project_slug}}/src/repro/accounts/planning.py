"""What the planned seeds will cost, before they start: those of params.yaml that have not been run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.accounts.budget import AUTO, Budget, machine_of
from repro.accounts.ledger import Booked
from repro.config import Config
from repro.gate.prelaunch import find_pass, key_of
from repro.terminal.text import counted
from repro.tracking.archive import Record, is_live
from repro.tracking.parameters import params_hash, resolutions


@dataclass(frozen=True)
class Plan:
    """The seeds of one experiment, and what those that are left will take. None: nothing tells yet."""

    name: str
    seeds: tuple[int, ...]  # final and pipeline
    under_way: tuple[int, ...]  # queued or running, with these parameters and this code
    left: tuple[int, ...]  # neither finished nor under way
    machine: str  # that of the latest run with these parameters, else what they name
    hours_per_run: float | None
    source: str  # where the hours are from

    @property
    def hours(self) -> float | None:
        """Of compute, of the seeds that are left."""
        return 0.0 if not self.left else None if self.hours_per_run is None else len(self.left) * self.hours_per_run

    def cost(self, budget: Budget) -> float | None:
        """Of the seeds that are left; None if hours or price are not known."""
        price = budget.prices_per_hour.get(self.machine)
        return None if self.hours is None or price is None else self.hours * price


def plan_runs(
    root: Path,
    config: Config,
    code_hash: str,
    summaries: Sequence[Record],
    booked: Sequence[Booked],
    ablation: str | None = None,
) -> Plan:
    """Plan the seeds `final` and `pipeline`. `summaries`: of the archive, oldest first; `booked`: their accounts.

    A run counts as one of them if it has these parameters and this code. How long one takes is the median of the
    finished runs with these parameters, whatever their code; else the estimate that the gate recorded. Of an `ablation`
    the parameters hold what it sets.
    """
    accounts = {account.run: account for account in booked}
    wanted = resolutions(config.model_dump(mode="json"))
    hashes = set(map(params_hash, wanted))
    alike = [(run, accounts[run["id"]]) for run in summaries if run["id"] in accounts and run["params_hash"] in hashes]
    current = [(run["seed"], account.status) for run, account in alike if run["code_hash"] == code_hash]
    finished = {seed for seed, status in current if status == "finished"}
    busy = {seed for seed, status in current if is_live(status)} - finished
    seeds = sorted({*config.seeds.final, *config.seeds.pipeline})
    keys = [key_of(code_hash, params) for params in wanted]  # any may be the one that `auto` comes to here
    hours, source = _hours_per_run(root, keys, [account for _, account in alike])
    device = config.training.device
    machine = alike[-1][1].machine if alike else AUTO if device == "auto" else machine_of(device)
    return Plan(
        name="/".join(filter(None, (config.name, ablation))),
        seeds=tuple(seeds),
        under_way=tuple(seed for seed in seeds if seed in busy),
        left=tuple(seed for seed in seeds if seed not in finished | busy),
        machine=machine,
        hours_per_run=hours,
        source=source,
    )


def _hours_per_run(root: Path, keys: Sequence[str], alike: list[Booked]) -> tuple[float | None, str]:
    took = [account.hours for account in alike if account.status == "finished" and account.problem is None]
    if took:
        return statistics.median(took), f"median of {counted(len(took), 'finished run')} with these parameters"
    if estimates := [account.estimate for account in alike if account.estimate is not None]:
        return estimates[-1], "the estimate of the latest run with these parameters; none has finished yet"
    if passed := next(filter(None, (find_pass(root, key) for key in keys)), None):
        return passed["estimate_minutes"] / passed.get("runs", 1) / 60, "the estimate recorded when the gate was passed"
    return None, "no run tells yet; repro prelaunch estimates it"
