"""The ledger as text: what was spent, by stage, month and run; the estimates; what is planned."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING

from repro.accounts.budget import AUTO, Budget
from repro.accounts.ledger import Booked, Total, add_up, total_of
from repro.terminal.tables import Column, format_table, wrap
from repro.terminal.text import counted, plain
from repro.tracking.durations import format_hours

if TYPE_CHECKING:
    from repro.accounts.planning import Plan  # which loads all of the configuration

TOP = 10  # runs that are listed unless all are asked for
NAMED = 5  # problems of a kind that are listed
Work = Sequence[tuple[date, str, float]]  # day, stage, hours of a person
NO_RUNS = Total(0, 0.0, 0.0)


def format_ledger(
    booked: Sequence[Booked], unreadable: Sequence[str], work: Work, budget: Budget, every_run: bool, width: int | None
) -> str:
    """All of `repro ledger`. `unreadable`: ids of runs without a readable run.json; `work`: from the work log."""
    prices = ", ".join(f"{name} {price:g}" for name, price in budget.prices_per_hour.items())
    parts = [
        [f"prices in {budget.currency} an hour: {prices} (budget.yaml)"],
        _by_stage(booked, work, budget, width),
        _by_month(booked, work, budget, width),
        _by_run(booked, budget, every_run, width),
        wrap(_estimates(booked), width),
        wrap(_notes(booked, unreadable, work, budget), width),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def format_plans(plans: Sequence[Plan], budget: Budget, width: int | None) -> str:
    """All of `repro ledger --planned`."""
    hours, costs = [plan.hours for plan in plans], [plan.cost(budget) for plan in plans]
    unknown = costs.count(None)  # a cost without hours is one
    total = f"total ({unknown} unknown)" if unknown else "total"
    columns = [
        Column("planned seeds", [*(plan.name for plan in plans), total, "doubled"], text=True),
        Column("seeds", [*(str(len(plan.seeds)) for plan in plans), "", ""]),
        Column("under way", [*(str(len(plan.under_way)) for plan in plans), "", ""], optional=1),
        Column("left", [*(str(len(plan.left)) for plan in plans), "", ""]),
        Column("machine", [*(plan.machine for plan in plans), "", ""], text=True, optional=2),
        Column("a run", [*(_hours(plan.hours_per_run) for plan in plans), "", ""]),
        Column("all left", [*map(_hours, hours), *(_at_least(hours, factor, _hours) for factor in (1, 2))]),
        Column(budget.currency, [*map(_cost, costs), *(_at_least(costs, factor, _cost) for factor in (1, 2))]),
    ]
    lines = []
    for plan in plans:
        seeds = f"seeds {', '.join(map(str, plan.left))}" if plan.left else "no seed is left to run"
        lines.append(f"{plan.name}: {seeds}; hours: {plan.source}")
        if plan.machine == AUTO:
            lines.append(f"{plan.name}: training.device is auto, and no run tells what that comes to; nor the cost")
        elif plan.machine not in budget.prices_per_hour:
            lines.append(f"{plan.name}: {plan.machine} has no price in budget.yaml")
    lines.append("Plan with the doubled numbers: no estimate contains what goes wrong.")
    return "\n".join([*format_table(columns, width, last=2), "", *wrap(lines, width)])


def _by_stage(booked: Sequence[Booked], work: Work, budget: Budget, width: int | None) -> list[str]:
    totals = add_up(booked, lambda run: run.stage) | {"total": total_of(booked)}
    plans = {stage.name: stage for stage in budget.stages}
    names = [*plans, *sorted({*totals, *(stage for _, stage, _ in work)} - {*plans, "total"}), "total"]
    spent = [totals.get(name, NO_RUNS) for name in names]
    compute = {name: stage.compute_hours for name, stage in plans.items()}
    cost = {name: stage.compute_hours * budget.prices_per_hour[stage.machine] for name, stage in plans.items()}
    person = {name: stage.person_hours for name, stage in plans.items()}
    worked = [math.fsum(hours for _, stage, hours in work if name in (stage, "total")) for name in names]
    columns = [
        Column("stage", names, text=True),
        Column("runs", [str(total.runs) for total in spent]),
        Column("compute", [_hours(total.hours) for total in spent]),
        Column("compute plan", _planned(compute, names, " h")),
        Column(budget.currency, [_cost(total.cost) for total in spent]),
        Column(f"{budget.currency} plan", _planned(cost, names), optional=1),
        Column("work", [_hours(hours) for hours in worked]),
        Column("work plan", _planned(person, names, " h")),
    ]
    return format_table(columns, width, last=1)


def _by_month(booked: Sequence[Booked], work: Work, budget: Budget, width: int | None) -> list[str]:
    totals = add_up(booked, lambda run: run.month)
    names = sorted({*totals, *(f"{day:%Y-%m}" for day, _, _ in work)})
    if not names:
        return []
    spent = [*(totals.get(name, NO_RUNS) for name in names), total_of(booked)]
    worked = [math.fsum(hours for day, _, hours in work if f"{day:%Y-%m}" == name) for name in names]
    columns = [
        Column("month", [*names, "total"], text=True),
        Column("runs", [str(total.runs) for total in spent]),
        Column("compute", [_hours(total.hours) for total in spent]),
        Column(budget.currency, [_cost(total.cost) for total in spent]),
        Column("work", [*map(_hours, worked), _hours(math.fsum(worked))]),
    ]
    return format_table(columns, width, last=1)


def _by_run(booked: Sequence[Booked], budget: Budget, every_run: bool, width: int | None) -> list[str]:
    runs = sorted(booked, key=lambda run: (run.cost or 0, run.hours), reverse=True)
    shown = runs if every_run else runs[:TOP]
    if not shown:
        return ["no runs yet"]
    columns = [
        Column("run", [run.run for run in shown], text=True),
        Column("stage", [run.stage for run in shown], text=True, optional=1),
        Column("status", [run.status for run in shown], text=True, optional=3),
        Column("machine", [run.machine for run in shown], text=True, optional=4),
        Column("took", [_hours(run.hours) for run in shown]),
        Column(budget.currency, [_cost(run.cost) for run in shown]),
        Column("estimated", [_hours(run.estimate) for run in shown], optional=2),
        Column("actual/est.", ["" if run.ratio is None else f"{run.ratio:.2f}" for run in shown], optional=2),
    ]
    lines = format_table(columns, width)
    return lines if len(shown) == len(runs) else [*lines, f"the first {TOP} of {len(runs)} runs; all: --runs"]


def _estimates(booked: Sequence[Booked]) -> list[str]:
    """Estimated against actual hours of the finished runs that were estimated, but for those that people labelled."""
    people = sum(run.by_person and run.estimate is not None and run.status == "finished" for run in booked)
    left_out = [f"  left out: {counted(people, 'finished run')} that waited for a person's labels"] if people else []
    ratios = [run.ratio for run in booked if run.ratio is not None]
    if not ratios:
        return ["estimates: no finished run has one yet; repro launch estimates each", *left_out]
    estimated = math.fsum(run.estimate for run in booked if run.ratio is not None and run.estimate)
    took = math.fsum(run.hours for run in booked if run.ratio is not None)
    within, within_doubled = (sum(ratio <= factor for ratio in ratios) for factor in (1, 2))
    return [
        f"estimates: {counted(len(ratios), 'finished run')}, estimated at {format_hours(estimated)}, "
        f"took {format_hours(took)}",
        f"  actual / estimated: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}",
        f"  within the estimate: {within} of {len(ratios)}; within the doubled estimate "
        f"({format_hours(2 * estimated)}, what experience recommends to plan with): {within_doubled}",
        *left_out,
    ]


def _notes(booked: Sequence[Booked], unreadable: Sequence[str], work: Work, budget: Budget) -> list[str]:
    notes = []
    for stage in budget.stages:
        compute = math.fsum(run.hours for run in booked if run.stage == stage.name)
        person = math.fsum(hours for _, name, hours in work if name == stage.name)
        for what, spent, planned in (("compute", compute, stage.compute_hours), ("work", person, stage.person_hours)):
            if spent > planned:
                notes.append(f"over plan: {stage.name}, {format_hours(spent)} of {what}, planned {planned:g} h")
    known = {stage.name for stage in budget.stages}
    strange = sorted(({run.stage for run in booked} | {stage for _, stage, _ in work}) - known)
    notes += [f"not a stage of budget.yaml: {name}" for name in strange]
    for machine in sorted({run.machine for run in booked} - {*budget.prices_per_hour}):
        hours = math.fsum(run.hours for run in booked if run.machine == machine)
        notes.append(f"no price in budget.yaml: {machine}; its {format_hours(hours)} are not in the cost")
    notes += _named([f"{run.run}: {run.problem}" for run in booked if run.problem])
    notes += _named([f"{run}: run.json is missing or damaged; not counted" for run in unreadable])
    return [plain(note) for note in notes]  # names of stages and folders may hold anything


def _named(problems: list[str]) -> list[str]:
    more = len(problems) - NAMED
    return problems[:NAMED] + ([f"… and {more} more"] if more > 0 else [])


def _planned(values: dict[str, float], names: Sequence[str], unit: str = "") -> list[str]:
    """A cell for each name: what was planned for it, in all for the total, nothing for what is not in the plan."""
    values = values | {"total": math.fsum(values.values())}
    return [f"{values[name]:,g}{unit}" if name in values else "" for name in names]


def _hours(hours: float | None) -> str:
    return "unknown" if hours is None else format_hours(hours)


def _cost(cost: float | None) -> str:
    if cost is None:
        return "unknown"
    return "<0.01" if 0 < cost < 0.01 else f"{cost:,.2f}"


def _at_least(values: Sequence[float | None], factor: int, shown: Callable[[float | None], str]) -> str:
    """The sum, so many times; of those that are known, which then is the least that it comes to."""
    known = [factor * value for value in values if value is not None]
    if len(known) == len(values):
        return shown(math.fsum(known))
    return f"at least {shown(math.fsum(known))}" if known else "unknown"
