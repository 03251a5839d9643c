"""All health checks, live and of `repro doctor`: pure functions over the rows of metrics.jsonl.

A check looks at a run up to its latest row, and says what was seen, or None; it is silent where its metrics are absent.
Adding one is writing the function in one of the modules here, and naming it in `CHECKS`; docs/health.md lists them.
"""

from __future__ import annotations

from repro.health import of_labels, of_policy, of_progress, of_rewards, of_updates
from repro.health.check import Check, Finding
from repro.health.history import LATELY, History
from repro.health.subject import Subject

CHECKS: tuple[Check, ...] = (
    of_updates.non_finite,
    of_updates.still_layer,
    of_updates.large_update,
    of_updates.small_update,
    of_policy.entropy_collapse,
    of_policy.random_policy,
    of_policy.flat_entropy,
    of_policy.kl_spike,
    of_policy.much_clipped,
    of_policy.never_clipped,
    of_updates.bad_values,
    of_updates.large_targets,
    of_updates.advantages_off_centre,
    of_rewards.flat_reward,
    of_rewards.stale_normaliser,
    of_rewards.uncorrelated_reward,
    of_rewards.reward_hacking,
    of_rewards.overfitted_reward,
    of_rewards.reward_learns_nothing,
    of_rewards.identical_members,
    of_rewards.shrunken_disagreement,
    of_labels.unbalanced_labels,
    of_labels.many_ties,
    of_labels.duplicate_segments,
    of_labels.labels_overdue,
    of_progress.equal_episodes,
    of_progress.no_progress,
    of_progress.worse_than_random,
    of_progress.slowing_down,
    of_progress.growing_memory,
)
AT_FIRST = 100  # rows, at each of which all checks are made; then at every fifth, so that short rollouts stay quick


def find_problems(history: History, subject: Subject) -> list[Finding]:
    """What is unhealthy of late, by the checks whose turn it is."""
    due = [check for check in CHECKS if is_due(check, history)]
    return [finding for check in due if (finding := check(history, subject)) is not None]


def is_due(check: Check, history: History) -> bool:
    """Whether a check is to be made at the latest row; what is lost at once (`non_finite`) is looked for at each."""
    return history.count <= AT_FIRST or history.count % LATELY == 0 or check is of_updates.non_finite
