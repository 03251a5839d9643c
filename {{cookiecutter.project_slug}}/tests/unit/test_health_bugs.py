"""Each bug that is planted in a real training run is named by its health check; healthy runs are silent."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from project import SOURCE
from sick_runs import BUGS, Bug, train

from repro.config import Config, load_config
from repro.health.checks import CHECKS, find_problems
from repro.health.diagnosis import FOUND, NOT_MADE, diagnose
from repro.health.history import History, Row
from repro.health.subject import Subject

# A cart-pole of fixed horizon in runs of a second.
SMALL = (
    "env.max_steps=50",
    "env.reference_return=50",
    "env.random_return=20",
    "agent.rollout_steps=64",
    "agent.epochs=8",
    "agent.minibatches=4",
    "training.total_steps=12288",
    "preferences.total_labels=120",
    "preferences.initial_labels=60",
    "preferences.segment_steps=10",
    "preferences.label_decay_steps=4000",
    "reward_model.members=2",
    "reward_model.hidden=32",
    "reward_model.pretraining_steps=60",
    "reward_model.steps_per_rollout=10",
)
OF_THE_MACHINE = {"slowing_down", "growing_memory"}  # which other programs may make unhealthy


def small(source: str) -> Config:
    return load_config(SOURCE / "presets/cartpole-preferences.yaml", (*SMALL, f"reward.source={source}"))


def found(config: Config, rows) -> dict[str, str]:
    """Name of each check that saw something, and its severity."""
    diagnoses = diagnose(rows, Subject.of(config.model_dump()))
    return {one.check.name: one.check.severity for one in diagnoses if one.state == FOUND}


def naming(bug: Bug, config: Config) -> Callable[[Row], bool]:
    """Whether the bug has been named, asked with each row as it comes: what follows changes nothing of that."""
    history, subject = History(), Subject.of(config.model_dump())

    def is_named(row: Row) -> bool:
        history.add(row)
        return any(problem.check in bug.named for problem in find_problems(history, subject))

    return is_named


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")  # by numpy, where all rewards are equal
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_the_bug_is_named(bug: Bug):
    config = small(bug.rewards[0])
    rows = train(config, 100, bug, enough=naming(bug, config))
    assert found(config, rows).keys() & set(bug.named)


@pytest.mark.parametrize("source", ["environment", "learned"])
@pytest.mark.parametrize("seed", [100, 101])
def test_a_healthy_run_is_silent(source: str, seed: int):
    config = small(source)
    assert found(config, train(config, seed)).keys() - OF_THE_MACHINE == set()


def test_each_check_has_a_bug_that_it_alone_has_to_name():
    """Of a bug that several checks may name, one that never fires would not be missed: it has a test of its own."""
    alone = {bug.named[0] for bug in BUGS if len(bug.named) == 1}
    below = {"flat_entropy", "never_clipped", "no_progress", "large_update", "worse_than_random"}
    elsewhere = {"reward_hacking"}  # test_health_reward_hacking.py
    assert alone | below | elsewhere == {check.name for check in CHECKS}


def test_a_policy_that_does_not_learn_has_several_findings():
    config = small("environment")
    bug = Bug("nothing is learned", (), (("agent.learning_rate", 1e-12),))
    assert found(config, train(config, 100, bug)).keys() >= {"flat_entropy", "never_clipped", "no_progress"}


@pytest.mark.parametrize("half", [0, 1], ids=["policy", "values"])
def test_half_an_encoder_that_no_gradient_reaches_is_seen(half: int):
    """Vectors pass through an encoder of the policy's and one of the values', whose layers are in one tensor each."""

    def detach(encoder, observations, features):
        return torch.stack([part.detach() if index == half else part for index, part in enumerate(features)])

    def plant(trainer):
        trainer.agent.network.encoder.register_forward_hook(detach)

    config, bug = small("environment"), Bug("no gradient for half the encoder", ("still_layer",), plant=plant)
    rows = train(config, 100, bug, enough=naming(bug, config))
    assert found(config, rows)["still_layer"] == "error" and rows[-1]["update/still_layers"] == 4


def test_updates_that_replace_the_network_are_seen_where_it_stays_finite():
    config = small("environment")
    bug = Bug("large updates", ("large_update",), (("agent.learning_rate", 10.0),))
    rows = train(config, 100, bug, enough=naming(bug, config))
    assert found(config, rows).keys() & {"large_update", "non_finite"} == {"large_update"}


def test_a_policy_that_is_worse_than_a_random_one_is_seen():
    config = small("environment")
    (bug,) = [bug for bug in BUGS if bug.what == "rewards with the wrong sign"]
    assert found(config, train(config, 100, bug)).keys() >= {"worse_than_random"}


def test_checks_are_made_where_they_apply():
    learned, true = small("learned").model_dump(), small("environment").model_dump()
    one = learned | {"reward_model": learned["reward_model"] | {"members": 1}}
    person = learned | {"preferences": learned["preferences"] | {"annotator": "person"}}
    dqn = true | {"agent": true["agent"] | {"algorithm": "dqn"}}
    assert not_made(learned) == set()
    assert not_made(true) >= {"flat_reward", "identical_members", "many_ties", "uncorrelated_reward"}
    assert not_made(one) == {"identical_members", "shrunken_disagreement"}
    by_the_score = {"uncorrelated_reward", "flat_entropy", "no_progress", "worse_than_random"}
    assert not_made(person) == by_the_score  # which may not be what the person wants
    assert not_made(dqn) - not_made(true) == {"kl_spike", "bad_values", "advantages_off_centre"}


def not_made(params) -> set[str]:
    return {one.check.name for one in diagnose([], Subject.of(params)) if one.state == NOT_MADE}
