"""Files that are a user's to edit, as shipped: the project's code takes them. (Its tests read files of their own.)"""

from __future__ import annotations

import re
import sys

from conftest import TEMPLATE

sys.path.insert(0, str(TEMPLATE / "src"))
from repro.accounts.budget import read_budget
from repro.gate.checklist import read_checklist
from repro.preflight.checks import CHECKS


def test_the_budget_plans_what_the_scope_says():
    budget = read_budget(TEMPLATE)
    hours = [sum(getattr(stage, kind) for stage in budget.stages) for kind in ("person_hours", "compute_hours")]
    total = next(line for line in (TEMPLATE / "paper/scope.md").read_text().splitlines() if "| **total**" in line)
    assert [float(cell) for cell in re.findall(r"\*\*(\d+)\*\*", total)][2:] == hours
    assert (budget.currency, budget.prices_per_hour, budget.stage) == ("USD", {"cpu": 0.1, "gpu": 1.5}, "debugging")


def test_the_checklist_asks_first_for_the_question_and_makes_every_check():
    checklist = read_checklist(TEMPLATE)
    assert [question.id for question in checklist.questions][:2] == ["question", "outcomes"]
    assert set(checklist.checks) == set(CHECKS)
    of_reward_models = {name for name, module in CHECKS.items() if module == "reward_models"}
    assert {name for name, rule in checklist.checks.items() if rule.runs == "learned"} == of_reward_models
