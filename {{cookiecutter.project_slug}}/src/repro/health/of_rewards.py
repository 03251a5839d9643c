"""Checks of the reward model, after Rahtz (2018) and Christiano et al. (2017), whose loss ratio is 1.1 to 1.5."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable

from repro.health.check import ERROR, Finding, check
from repro.health.history import LATELY, History, Row, trend
from repro.health.subject import Subject, learned_reward

HACKING_ROWS = 30  # in which episodes ended
MIN_TREND = 0.3  # of the predicted return, and of the true one downwards; by chance .13 (std) in 30 independent rows
MIN_FALL = 0.1  # of the score, whose 0 is about random and 1 the best known, from the first third to the last
IDENTICAL = 1e-6  # of normalised rewards
WORTH_LEARNING = 0.05  # nats; less where nearly all answers are ties


def oracle_answers(subject: Subject) -> bool:
    """Whether rewards are learned from an oracle, so that true returns are those that it judges by."""
    return subject.learned and subject.oracle


def ensemble(subject: Subject) -> bool:
    """Whether there are several reward models."""
    return subject.learned and subject.members > 1


@check(
    "reward_model/raw_std",
    severity=ERROR,
    meaning="Normalising such a reward amplifies noise; accuracy on labels does not show it.",
    remedy="check the scale of the reward model's input, its learning rate and weight decay; look whether labels vary",
    applies=learned_reward,
)
def flat_reward(history: History, subject: Subject) -> str | None:
    """The reward model predicts the same for everything."""
    std, least = history.latest.get("reward_model/raw_std"), subject.thresholds.min_reward_std
    if std is None or not std < least:
        return None
    return f"reward_model/raw_std is {std:.3g} (at least {least:g})"


@check(
    "reward_model/normalised_std",
    "reward_model/normalised_mean",
    meaning="Predictions have left the statistics that normalise them: the agent's rewards have another scale.",
    remedy="look whether the running mean and variance are updated, and from the same predictions that are normalised",
    applies=learned_reward,
)
def stale_normaliser(history: History, subject: Subject) -> str | None:
    """Normalised rewards of labelled segments are not of mean 0 and the wanted standard deviation."""
    mean, std = history.lately("reward_model/normalised_mean"), history.lately("reward_model/normalised_std")
    most = subject.thresholds.max_normalised_shift
    if mean is None or std is None or (abs(mean) <= most and 1 / most <= std <= most):
        return None
    return (
        f"normalised rewards of held-out segments have mean {mean:.2g} (within {most:g} of 0) and std {std:.2g} "
        f"({1 / most:.2g} to {most:g})"
    )


@check(
    "reward_model/return_correlation",
    meaning="What the agent is rewarded for is not what its annotator wants.",
    remedy="more labels, a longer pretraining; look whether labels are the right way round, and at the network's input",
    applies=oracle_answers,
)
def uncorrelated_reward(history: History, subject: Subject) -> str | None:
    """Predicted returns of held-out segments have little to do with the true ones."""
    correlation, least = history.lately("reward_model/return_correlation"), subject.thresholds.min_return_correlation
    if correlation is None or correlation >= least or not subject.warm(history):
        return None
    return f"reward_model/return_correlation is {correlation:.2f} of late (at least {least:g})"


@check(
    "predicted_return/mean",
    "return/score",
    meaning="The agent is rewarded for something other than the score: a reward model that is wrong, or a wrapped or "
    "clipped reward.",
    remedy="watch what it is rewarded most for; of learned rewards, label what it does now (more, or later labels), a "
    "larger ensemble",
)
def reward_hacking(history: History, subject: Subject) -> str | None:
    """The predicted return rises while the true return falls."""
    return hacking(history)


def hacking(history: History) -> str | None:
    """What `reward_hacking` sees: two trends over the last rows in which episodes ended, and a fall that counts.

    Where a person answers, the environment's return may not be what they want; but they should know.
    """
    ended = (row for row in reversed(history.rows) if {"predicted_return/mean", "return/score"} <= row.keys())
    found = list(itertools.islice(ended, HACKING_ROWS))[::-1]
    predicted = [row["predicted_return/mean"] for row in found]
    scores = [row["return/score"] for row in found]
    if len(found) < HACKING_ROWS or not all(map(math.isfinite, predicted + scores)):
        return None
    third = HACKING_ROWS // 3
    fall = statistics.fmean(scores[:third]) - statistics.fmean(scores[-third:])
    if fall < MIN_FALL or trend(predicted) < MIN_TREND or trend(scores) > -MIN_TREND:
        return None
    steps = f"from step {found[0]['env_step']:,} to {found[-1]['env_step']:,}"  # rows may have been left out
    return f"{steps} predicted_return/mean rose, and return/score fell by {fall:.2f}"


def first_hacking(rows: Iterable[Row]) -> Finding | None:
    """Where it was first seen in a whole run."""
    history = History()
    for row in rows:
        history.add(row)
        if "return/score" in row and (seen := hacking(history)):
            return reward_hacking.finding(history, seen)
    return None


@check(
    "reward_model/loss_ratio",
    meaning="The reward model knows its labels by heart, and little else.",
    remedy="more weight decay (adaptive: as the paper), fewer gradient steps, early stopping, more labels",
    applies=learned_reward,
)
def overfitted_reward(history: History, subject: Subject) -> str | None:
    """After the warm-up the loss of held-out labels is well above that of labels learned from."""
    ratio, most = history.lately("reward_model/loss_ratio"), subject.thresholds.max_loss_ratio
    if ratio is None or ratio <= most or not subject.warm(history):
        return None
    return f"reward_model/loss_ratio is {ratio:.2f} of late (at most {most:g} after the warm-up)"


@check(
    "reward_model/loss_train",
    "reward_model/loss_floor",
    meaning="It predicts preferences no better than a coin, on the very labels that it is trained on.",
    remedy="check its learning rate and optimiser, the scale of its input, and that labels belong to their segments",
    applies=learned_reward,
)
def reward_learns_nothing(history: History, subject: Subject) -> str | None:
    """The reward model's loss stays about ln 2, though its labels allow much less."""
    loss, floor = history.lately("reward_model/loss_train"), history.lately("reward_model/loss_floor")
    if loss is None or floor is None or not subject.warm(history):
        return None
    possible, gained, least = math.log(2) - floor, math.log(2) - loss, subject.thresholds.min_loss_gain
    if possible < WORTH_LEARNING or gained >= least * possible:
        return None
    return f"reward_model/loss_train is {loss:.3f} of late; ln 2 is {math.log(2):.3f}, and {floor:.3f} possible"


