"""The comparisons that a run begins with: of an untrained policy, collected by the run or exported before."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from repro.config import Config
from repro.envs import describe_environment, make_envs, random_actions
from repro.preferences.export import read_export
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.training.asking import ask, choose_pairs, make_oracle, people_see_screens, segments_of
from repro.training.seeding import derive_seed, numpy_generator
from repro.training.storage import Storage


def check_export(config: Config, folder: Path, seed: int) -> None:
    """Raise UserError unless `folder` holds exported comparisons that a run with `config` can start from."""
    if config.reward.source != "learned":
        raise UserError("--preferences: reward.source is environment, which needs none; leave the option out")
    others = f"repro prefs collect --seed {seed}"  # not to this folder: it may hold a person's work
    if not (folder / "meta.json").exists():
        raise UserError(
            f"{folder}: holds no exported preferences (no meta.json); make them with: {others} --out {folder}"
        )
    meta, _, segments = read_export(folder)
    if meta["environment"] != describe_environment(config.env):
        raise UserError(
            f"{folder}: holds preferences for {meta['environment']}, not for {describe_environment(config.env)}; "
            f"collect others: {others}"
        )
    if meta["labels"] != config.preferences.initial_labels:
        raise UserError(
            f"{folder}: holds {meta['labels']} labels, but preferences.initial_labels is "
            f"{config.preferences.initial_labels}; start with what is there: --set preferences.initial_labels="
            f"{meta['labels']}; or collect others: {others}"
        )
    lengths, wanted = {len(segment) for segment in segments.values()}, config.preferences.segment_steps
    # Short episodes give shorter segments, but hardly all of one length.
    if max(lengths) > wanted or (len(lengths) == 1 and lengths != {wanted}):
        raise UserError(
            f"{folder}: holds segments of {', '.join(map(str, sorted(lengths)))} steps, but preferences.segment_steps "
            f"is {wanted}; collect others: {others}"
        )


def collect_initial_labels(config: Config, seed: int, store: PreferenceStore, run: str) -> int:
    """Ask for the initial comparisons, of an untrained policy, in environments of their own.

    The policy is uniformly random but repeats its last action with probability `initial_action_repeat`: segments of
    independent actions hardly differ from each other. A person's answers are not waited for here. Returns the agent
    steps taken. Raises UserError if there are too few segments in as many steps as the whole training has.
    """
    preferences = config.preferences
    envs = make_envs(config.env, render=people_see_screens(config))
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
