"""Questions about a rollout: its segments, in pairs, put into the store with the oracle's answers or without any."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from repro.config import PreferenceConfig
from repro.preferences.oracle import Oracle
from repro.preferences.queries import informative_pairs, uniform_pairs
from repro.preferences.reward_model import RewardModel
from repro.preferences.segments import Segment, cut_segments
from repro.preferences.store import PREFERENCES, PreferenceStore
from repro.training.seeding import derive_seed
from repro.training.storage import Storage


class Comparison(NamedTuple):
    """A labelled query."""

    number: int
    left: Segment
    right: Segment
    preference: float  # the probability that the left one is better: 1, 0 or .5


def segments_of(storage: Storage, length: int, end_penalty: float = 0.0) -> list[Segment]:
    """The segments of a rollout; `end_penalty` is taken off the reward of a step that an episode terminates with.

    The penalty is for annotators, who are to see an end as a failure (Christiano et al. 2017, A.2); returns that are
    reported are without it.
    """
    ends = storage.done & storage.terminated
    rewards = storage.true_rewards - np.float32(end_penalty) * ends
    observations, actions = storage.observations[1:], storage.actions.numpy()
    flags = (storage.valid, storage.done, storage.terminated)
    return cut_segments(observations, actions, rewards, *flags, length, storage.screens)


def make_oracle(config: PreferenceConfig, seed: int) -> Oracle | None:
    """Who answers at once; None where a person does, in their own time."""
    return Oracle(config.oracle, derive_seed(seed, "oracle")) if config.annotator == "oracle" else None


def choose_pairs(
    segments: list[Segment],
    count: int,
    config: PreferenceConfig,
    generator: np.random.Generator,
    model: RewardModel | None = None,
) -> list[tuple[Segment, Segment]]:
    """`count` pairs to ask about, fewer where segments run out; uniformly without a `model` that knows better.

    Nobody is asked to compare what is the same: such a pair is left out.
    """
    if model is None or config.queries == "uniform" or not segments:
        pairs = uniform_pairs(len(segments), count, generator)
    else:
        returns = model.returns(segments).numpy()
        pairs = informative_pairs(returns, count, config.query_candidates, config.queries, generator)
    chosen = [(segments[left], segments[right]) for left, right in pairs]
    return [(left, right) for left, right in chosen if left.hash != right.hash]


def ask(
    store: PreferenceStore,
    run: str,
    first: int,
    pairs: list[tuple[Segment, Segment]],
    env_step: int,
    strategy: str,
    oracle: Oracle | None,
) -> list[Comparison]:
    """Put queries, numbered from `first`, and the oracle's answers into the store, all or none.

    Returns those that were answered by a preference; none if there is no oracle.
    """
    answered = []
    with store.transaction():
        for number, (left, right) in enumerate(pairs, start=first):
            store.add_query(run, number, left, right, env_step, strategy)
            if oracle is None:
                continue
            answer = oracle.answer(number, left, right)
            store.add_label(run, number, answer, oracle.annotator, None, env_step)
            if answer in PREFERENCES:
                answered.append(Comparison(number, left, right, PREFERENCES[answer]))
    return answered
