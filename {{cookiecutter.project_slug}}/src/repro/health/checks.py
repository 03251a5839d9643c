"""Live health checks: pure functions over the rows of metrics.jsonl.

A check looks at the latest row, with those before it for comparison, and returns a `Finding` or None; it is silent
where its metric is absent. Adding one is writing the function and naming it in `CHECKS`. Thresholds are
starting points; J = Jones (2021), "Debugging RL, Without the Agonizing Pain".
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

MUST_BE_FINITE = (
    "policy/loss",
    "policy/entropy",
    "policy/approx_kl",
    "value/loss",
    "value/mean",
    "gradient/norm",
    "reward_model/loss_train",
    "reward_model/raw_mean",
    "reward_model/raw_std",
)
MIN_ENTROPY_SHARE = 0.02  # of the largest possible entropy (J)
# KL divergence from the policy that collected the rollout, in nats. One rollout of few steps tells little: in runs that
# solve their task, single ones reach 0.06 and far more than five times the median.
MAX_KL = 0.05  # of the middle one of the last KL_ROWS rollouts (J)
MAX_KL_ONCE = 0.1  # of any single one
MAX_KL_RATIO = 5.0  # of the same middle one to the recent median (J) ...
KL_HARMLESS = (
    0.04  # ... but for this much: among 60 runs that learned the largest was 0.037, of those that did not 0.12
)
KL_ROWS = 3
ROWS_FOR_A_MEDIAN = 10
RECENT_ROWS = 300  # as far back as checks look
HACKING_ROWS = 30  # in which episodes ended
MIN_TREND = 0.3  # of the predicted return, and of the true one downwards; by chance .13 (std) in 30 independent rows
MIN_FALL = 0.1  # of the score, whose 0 is about random and 1 the best known, from the first third to the last
MIN_REWARD_STD = 1e-3  # of the raw predicted reward


@dataclass(frozen=True)
class Finding:
    """Something unhealthy: what was seen, what it may mean, what to try."""

    check: str
    env_step: int
    seen: str
    meaning: str
    remedy: str

    def __str__(self) -> str:
        return f"step {self.env_step:,}: {self.check}: {self.seen}. {self.meaning} Try: {self.remedy}."


Check = Callable[[Sequence[Row], float | None], Finding | None]


def find_problems(rows: Sequence[Row], max_entropy: float | None = None) -> list[Finding]:
    """What is unhealthy in the latest of `rows`.

    Args:
        rows: of metrics.jsonl, oldest first; the last RECENT_ROWS are enough.
        max_entropy: of the policy in nats, log(actions) for discrete ones; None where there is no bound.
    """
    if not rows:
        return []
    return [finding for check in CHECKS.values() if (finding := check(rows, max_entropy)) is not None]


def non_finite(rows: Sequence[Row], max_entropy: float | None = None) -> Finding | None:
    """A loss, gradient or prediction is NaN or infinite."""
    row = rows[-1]
    bad = [name for name in MUST_BE_FINITE if not math.isfinite(row.get(name, 0.0))]
    if not bad:
        return None
    return Finding(
        "non_finite",
        row["env_step"],
        ", ".join(f"{name} is {row[name]}" for name in bad),
        "The parameters are lost, and nothing after this can be learned.",
        "a smaller learning rate; look for a division by zero, a logarithm of zero, unscaled rewards or observations",
    )


def entropy_collapse(rows: Sequence[Row], max_entropy: float | None = None) -> Finding | None:
    """The policy has all but stopped to explore."""
    entropy = rows[-1].get("policy/entropy")
    if entropy is None or max_entropy is None or not entropy < MIN_ENTROPY_SHARE * max_entropy:
        return None
    return Finding(
        "entropy_collapse",
        rows[-1]["env_step"],
        f"policy/entropy is {entropy:.3g} of at most {max_entropy:.3g}",
        "The policy does nearly always the same in a state, whether or not that is good.",
        "a larger entropy coefficient, a smaller learning rate or rewards of smaller scale",
    )


def kl_spike(rows: Sequence[Row], max_entropy: float | None = None) -> Finding | None:
    """An update moved the policy much too far, or several in a row did much farther than usual."""
    kl = rows[-1].get("policy/approx_kl")
    if kl is None or not math.isfinite(kl):
        return None
    values = [row.get("policy/approx_kl", math.nan) for row in rows[-RECENT_ROWS:]]
    values = [value for value in values if math.isfinite(value)]
    lately = statistics.median(values[-KL_ROWS:]) if len(values) >= KL_ROWS else 0.0
    earlier = values[:-KL_ROWS]
    usual = statistics.median(earlier) if len(earlier) >= ROWS_FOR_A_MEDIAN else math.inf
    if kl > MAX_KL_ONCE:
        seen = f"policy/approx_kl is {kl:.3g} (at most {MAX_KL_ONCE})"
    elif lately > MAX_KL:
        seen = f"policy/approx_kl is {lately:.3g} of late (at most {MAX_KL})"
    elif lately > max(KL_HARMLESS, MAX_KL_RATIO * usual):
        seen = f"policy/approx_kl is {lately:.3g} of late (at most {MAX_KL_RATIO:g} times the usual {usual:.3g})"
    else:
        return None
    return Finding(
        "kl_spike",
        rows[-1]["env_step"],
        seen,
        "Updates this large leave the region in which the surrogate objective can be trusted.",
        "a smaller learning rate, fewer epochs, a smaller clip range",
    )


def flat_reward(rows: Sequence[Row], max_entropy: float | None = None) -> Finding | None:
    """The reward model predicts the same for everything."""
    std = rows[-1].get("reward_model/raw_std")
    if std is None or not std < MIN_REWARD_STD:
        return None
    return Finding(
        "flat_reward",
        rows[-1]["env_step"],
        f"reward_model/raw_std is {std:.3g} (at least {MIN_REWARD_STD:g})",
        "Normalising such a reward amplifies noise; accuracy on labels does not show it.",
        "check the scale of the reward model's input, its learning rate and weight decay, and whether the labels vary",
    )


def reward_hacking(rows: Sequence[Row], max_entropy: float | None = None) -> Finding | None:
    """The predicted return rises while the true return falls (synthetic annotators only: a person's truth is unknown).

    Both by their trend over the last rows in which episodes ended, and the true score by its fall.
    """
    found = [row for row in rows[-RECENT_ROWS:] if {"predicted_return/mean", "return/score"} <= row.keys()]
    found = found[-HACKING_ROWS:]
    predicted = [row["predicted_return/mean"] for row in found]
    scores = [row["return/score"] for row in found]
    if len(found) < HACKING_ROWS or not all(map(math.isfinite, predicted + scores)):
        return None
    third = HACKING_ROWS // 3
    fall = statistics.fmean(scores[:third]) - statistics.fmean(scores[-third:])
    if trend(predicted) < MIN_TREND or trend(scores) > -MIN_TREND or fall < MIN_FALL:
        return None
    return Finding(
        "reward_hacking",
        rows[-1]["env_step"],
        f"over {len(found)} rollouts predicted_return/mean rose, and return/score fell by {fall:.2f}",
        "The agent has found what the reward model likes and its annotator would not.",
        "label what it does now (more labels, or later ones), a larger ensemble; look at the segments of the highest "
        "predicted reward",
    )


def trend(values: Sequence[float]) -> float:
    """Kendall's rank correlation with time: 1 if each value is above all earlier ones, -1 if below all of them.

    Mann (1945). It does not change where values are scaled, and one outlier hardly matters.
    """
    pairs = list(itertools.combinations(values, 2))
    return sum((later > earlier) - (later < earlier) for earlier, later in pairs) / len(pairs)


CHECKS: dict[str, Check] = {
    "non_finite": non_finite,
    "entropy_collapse": entropy_collapse,
    "kl_spike": kl_spike,
    "flat_reward": flat_reward,
    "reward_hacking": reward_hacking,
}
