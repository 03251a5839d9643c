"""The files that a user edits, as the tests take them: the project's own may say anything."""

import re
from pathlib import Path

BUDGET = """\
currency: USD
prices_per_hour:
  cpu: 0.10
  gpu: 1.50
stage: debugging
stages:
  - {name: reading, about: understanding the paper, machine: cpu, compute_hours: 0, person_hours: 20}
  - {name: implementing, about: first implementation, machine: cpu, compute_hours: 10, person_hours: 60}
  - {name: debugging, about: debugging the whole, machine: cpu, compute_hours: 100, person_hours: 120}
  - {name: tuning, about: tuning on tuning seeds, machine: cpu, compute_hours: 100, person_hours: 20}
  - {name: final, about: final experiments and ablations, machine: cpu, compute_hours: 200, person_hours: 10}
  - {name: writing, about: writing up, machine: cpu, compute_hours: 0, person_hours: 20}
"""
CHECKLIST = """\
questions:
  - {id: question, ask: Which question does this run answer?, why: w}
  - {id: outcomes, ask: "What would each outcome mean: what next?", why: w}
  - {id: cheaper, ask: What is the cheapest thing that could answer it?, why: w}
checks:
  device: {runs: all, failure: blocks}
  disk_space: {runs: all, failure: blocks}
  memory: {runs: all, failure: blocks}
  tracking: {runs: all, failure: blocks}
  seeds: {runs: all, failure: warns}
  smoke: {runs: all, failure: blocks}
  simpler_first: {runs: all, failure: warns}
  environment: {runs: all, failure: blocks}
  observations: {runs: all, failure: blocks}
  reward_predictable: {runs: learned, failure: blocks}
  reward_model_start: {runs: learned, failure: blocks}
  reward_model_swap: {runs: learned, failure: blocks}
  clips_independent: {runs: learned, failure: blocks}
  dropout_batchnorm: {runs: learned, failure: blocks}
  validation_disjoint: {runs: learned, failure: blocks}
  overfits_batch: {runs: learned, failure: blocks}
"""

DVC = re.sub(r"baselines: .*", "baselines: []", (Path(__file__).parents[1] / "dvc.yaml").read_text())


def write_budget(root: Path) -> None:
    (root / "budget.yaml").write_text(BUDGET)


def write_checklist(root: Path, text: str = CHECKLIST) -> None:
    (root / "checklists").mkdir(exist_ok=True)
    (root / "checklists/prelaunch.yaml").write_text(text)
