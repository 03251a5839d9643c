"""Automatic checks before launch: all of them pass the code as it is, and how one is made and reported."""

from __future__ import annotations

import sys
import types

import pytest
from preflight_examples import check, config, earlier_run

from repro.envs.moving_dot import MovingDotVectorEnv
from repro.preflight import checks
from repro.preflight.checks import CHECKS, CheckResult, run_checks


@pytest.mark.parametrize("name", CHECKS)
def test_it_passes_the_code_as_it_is(name, root):
    earlier_run(root)  # smoke
    earlier_run(root, "reward.source=environment", score=0.9)  # something simpler
    result = check(name, root)
    assert result.passed, result.seen


@pytest.mark.parametrize("name", ["memory", "smoke", "simpler_first", "environment", "observations"])
def test_true_rewards_pass_what_is_made_for_all_runs(name, root):
    earlier_run(root, "reward.source=environment")
    result = check(name, root, "reward.source=environment")
    assert result.passed, result.seen


def test_what_cannot_be_built_has_failed(root, monkeypatch):
    def reset(self, seed):
        raise RuntimeError("no simulator\nhere")

    monkeypatch.setattr(MovingDotVectorEnv, "reset", reset)
    result = check("observations", root)
    assert not result.passed and result.seen == "could not be made: RuntimeError: no simulator here"


def test_a_new_check_is_one_function(root, monkeypatch):
    result = CheckResult(False, "half", "It pulls.", "wait")
    mine = types.ModuleType("repro.preflight.mine")
    mine.check_moon = lambda config, root: result
    monkeypatch.setitem(sys.modules, mine.__name__, mine)
    monkeypatch.setitem(checks.CHECKS, "moon", "mine")
    assert list(run_checks(["moon"], config(), root)) == [("moon", result)]


def test_checks_are_made_one_by_one(root):
    made = run_checks(["disk_space", "tracking"], config(), root)
    name, first = next(made)
    assert (name, first.passed) == ("disk_space", True)
    assert [name for name, _ in made] == ["tracking"]
