"""Each live health check names the illness it is made for, and is silent on a healthy run."""

from __future__ import annotations

import math

import pytest
from project import SOURCE

from repro.config import load_config
from repro.health import history
from repro.health.checks import AT_FIRST, CHECKS, find_problems
from repro.health.history import LATELY, History
from repro.health.subject import Subject

CONFIG = load_config(SOURCE / "presets/moving-dot-small.yaml", ["training.total_steps=102400"])
SUBJECT = Subject.of(CONFIG.model_dump())


def healthy_run(rows: int = 30) -> list[dict[str, float]]:
    """What a run that learns looks like: entropy and KL fall slowly, as with an annealed learning rate."""
    return [
        {
            "env_step": 1024 * (i + 1),
            "policy/loss": -0.01,
            "policy/entropy": 1.6 * (1 - 0.8 * i / rows),
            "policy/entropy_share": 1 - 0.8 * i / rows,
            "policy/approx_kl": 0.008 * (1 - i / rows) + 0.001 * (i % 3),
            "value/loss": 0.5,
            "value/explained_variance": math.nan,  # where the returns do not vary; no illness
            "gradient/norm": 0.4,
            "reward_model/raw_std": 0.3,
        }
        for i in range(rows)
    ]


def problems(rows):
    return find_problems(History(rows), SUBJECT) if rows else []


def found(rows) -> list[str]:
    return [finding.check for finding in problems(rows)]


def test_a_healthy_run_is_silent_all_along():
    rows = healthy_run()
    assert all(found(rows[:length]) == [] for length in range(len(rows) + 1))


@pytest.mark.parametrize(
    "name, value, check",
    [
        ("policy/loss", math.nan, "non_finite"),
        ("gradient/norm", math.inf, "non_finite"),
        ("reward_model/loss_train", -math.inf, "non_finite"),
        ("policy/entropy_share", 0.01, "entropy_collapse"),
        ("policy/entropy_share", 0.0, "entropy_collapse"),
        ("policy/approx_kl", 0.16, "kl_spike"),
        ("reward_model/raw_std", 0.0005, "flat_reward"),
        ("reward_model/raw_std", 0.0, "flat_reward"),
    ],
)
def test_an_illness_is_named(name, value, check):
    rows = healthy_run()
    rows[-1][name] = value
    assert found(rows) == [check]
    line = str(problems(rows)[0])
    assert name.removesuffix("_share") in line and "30,720" in line and "Try:" in line


def with_last_kl(values: list[float], rows=None) -> list[dict[str, float]]:
    rows = rows or healthy_run()
    for row, value in zip(rows[-len(values) :], values, strict=True):
        row["policy/approx_kl"] = value
    return rows


@pytest.mark.parametrize(
    "values",
    [
        [0.1056],  # the largest single one in runs that solved their task: CartPole, PPO, seed 102
        [0.0528, 0.0528, 0.0528],  # ten times the median: the largest middle one of three, of the same
        [0.0105],
    ],
)
def test_single_and_small_updates_are_no_spike(values):
    assert found(with_last_kl(values)) == []


@pytest.mark.parametrize("values", [[0.09, 0.1, 0.09], [0.09, 0.001, 0.09], [0.066, 0.066, 0.066]])
def test_several_large_updates_are_a_spike(values):
    rows = with_last_kl(values)
    assert found(rows[:-2]) == [] and found(rows) == ["kl_spike"]


def test_a_spike_is_seen_against_recent_finite_values():
    rows = healthy_run(history.RECENT_ROWS + 100)
    for row in rows[:100]:
        row["policy/approx_kl"] = 1.0  # long ago; then too large and non-finite ones that do not count
    for row in rows[120:300:2]:
        row["policy/approx_kl"] = math.nan
    assert found(rows) == []
    rows = with_last_kl([0.07] * 3, rows)
    assert found(rows) == ["kl_spike"] == found(rows[-history.RECENT_ROWS :])
    assert "is 0.07 of late (at most 5 times the usual 0.00" in str(problems(rows)[0])


def test_a_layer_that_never_moved_is_named_and_one_that_has_nothing_left_to_learn_is_not():
    never, solved = healthy_run(), healthy_run()
    for index in range(30):
        never[index]["update/still_layers"] = 2
        solved[index]["update/still_layers"] = 2 if index >= 20 else 0
    assert found(never) == ["still_layer"] and found(never[:9]) == found(solved) == []
    silent = never + healthy_run(history.RECENT_ROWS + 10)  # as an agent that fills its buffer again after a resume
    for row in silent[len(never) :]:
        row.pop("update/still_layers", None)
    assert found(silent) == []


