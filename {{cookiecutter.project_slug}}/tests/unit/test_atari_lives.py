"""Lost lives end an episode for the agent, the game goes on: what is masked, what is counted, what is hidden."""

import numpy as np
import pytest
from atari_examples import atari_envs

from repro.asking.questions import segments_of
from repro.experience.episodes import EpisodeStatistics, score_scale
from repro.experience.storage import Storage
from repro.training.rewards import TrueReward

STEPS, GAMES = 260, 6


class Breakout:
    """Random play with what the emulator says of it: lives and frames of each game, (T + 1, N)."""

    def __init__(self, **settings):
        self.envs = atari_envs(num_envs=GAMES, **settings)
        self.storage = Storage.for_envs(self.envs, STEPS)
        self.storage.observations[-1], info = self.envs.reset(seed=11)
        self.lives, self.frames = [info["lives"]], [info["episode_frame_number"]]
        generator = np.random.default_rng(2)
        for step in self.storage.begin_rollout():
            actions = generator.integers(self.envs.single_action_space.n, size=GAMES)
            outcome = self.envs.step(actions)
            self.storage.record(step, actions, outcome)
            self.lives.append(outcome[-1]["lives"])
            self.frames.append(outcome[-1]["episode_frame_number"])
        self.lives, self.frames = np.stack(self.lives), np.stack(self.frames)
        self.was_reset = np.diff(self.frames, axis=0) < 0
        self.lost = (np.diff(self.lives, axis=0) < 0) & ~self.was_reset


@pytest.fixture(scope="module")
def played():
    return Breakout()


def test_a_lost_life_is_terminal_in_training_and_only_the_rows_of_real_resets_are_masked(played):
    storage = played.storage
    assert played.was_reset.sum() >= GAMES and played.lost.sum() >= 5 * played.was_reset.sum()
    np.testing.assert_array_equal(storage.terminated, played.lost)
    np.testing.assert_array_equal(storage.valid, ~played.was_reset)
    np.testing.assert_array_equal(storage.done[:-1], played.was_reset[1:])
    assert (played.lives[1:][storage.done] == 0).all()


def test_advantages_are_cut_at_lives_and_not_where_terminations_are_hidden(played):
    storage = played.storage
    seen = storage.rollout(*TrueReward().relabel(storage))
    np.testing.assert_array_equal(seen.terminated, played.lost)
    np.testing.assert_array_equal(seen.done, played.lost)
    hidden = storage.rollout(storage.true_rewards, np.zeros_like(storage.terminated))  # as LearnedReward has it
    np.testing.assert_array_equal(hidden.done, storage.done)


def test_segments_are_cut_at_resets_and_not_at_lost_lives(played):
    whole = shorter = 0
    for game in range(GAMES):
        stretches = np.diff([-1, *np.flatnonzero(played.was_reset[:, game]), STEPS]) - 1
        whole += sum(stretches // 25)
        shorter += sum(stretches[:-1] % 25 > 0)  # of the last steps of a game
    lengths = [len(segment) for segment in segments_of(played.storage, 25)]
    assert lengths.count(25) == whole > GAMES * 5 and len(lengths) == whole + shorter > whole


def test_a_penalty_for_the_end_of_a_game_is_seen_by_annotators_alone(played):
    before = played.storage.true_rewards.copy()
    plain, punished = segments_of(played.storage, 25), segments_of(played.storage, 25, end_penalty=2.0)
    ended = 0
    for one, other in zip(plain, punished, strict=True):
        difference = one.true_rewards - other.true_rewards
        assert not difference[:-1].any() and difference[-1] in (0, 2)
        ended += difference[-1] == 2
    assert ended == played.storage.done.sum() > GAMES / 2  # not where a life is lost
    np.testing.assert_array_equal(played.storage.true_rewards, before)


def test_returns_are_of_whole_games_and_unclipped():
    """Q*bert pays 25 points a cube: clipped, a return would be their number."""
    envs = atari_envs("Qbert", num_envs=2)
    storage = Storage.for_envs(envs, 450)
    storage.observations[-1], _ = envs.reset(seed=0)
    generator = np.random.default_rng(0)
    totals, lengths, finished, scales = np.zeros(2), np.zeros(2), [], {}
    for step in storage.begin_rollout():
        actions = generator.integers(6, size=2)
        outcome = envs.step(actions)
        storage.record(step, actions, outcome)
        totals, lengths = totals + outcome[1], lengths + storage.valid[step]
        for game in np.flatnonzero(outcome[-1]["over"]):
            finished.append((totals[game], lengths[game]))
            totals[game] = lengths[game] = 0
            scales[step] = score_scale(envs)
    rewards, terminated = TrueReward(clipped=True).relabel(storage)
    metrics = EpisodeStatistics(2).update(storage, rewards, scales)
    assert set(np.unique(rewards)) == {0.0, 1.0} and rewards.dtype == np.float32 and storage.true_rewards.max() >= 25
    assert terminated.sum() >= 3 * len(finished) > 0
    returns, steps = np.transpose(finished)
    assert metrics["episode/count"] == len(finished)
    assert metrics["return/mean"] == pytest.approx(returns.mean()) and returns.mean() >= 25
    assert metrics["episode/length_mean"] == pytest.approx(steps.mean())


def test_evaluation_plays_whole_games():
    evaluated = Breakout(evaluation=True)
    assert evaluated.lost.any()
    np.testing.assert_array_equal(evaluated.storage.terminated, evaluated.storage.done)
    np.testing.assert_array_equal(evaluated.storage.done[:-1], evaluated.was_reset[1:])


def test_sticky_games_say_nothing_of_lives():
    sticky = Breakout(protocol="sticky")
    assert sticky.lost.any()
    np.testing.assert_array_equal(sticky.storage.terminated, sticky.storage.done)
