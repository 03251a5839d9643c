"""Checks of the policy, after Jones (2021), "Debugging RL, Without the Agonizing Pain", and Rahtz (2018)."""

from __future__ import annotations

import statistics

from repro.health.check import check
from repro.health.history import LATELY, History
from repro.health.subject import Subject, on_policy, score_is_wanted

KL_ROWS = 3  # one rollout of few steps tells little: in runs that solve their task single ones reach 0.11
ROWS_FOR_A_MEDIAN = 10
# Share of `max_kl` below which many times the usual does no harm: in 15 runs of PPO that learned the largest was
# 0.053, with sixty times the learning rate 0.13.
HARMLESS = 0.8
CLIP_ROWS = 10
SAME_ENTROPY = 0.02  # share of the largest possible


@check(
    "policy/entropy_share",
    meaning="The policy does nearly always the same in a state, whether or not that is good.",
    remedy="a larger entropy coefficient, a smaller learning rate or rewards of smaller scale",
)
def entropy_collapse(history: History, subject: Subject) -> str | None:
    """The policy has almost stopped exploring."""
    share, least = history.latest.get("policy/entropy_share"), subject.thresholds.min_entropy
    if share is None or not share < least:
        return None
    return f"policy/entropy is {share:.2%} of the largest possible (at least {least:.0%})"


@check(
    "policy/entropy_share",
    meaning="Its actions are still random: nothing that was learned reaches them, or it is drowned.",
    remedy="a smaller entropy coefficient, a larger learning rate; look whether rewards differ between actions at all",
)
def random_policy(history: History, subject: Subject) -> str | None:
    """After the warm-up the policy is still almost uniformly random."""
    share, most = history.lately("policy/entropy_share"), subject.thresholds.max_entropy
    if share is None or share <= most or not subject.warm(history):
        return None
    return f"policy/entropy is {share:.1%} of the largest possible (at most {most:.0%} after the warm-up)"


@check(
    "policy/entropy_share",
    "return/score",
    meaning="The policy hardly changes, and is not good: updates do not reach it, or pull in all directions.",
    remedy="look at update/ratio and gradient/norm; a larger learning rate, larger batches; check the advantages' sign",
    applies=score_is_wanted,  # else a policy that is as random as at first, and good, cannot be told from a poor one
)
def flat_entropy(history: History, subject: Subject) -> str | None:
    """The entropy stays where it was, and the score too."""
    first, now = history.at_first("policy/entropy_share"), history.lately("policy/entropy_share")
    gain = subject.score_gain(history)
    if first is None or now is None or gain is None or history.progress(subject.total_steps) < 0.5:
        return None
    if abs(now - first) > SAME_ENTROPY or gain > subject.thresholds.min_score_gain:
        return None
    return (
        f"policy/entropy_share is {now:.1%}, at first it was {first:.1%}, and return/score has changed by {gain:+.2f}"
    )


@check(
    "policy/approx_kl",
    meaning="Updates this large leave the region in which the surrogate objective can be trusted.",
    remedy="a smaller learning rate, fewer epochs, a smaller clip range",
    applies=on_policy,
)
def kl_spike(history: History, subject: Subject) -> str | None:
    """An update moved the policy much too far, or several in a row did much farther than usual."""
    limits, values = subject.thresholds, history.values("policy/approx_kl")
    lately = statistics.median(values[-KL_ROWS:]) if len(values) >= KL_ROWS else 0.0
    earlier = values[:-KL_ROWS]
    usual = statistics.median(earlier) if len(earlier) >= ROWS_FOR_A_MEDIAN else float("inf")
    if (once := max(values[-LATELY:], default=0.0)) > limits.max_kl_once:
        return f"policy/approx_kl reached {once:.3g} (at most {limits.max_kl_once:g})"
    if lately > limits.max_kl:
        return f"policy/approx_kl is {lately:.3g} of late (at most {limits.max_kl:g})"
    if lately > max(HARMLESS * limits.max_kl, limits.max_kl_ratio * usual):
        return f"policy/approx_kl is {lately:.3g} of late (at most {limits.max_kl_ratio:g} times the usual {usual:.3g})"
    return None


@check(
    "policy/clip_fraction",
    meaning="Most of what these steps say is cut off, and the policy is pushed about by the rest.",
    remedy="a smaller learning rate, fewer epochs or minibatches",
)
def much_clipped(history: History, subject: Subject) -> str | None:
    """Too many probability ratios are beyond PPO's clip range."""
    share, most = history.lately("policy/clip_fraction"), subject.thresholds.max_clip_fraction
    if share is None or share <= most:
        return None
    return f"policy/clip_fraction is {share:.0%} of late (at most {most:.0%})"


@check(
    "policy/clip_fraction",
    meaning="Updates are so small that PPO has nothing to clip: the policy learns slower than it could, or not at all.",
    remedy="a larger learning rate, more epochs; look at gradient/norm and at whether rewards vary",
)
def never_clipped(history: History, subject: Subject) -> str | None:
    """No probability ratio is beyond PPO's clip range."""
    values, least = history.values("policy/clip_fraction", CLIP_ROWS), subject.thresholds.min_clip_fraction
    if len(values) < CLIP_ROWS or max(values) > least or not subject.warm(history):
        return None
    if subject.annealed(history):
        return None
    return f"policy/clip_fraction is {max(values):.1%} at most in the last {len(values)} rollouts"