def test_few_rows_give_no_median_and_an_unbounded_entropy_no_collapse():
    rows = with_last_kl([0.045] * 3, healthy_run()[:12])
    rows[-1]["policy/entropy"] = -3.0  # of a Gaussian, which has no share
    del rows[-1]["policy/entropy_share"]
    assert found(rows) == []


def test_long_runs_are_looked_at_now_and_then_but_for_what_is_lost_at_once():
    rows = healthy_run(AT_FIRST + 2 * LATELY)
    for row in rows:
        row["policy/entropy_share"] = 0.0
    looks = [length for length in range(1, len(rows) + 1) if found(rows[:length])]
    assert looks == [*range(1, AT_FIRST + 1), AT_FIRST + LATELY, AT_FIRST + 2 * LATELY]
    rows[AT_FIRST + 1]["policy/loss"] = math.nan
    assert found(rows[: AT_FIRST + 2]) == ["non_finite"]


def test_first_and_latest_values_of_a_metric_are_told_apart():
    history = History({"env_step": i, **({"a": float(i)} if i % 2 else {"a": math.inf})} for i in range(2 * LATELY))
    assert history.lately("a") == 5.0 and history.at_first("a") is None  # 1, 3, 5, 7 and 9: the same ones
    for i in range(LATELY):
        history.add({"env_step": 100 + i, "a": 50.0 + i})
    assert history.at_first("a") == 5.0 and history.lately("a") == 52.0
    assert history.values("a", 3) == [52.0, 53.0, 54.0] and history.values("b") == [] and history.lately("b") is None
    assert history.progress(204) == 104 / 204


@pytest.mark.parametrize(
    ("scores", "until", "said"),
    [
        ([-0.5, -0.2, -0.3], 0.94, "-0.30"),  # as few as a short run has
        ([0.0, -0.9, -0.4, -0.2, -0.06, -0.1], 0.75, "-0.10"),
        ([-0.9, -0.9, -0.9, -0.9, -0.9], 0.74, None),  # a dip; it may end yet
        ([-0.9, -0.9, -0.9, -0.5, 0.1], 0.94, None),  # it has begun to learn, late
        ([0.4, 0.5, 0.6, 0.5, -0.3], 0.94, None),  # one bad rollout of a good policy
        ([-0.05, -0.05, -0.05], 1.0, None),  # chance
        ([-0.9, -0.9], 1.0, None),
    ],
)
def test_a_score_below_random_counts_once_training_is_nearly_over(scores, until, said):
    """A row in four has a score: episodes end seldom."""
    rows, last = healthy_run(4 * len(scores)), {"env_step": 102400 * until}
    for number, score in enumerate(scores):
        rows[4 * number + 3]["return/score"] = score
    rows[0]["env_step"] = 0
    rows[-1] |= last
    findings = problems(rows)
    assert [finding.check for finding in findings] == (["worse_than_random"] if said else [])
    assert not said or f"return/score is {said} of late (at least -0.05; random actions score 0)" in str(findings[0])
    params = CONFIG.model_dump()
    params["preferences"]["annotator"] = "person"  # who may want something else than the environment rewards
    assert find_problems(History(rows), Subject.of(params)) == []


def test_progress_counts_from_the_first_row():
    history = History([{"env_step": 1000}, {"env_step": 1500}])  # initial labels took nearly a thousand
    assert history.progress(2000) == 0.5


def test_thresholds_are_those_of_the_run():
    rows = healthy_run()
    rows[-1]["policy/entropy_share"] = 0.01
    params = CONFIG.model_dump()
    params["health"] = {"min_entropy": 0.005, "of_older_code": 3}
    assert found(rows) == ["entropy_collapse"] and find_problems(History(rows), Subject.of(params)) == []
    del params["health"]
    assert Subject.of(params) == SUBJECT


def test_each_check_says_what_people_need():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.about.endswith(".") and check.meaning.endswith(".") and not check.remedy.endswith(".")
        assert check.reads and check.severity in ("error", "warning")


def test_rows_without_the_metric_are_silent():
    assert found([{"env_step": 1}, {"env_step": 2}]) == []
