"""The comparisons that a run begins with: of an untrained policy, collected by the run or exported before."""

from __future__ import annotations

import numpy as np

from repro.config import Config
from repro.envs import make_envs, random_actions
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.training.asking import ask, choose_pairs, make_oracle, segments_of
from repro.training.seeding import derive_seed, numpy_generator
from repro.training.storage import Storage


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