@check(
    "reward_model/disagreement",
    severity=ERROR,
    meaning="The ensemble is one model: its disagreement says nothing of what is not known, and chooses no queries.",
    remedy="check that members have weights of their own, and labels of their own",
    applies=ensemble,
)
def identical_members(history: History, subject: Subject) -> str | None:
    """All members of the ensemble predict the same."""
    values = history.values("reward_model/disagreement", LATELY)
    if len(values) < LATELY or max(values) > IDENTICAL:
        return None
    return f"reward_model/disagreement is {max(values):.2g} at most in the last {LATELY} rollouts"


@check(
    "reward_model/disagreement",
    "reward/std",
    meaning="Members have come to share their errors, and queries are chosen by what is left of their differences.",
    remedy="more members, bootstrap or a larger validation share; look whether they share weights or labels",
    applies=ensemble,
)
def shrunken_disagreement(history: History, subject: Subject) -> str | None:
    """Members differ a fraction as much as at first, beside how much rewards vary."""
    now, first = history.lately("reward_model/disagreement"), history.at_first("reward_model/disagreement")
    spread, spread_at_first = history.lately("reward/std"), history.at_first("reward/std")
    if now is None or first is None or not spread or not spread_at_first:
        return None
    share, least = (now / spread) / (first / spread_at_first) if first else 1.0, subject.thresholds.min_disagreement
    if share >= least:
        return None
    return f"reward_model/disagreement by reward/std is {share:.1%} of what it was at first (at least {least:.0%})"
