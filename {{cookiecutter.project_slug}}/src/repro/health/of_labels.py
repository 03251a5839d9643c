"""Checks of the comparisons that the reward model learns from."""

from __future__ import annotations

from repro.health.check import check
from repro.health.history import LATELY, History
from repro.health.subject import Subject, learned_reward

ENOUGH_LABELS = 30  # to speak of shares


@check(
    "preferences/left",
    "preferences/labels",
    "preferences/ties",
    meaning="Which clip is shown first should make no difference: an answer is stuck, or sides are mixed up.",
    remedy="look at labels in the store (repro prefs export), and at how sides are drawn; label again what is wrong",
    applies=learned_reward,
)
def unbalanced_labels(history: History, subject: Subject) -> str | None:
    """Nearly all answers prefer the same side."""
    row, most = history.latest, subject.thresholds.max_label_imbalance
    if not {"preferences/left", "preferences/labels", "preferences/ties"} <= row.keys():
        return None
    left = row["preferences/left"]
    right = row["preferences/labels"] - row["preferences/ties"] - left
    if left + right < ENOUGH_LABELS or max(left, right) <= most * min(left, right):
        return None
    return f"{left:,.0f} answers prefer the left clip, {right:,.0f} the right one (at most {most:g}:1)"


@check(
    "preferences/ties",
    "preferences/labels",
    meaning="A tie teaches almost nothing: labels are spent on clips between which there is nothing to choose.",
    remedy="longer segments, queries by disagreement, a smaller preferences.oracle.equal_threshold",
    applies=learned_reward,
)
def many_ties(history: History, subject: Subject) -> str | None:
    """Nearly all answers are "equally good"."""
    return _share(history, "preferences/ties", subject.thresholds.max_ties, "labels are ties")


@check(
    "preferences/duplicates",
    "preferences/labels",
    meaning="The same clip was shown again; if it is learned from and also held out, validation is void.",
    remedy="longer or less regular episodes, more random starts; look at how segments are chosen",
    applies=learned_reward,
)
def duplicate_segments(history: History, subject: Subject) -> str | None:
    """Many segments were compared before."""
    most = subject.thresholds.max_duplicates
    return _share(history, "preferences/duplicates", most, "compared segments were compared before", of_each=2)


def _share(history: History, metric: str, most: float, what: str, of_each: int = 1) -> str | None:
    """What `metric` is of all labels, if that is more than `most`; `of_each`: how many a label can have."""
    count, labels = history.latest.get(metric, 0), history.latest.get("preferences/labels", 0)
    if labels < ENOUGH_LABELS or count <= most * of_each * labels:
        return None
    return f"{count:,.0f} of {of_each * labels:,.0f} {what} (at most {most:.0%})"


@check(
    "preferences/overdue",
    "preferences/queries_waiting",
    "preferences/labels",
    meaning="The reward model falls behind the policy: it judges what it has never seen labelled.",
    remedy="shorter segments or longer rollouts, so that segments fit; look whether the labelling page is still in use",
    applies=learned_reward,
)
def labels_overdue(history: History, subject: Subject) -> str | None:
    """Labels that are due wait for segments or for answers, and are not caught up with."""
    labels, most = history.latest.get("preferences/labels", 0), subject.thresholds.max_overdue
    for metric in ("preferences/overdue", "preferences/queries_waiting"):
        waiting = history.values(metric, LATELY)
        if len(waiting) == LATELY and min(waiting) > most * labels and waiting[-1] >= waiting[0]:
            return f"{metric} is {waiting[-1]:,.0f} beside {labels:,.0f} labels (at most {most:.0%})"
    return None
