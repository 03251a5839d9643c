"""Checks of episodes (Jones 2021), of the score, and of the machine (Rahtz 2018)."""

from __future__ import annotations

import statistics

from repro.health.check import check
from repro.health.history import LATELY, History, trend
from repro.health.subject import Subject, score_is_wanted

SPEED_ROWS = 10  # at least, and a quarter of those there are, of which the quickest counts
SLOPE_ROWS = 50  # over which a slope is told
MIN_SLOPE = 0.3  # of Kendall's correlation with time; by chance .1 (std) in 50 independent rows
HALF = 0.5  # of training
LATE = 0.75  # of training; of 89 runs of 19 experiments that learned, none scored below random after the first third
FEW = 3  # scores at least, of which the middle one counts
GROWTH_MB = 100  # MiB; less is no leak


@check(
    "episode/length_mean",
    "episode/length_std",
    meaning="Something other than the policy ends them, the same in each: what is learned is learned about that.",
    remedy="look at terminated and truncated of the environment, at its time limit, and at wrappers that count steps",
)
def equal_episodes(history: History, subject: Subject) -> str | None:
    """All episodes end after the same number of steps, before their time is up."""
    lengths = history.values("episode/length_mean", LATELY)
    deviations = history.values("episode/length_std", LATELY)
    longest = max(history.values("episode/length_max", LATELY), default=0)
    if len(lengths) < LATELY or max(deviations) > 0 or min(lengths) < longest or longest >= subject.horizon:
        return None
    return f"all episodes of {LATELY} rollouts took {longest:.0f} steps; they may take {subject.horizon}"


@check(
    "return/score",
    meaning="Half of training is over, and nothing of it shows; more of the same rarely helps.",
    remedy="stop it, and look for what is broken in a simpler environment first; see the other findings",
    applies=score_is_wanted,
)
def no_progress(history: History, subject: Subject) -> str | None:
    """The score is no better than at first."""
    gain, least = subject.score_gain(history), subject.thresholds.min_score_gain
    if gain is None or gain >= least or history.progress(subject.total_steps) < HALF:
        return None
    return f"return/score has changed by {gain:+.2f} since the first rollouts (at least +{least:g})"


@check(
    "return/score",
    meaning="What was learned is worse than nothing: an agent that draws its actions at random returns more.",
    remedy="look for a wrong sign; of learned rewards, try the true one (reward.source=environment), then more labels",
    applies=score_is_wanted,
)
def worse_than_random(history: History, subject: Subject) -> str | None:
    """When training is nearly over, the score is below that of random actions."""
    scores, least = history.values("return/score", LATELY), subject.thresholds.min_score
    if len(scores) < FEW or history.progress(subject.total_steps) < LATE:
        return None
    if (best := max(statistics.median(scores), scores[-1])) >= least:  # the latest: it may have begun to learn
        return None
    return f"return/score is {best:+.2f} of late (at least {least:g}; random actions score 0)"


@check(
    "throughput/steps_per_second",
    meaning="Something grows with every rollout: a list, a file that is read again, a computation graph that is kept. "
    "Or other programs have come to share the processor.",
    remedy="see what else computes (top); see which of time/* grows; profile a late rollout against an early one",
)
def slowing_down(history: History, subject: Subject) -> str | None:
    """Rollouts take longer and longer."""
    first, values = history.at_first("throughput/steps_per_second"), history.values("throughput/steps_per_second")
    # The best of many: other programs keep a machine busy at times.
    latest = values[-max(SPEED_ROWS, len(values) // 4) :]
    now, least = max(latest, default=0.0), subject.thresholds.min_speed
    if first is None or now >= least * first or trend(values[-SLOPE_ROWS:]) > -MIN_SLOPE:
        return None
    return (
        f"throughput/steps_per_second is {now:,.0f} at most of late, at first it was {first:,.0f} "
        f"(at least {least:.0%}), and it falls"
    )


@check(
    "memory/rss_mb",
    meaning="At this pace the machine's memory ends before the run does.",
    remedy="look for lists that keep tensors with their graphs (detach, item), and for caches without a bound",
)
def growing_memory(history: History, subject: Subject) -> str | None:
    """The process takes more and more memory, other than by filling its replay buffer."""
    first, now = history.at_first("memory/rss_mb"), history.lately("memory/rss_mb")
    most, replay = subject.thresholds.max_memory_growth, history.values("replay/size", 2)
    filling = len(replay) == 2 and replay[0] < replay[1]
    if first is None or now is None or filling or now <= max(most * first, first + GROWTH_MB):
        return None
    if trend(history.values("memory/rss_mb", SLOPE_ROWS)) < MIN_SLOPE:
        return None
    return f"memory/rss_mb is {now:,.0f}, at first it was {first:,.0f} (at most {most:g} times), and it grows"
