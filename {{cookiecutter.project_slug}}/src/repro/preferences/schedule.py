"""How many labels are asked for by when, and how long a person takes for theirs.

Christiano et al. 2017, appendix A: a share of the labels is collected from the untrained policy, the
others at a rate that falls with the frames T, as 2e6 / (T + 2e6) for robotics (A.1) and roughly as
5e6 / (T + 5e6) for Atari, where it is lowered every 5e6 frames (A.2). Here T counts agent steps from the
end of the initial collection, and the rate falls smoothly, or not at all where no decay is given.
"""

from __future__ import annotations

import math

from repro.config import Config, PreferenceConfig

# Of a person: 3 to 5 seconds a comparison, 900 in less than an hour (Christiano et al. 2017, 3.1 and 3.2).
LABELS_PER_HOUR = 900


def labels_due(config: PreferenceConfig, step: int, total_steps: int) -> int:
    """How many labels, in all, should have been asked for at `step` of `total_steps` agent steps.

    Both count from the end of the initial collection, over all environments. The rate decay / (t + decay),
    integrated from 0 to `step` and scaled so that the labels due run from exactly `initial_labels` at step 0 to
    exactly `total_labels` at `total_steps`, and stay there.
    """
    step = min(max(step, 0), total_steps)
    share, decay = step / total_steps, config.label_decay_steps
    if decay is not None:
        share = math.log1p(step / decay) / math.log1p(total_steps / decay)
    return config.initial_labels + math.floor((config.total_labels - config.initial_labels) * share)


def person_labels(config: Config, given: bool = False, fixed: bool = False) -> int:
    """How many labels of a person a run stands still for: all; the initial ones if it continues without the others.

    Args:
        given: whether the run starts from comparisons that were answered before.
        fixed: whether it keeps a reward model that it was given, and asks nothing.
    """
    if not config.person_annotates or fixed:
        return 0
    preferences = config.preferences
    later = preferences.total_labels - preferences.initial_labels
    return (0 if given else preferences.initial_labels) + (later if preferences.when_unlabelled == "wait" else 0)


def labelling_minutes(labels: int) -> float:
    """How long a person takes for so many labels, pauses left out."""
    return 60 * labels / LABELS_PER_HOUR
