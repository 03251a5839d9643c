"""Every automatic check before launch is in docs/prelaunch.md, in its order, and what is there is one.

What a failure does is the user's to say, in checklists/prelaunch.yaml, which no test of a project reads.
"""

from __future__ import annotations

import re
from pathlib import Path

from repro.preflight import circumstances, inputs, reward_models
from repro.preflight.checks import CHECKS
from repro.preflight.history import SIMPLEST_FIRST
from repro.preflight.trainer import COMPARISONS

PAGE = (Path(__file__).parents[2] / "docs/prelaunch.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| (blocks|warns) \| (.*?) \| (all|learned rewards) \|$", PAGE, re.MULTILINE)
LEARNED = "reward_models"  # the module of checks that need a reward model
THRESHOLDS = {  # what the row of a check says
    "disk_space": [f"{circumstances.MIN_FREE_BYTES / 1e9:g} GB"],
    "seeds": [f"; {circumstances.SEEDS_FOR_A_CLAIM} without"],
    "reward_predictable": [f"of {reward_models.MIN_CORRELATION:g} ", f"within {reward_models.REGRESSION_STEPS} "],
    "reward_model_start": [f"within {reward_models.START_TOLERANCE:g} of ln 2"],
    "reward_model_swap": [f"by {reward_models.MAX_ROUNDING:g} at most"],
    "dropout_batchnorm": [f"by {reward_models.MAX_CHANGE:g} of the largest"],
    "validation_disjoint": [f"{reward_models.MAX_SHARED:.0%} at most"],
    "overfits_batch": [f"all of {COMPARISONS} labels", f"within {reward_models.OVERFITTING_STEPS} "],
}


def test_each_check_has_a_row_and_says_what_to_do():
    assert [name for name, *_ in ROWS] == list(CHECKS)
    assert re.findall(r"^- `(\w+)`: [A-Z`]", PAGE, re.MULTILINE) == list(CHECKS)


def test_checks_of_the_reward_model_are_for_learned_rewards():
    needs_one = [name for name, module in CHECKS.items() if module == LEARNED]
    assert needs_one and set(needs_one) <= {name for name, _, _, runs in ROWS if runs == "learned rewards"}


def test_thresholds_are_the_codes():
    said = {name: text for name, _, text, _ in ROWS}
    assert [part for name, parts in THRESHOLDS.items() for part in parts if part not in said[name]] == []
    observations = " ".join(PAGE.partition("## observations")[2].split())
    assert f"{inputs.OBSERVED_STEPS} steps" in observations and f"within {inputs.MAX_INPUT_MEAN:g} of 0" in observations
    images, vectors = (" to ".join(f"{end:g}" for end in ends) for ends in (inputs.IMAGE_STD, inputs.VECTOR_STD))
    assert f"from {images} for images, from {vectors} for vectors" in observations
    assert f"up to {inputs.SAME_RANGE:.0%} of it" in observations


def test_environments_are_in_the_order_of_the_code():
    rows = re.findall(r"^ +\| \d \| (`.*`) \|$", PAGE, re.MULTILINE)
    assert [tuple(re.findall(r"`(.*?)`", row)) for row in rows] == list(SIMPLEST_FIRST)
