"""Questions about rollouts: their segments, in pairs, put into the store with the oracle's answers or without any."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from repro.config import Config, PreferenceConfig
from repro.envs import make_envs, random_actions
from repro.experience.storage import Storage
from repro.preferences.oracle import Oracle
from repro.preferences.queries import informative_pairs, uniform_pairs
from repro.preferences.reward_model import RewardModel
from repro.preferences.segments import Segment, cut_segments
from repro.preferences.store import PREFERENCES, PreferenceStore
from repro.reading import UserError
from repro.seeding import derive_seed, numpy_generator


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

    Nobody is asked to compare what looks the same: such a pair is left out.
    """
    if model is None or config.queries == "uniform" or not segments:
        pairs = uniform_pairs(len(segments), count, generator)
    else:
        returns = model.returns(segments).numpy()
        pairs = informative_pairs(returns, count, config.query_candidates, config.queries, generator)
    chosen = [(segments[left], segments[right]) for left, right in pairs]
    return [(left, right) for left, right in chosen if not left.looks_like(right)]


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


def collect_initial_labels(config: Config, seed: int, store: PreferenceStore, run: str) -> int:
    """Ask for the initial comparisons, of an untrained policy, in environments of their own.

    The policy is uniformly random but repeats its last action with probability `initial_action_repeat`: segments of
    independent actions hardly differ from each other. A person's answers are not waited for here. Returns the agent
    steps taken. Raises UserError if there are too few segments in as many steps as the whole training has.
    """
    preferences = config.preferences
    envs = make_envs(config.env, render=config.people_see_screens)
    generator, chooser = numpy_generator(seed, "initial policy"), numpy_generator(seed, "initial queries")
    oracle = make_oracle(preferences, seed)
    storage = Storage.for_envs(envs, config.agent.rollout_steps)
    storage.observations[-1], _ = envs.reset(seed=derive_seed(seed, "initial env"))
    actions = random_actions(envs, generator)
    segments: list[Segment] = []
    steps = asked = 0
    try:
        while asked < preferences.initial_labels:
            if steps >= config.training.total_steps:
                raise UserError(
                    f"preferences.initial_labels ({preferences.initial_labels}): only {asked} comparisons, "
                    f"and {len(segments)} more segments of {preferences.segment_steps} steps, were found in {steps:,} "
                    "steps, all that training.total_steps allows; lower it, or preferences.segment_steps"
                )
            for step in storage.begin_rollout():
                repeat = generator.random(envs.num_envs) < preferences.initial_action_repeat
                fresh = random_actions(envs, generator)
                actions = np.where(repeat.reshape(-1, *[1] * (fresh.ndim - 1)), actions, fresh)
                storage.record(step, actions, envs.step(actions))
            steps += storage.true_rewards.size
            segments += segments_of(storage, preferences.segment_steps, preferences.oracle.episode_end_penalty)
            missing = preferences.initial_labels - asked
            if len(segments) >= 2 * missing:
                pairs = choose_pairs(segments, missing, preferences, chooser)
                ask(store, run, asked, pairs, 0, "uniform", oracle)
                asked, segments = asked + len(pairs), []  # fewer than were missing, if any showed the same twice
    finally:
        envs.close()
    return steps
