"""The replay buffer against a plain list of all that happened: bit for bit, and never across two episodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from repro.experience.replay import Replay, Sample

SIZE = 3  # of an image, in pixels
FOUR = Discrete(4)


@dataclass
class Spaces:
    """As much of an environment as a buffer asks for."""

    num_envs: int
    single_observation_space: Box
    single_action_space: Discrete | Box


def spaces(num_envs: int, stack: int, actions: Discrete | Box = FOUR) -> Spaces:
    """Stacks of images, or for a stack of 0 vectors."""
    observation = Box(0, 255, (stack, SIZE, SIZE), np.uint8) if stack else Box(-1, 1, (5,), np.float32)
    return Spaces(num_envs, observation, actions)


class Story:
    """Random episodes with NEXT_STEP autoreset, remembered whole. Rewards number the transitions of all environments.

    An episode's first stack holds images that have nothing to do with each other.
    """

    def __init__(self, seed: int, envs: Spaces, end: float):
        self.envs, self.end = envs, end
        self.generator = np.random.default_rng(seed)
        self.images = envs.single_observation_space.dtype == np.uint8
        self.observations = np.stack([self.draw() for _ in range(envs.num_envs)])
        self.ended = np.zeros(envs.num_envs, bool)
        self.transitions: list[dict[int, tuple]] = [{} for _ in range(envs.num_envs)]
        self.number = 0

    def draw(self) -> np.ndarray:
        space = self.envs.single_observation_space
        if self.images:
            return self.generator.integers(0, 256, space.shape, np.uint8)
        return self.generator.normal(size=space.shape).astype(np.float32)

    def step(self) -> tuple[np.ndarray, ...]:
        """What the buffer is told of a step: actions, rewards, terminated, valid, observations."""
        count = self.envs.num_envs
        space = self.envs.single_action_space
        actions = (
            self.generator.integers(space.n, size=count)
            if isinstance(space, Discrete)
            else self.generator.normal(size=(count, *space.shape)).astype(np.float32)
        )
        rewards = np.arange(self.number, self.number + count, dtype=np.float32)
        self.number += count
        over = ~self.ended & (self.generator.random(count) < self.end)
        terminated = over & (self.generator.random(count) < 0.5)
        following = np.stack([self.draw() for _ in range(count)])
        if self.images:
            goes_on = ~self.ended
            following[goes_on, :-1] = self.observations[goes_on, 1:]
        for env in np.flatnonzero(~self.ended):
            self.transitions[env][int(rewards[env])] = (
                self.observations[env],
                actions[env],
                following[env],
                terminated[env],
            )
        valid, self.ended, self.observations = ~self.ended, over, following
        return actions, rewards, terminated, valid, following


def check(sample: Sample, story: Story, count: int) -> set[int]:
    """Each sampled transition is one that happened; returns their numbers."""
    numbers = sample.true_rewards.astype(int)
    assert len(numbers) == count
    happened = [story.transitions[number % story.envs.num_envs][number] for number in numbers]
    sampled = (sample.observations, sample.actions, sample.next_observations, sample.terminated)
    for one, other in zip(sampled, zip(*happened, strict=True), strict=True):
        np.testing.assert_array_equal(one, np.stack(other))
    return set(numbers)


@pytest.mark.parametrize("stack", [0, 1, 2, 4])
@pytest.mark.parametrize(("num_envs", "size", "end"), [(1, 1, 0.3), (1, 30, 0.5), (3, 20, 0.9), (5, 64, 0.1)])
def test_it_holds_the_last_transitions_as_they_were(stack, num_envs, size, end):
    """Through several turns of the ring, with episodes of one step among them."""
    envs = spaces(num_envs, stack)
    replay, story, generator = Replay(envs, size), Story(stack + size, envs, end), np.random.default_rng(0)
    replay.start(story.observations)
    for step in range(1, 250):
        replay.add(*story.step())
        if step % 10 and step > 3:
            continue
        numbers = check(replay.sample(40 * size, generator), story, 40 * size)
        assert len(numbers) == replay.size
        for env in range(num_envs):  # the last ones, without a gap
            held = sorted(number for number in numbers if number % num_envs == env)
            assert held and held == list(story.transitions[env])[-len(held) :]
    assert replay.added == sum(len(one) for one in story.transitions)


@pytest.mark.parametrize(("stack", "num_envs", "size"), [(0, 1, 10), (4, 3, 10), (4, 2, 64)])
def test_it_holds_as_many_transitions_as_were_asked_for(stack, num_envs, size):
    envs = spaces(num_envs, stack)
    replay, story = Replay(envs, size), Story(0, envs, end=0.0)
    replay.start(story.observations)
    for step in range(1, 100):
        replay.add(*story.step())
        assert replay.size >= min(step * num_envs, size)
    assert replay.size < size + num_envs * (2 * max(stack, 1) + 1)


def test_images_are_kept_once_as_they_are():
    replay = Replay(spaces(2, 4), 1000)
    assert replay.frames.dtype == np.uint8
    assert replay.frames.nbytes == 2 * (500 + 8) * SIZE * SIZE


def test_continuous_actions():
    envs = spaces(2, 0, Box(-1, 1, (3,), np.float32))
    replay, story = Replay(envs, 50), Story(0, envs, end=0.2)
    replay.start(story.observations)
    for _ in range(100):
        replay.add(*story.step())
    assert check(replay.sample(500, np.random.default_rng(0)), story, 500)


def test_all_transitions_are_as_likely():
    envs = spaces(2, 2)
    replay, story = Replay(envs, 40), Story(1, envs, end=0.2)
    replay.start(story.observations)
    for _ in range(60):
        replay.add(*story.step())
    draws = 400 * replay.size
    _, counts = np.unique(replay.sample(draws, np.random.default_rng(0)).true_rewards, return_counts=True)
    expected = draws / replay.size
    assert len(counts) == replay.size
    assert ((counts - expected) ** 2 / expected).sum() < replay.size + 4 * (2 * replay.size) ** 0.5  # chi-squared


@pytest.mark.parametrize("stack", [0, 4])
def test_what_was_saved_goes_on_as_if_nothing_had_happened(stack):
    envs = spaces(3, stack)
    replay, story = Replay(envs, 30), Story(2, envs, end=0.3)
    replay.start(story.observations)
    for _ in range(25):
        replay.add(*story.step())
    resumed = Replay(envs, 30)
    resumed.load_state_dict(replay.state_dict())
    for _ in range(25):
        step = story.step()
        replay.add(*step)
        resumed.add(*step)
        one, other = (buffer.sample(20, np.random.default_rng(3)) for buffer in (replay, resumed))
        for name, array in vars(one).items():
            np.testing.assert_array_equal(array, vars(other)[name])
    assert (resumed.size, resumed.added) == (replay.size, replay.added)


def test_nothing_joins_what_was_interrupted_with_what_begins():
    """As after a resume in which the environments had to start anew."""
    envs = spaces(2, 4)
    replay, story = Replay(envs, 60), Story(4, envs, end=0.1)
    replay.start(story.observations)
    for _ in range(20):
        replay.add(*story.step())
    before = replay.size
    story.observations, story.ended = np.stack([story.draw() for _ in range(2)]), np.zeros(2, bool)
    replay.start(story.observations)
    assert replay.size == before
    for _ in range(10):
        replay.add(*story.step())
    assert len(check(replay.sample(3000, np.random.default_rng(0)), story, 3000)) == replay.size > before
