"""Atari games: the two protocols, seeds, autoreset, colour screens, bad input."""

import numpy as np
import pytest
from atari_examples import atari_config, atari_envs
from gymnasium.utils.env_checker import check_env

from repro.envs import describe_environment, make_envs
from repro.envs.atari import AtariVectorEnv
from repro.envs.base import SingleEnv
from repro.reading import UserError

GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def play(envs, steps, seed, generator=None):
    """Everything that random actions give: observations, rewards, terminations, truncations, ends of games."""
    generator = generator or np.random.default_rng(5)
    rows = [(envs.reset(seed=seed)[0],)]
    for _ in range(steps):
        actions = generator.integers(envs.single_action_space.n, size=envs.num_envs)
        *row, info = envs.step(actions)
        rows.append((*row, info["over"]))
    return rows


def same(first, second):
    return all(
        np.array_equal(a, b) for one, other in zip(first, second, strict=True) for a, b in zip(one, other, strict=True)
    )


def resize_by_area(screen, size=84):
    """Each pixel is enlarged `size` times, so that the new pixels are averages of whole blocks."""
    shares = [np.repeat(np.eye(side), size, axis=1).reshape(side, size, side).mean(2) for side in screen.shape]
    return shares[0].T @ screen @ shares[1]


@pytest.mark.parametrize("protocol", ["classic", "sticky"])
def test_the_same_seed_gives_the_same_games_and_another_others(protocol):
    runs = [play(atari_envs(protocol=protocol), 150, seed) for seed in (2**62 + 1, 2**62 + 1, 2)]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_games_of_one_batch_differ_and_the_first_do_not_depend_on_how_many_there_are():
    two, four = (play(atari_envs("Pong", num_envs=count), 1, 3)[0][0] for count in (2, 4))
    np.testing.assert_array_equal(two, four[:2])
    assert len({observation.tobytes() for observation in four}) > 1


def test_what_games_do_does_not_depend_on_the_number_of_threads(monkeypatch):
    several = play(atari_envs(), 60, 1)
    monkeypatch.setattr("repro.envs.atari.usable_cores", lambda: 1)
    assert same(several, play(atari_envs(), 60, 1))


def games_that_start_alike(protocol):
    """The last images of games that were played alike, those together that had started with as many no-ops."""
    envs = atari_envs("Pong", protocol=protocol)
    groups = {}
    for seed in range(6):
        starts = envs.reset(seed=seed)[1]["episode_frame_number"]
        generator = np.random.default_rng(1)
        for _ in range(60):
            observations, *_ = envs.step(np.full(4, generator.integers(6)))
        for start, observation in zip(starts.tolist(), observations, strict=True):
            groups.setdefault(start, []).append(observation.tobytes())
    return [group for group in groups.values() if len(group) > 1]


def test_but_for_its_start_nothing_is_random_in_a_classic_game():
    groups = games_that_start_alike("classic")
    assert len(groups) > 3 and all(len(set(group)) == 1 for group in groups)


def test_a_sticky_game_does_not_always_do_as_it_is_told():
    (group,) = games_that_start_alike("sticky")
    assert len(group) == 24 and len(set(group)) > 12


def test_a_quarter_of_presses_of_one_frame_is_lost_in_sticky_games():
    """Breakout has no ball before FIRE is pressed: in the last of these games it never is."""
    envs = atari_envs(num_envs=9, protocol="sticky", frame_skip=1, frame_stack=1)
    lost = []
    for seed in range(6):
        envs.reset(seed=seed)
        for action in [0, 1, 0, 0, 0, 0]:
            observations, *_ = envs.step(np.array([action] * 8 + [0]))
        lost += (observations[:8] == observations[8]).all((1, 2, 3)).tolist()
    assert 0.12 < np.mean(lost) < 0.38  # two standard errors of 48


def test_classic_starts_with_no_ops_and_the_games_own_actions_sticky_with_none_and_all_18():
    starts = [atari_envs("Pong", protocol=protocol) for protocol in ("classic", "sticky")]
    frames = [np.stack([envs.reset(seed=seed)[1]["episode_frame_number"] for seed in range(6)]) for envs in starts]
    assert frames[0].max() <= 32 and len(set(frames[0].ravel().tolist())) > 12  # FIRE takes some as well
    assert not frames[1].any()
    assert [envs.single_action_space.n for envs in starts] == [6, 18]


def test_a_truncated_game_is_reset_by_the_next_step():
    envs = atari_envs("Pong", max_frames=200)
    before = envs.reset(seed=0)[1]["episode_frame_number"]
    for step in range(1, 103):
        _, rewards, terminated, truncated, info = envs.step(np.zeros(4, np.int64))
        assert not terminated.any()
        assert truncated.tolist() == info["over"].tolist() == [step in (50, 101)] * 4
        was_reset = info["episode_frame_number"] < before
        assert was_reset.all() == was_reset.any() == (step in (51, 102))
        assert not rewards[was_reset].any()
        before = info["episode_frame_number"]


@pytest.mark.parametrize("protocol", ["classic", "sticky"])
def test_colour_screens_show_the_very_frames_that_the_agent_sees(protocol):
    envs = atari_envs(evaluation=True, render=True, protocol=protocol, max_frames=800, num_envs=2)
    plain = atari_envs(evaluation=True, protocol=protocol, max_frames=800, num_envs=2)
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(envs.reset(seed=4)[0], plain.reset(seed=4)[0])
    ends = 0
    for step in range(405):
        actions = generator.integers(envs.single_action_space.n, size=2)
        observations, *_, info = envs.step(actions)
        np.testing.assert_array_equal(observations, plain.step(actions)[0])
        ends += info["over"].sum()
        if step % 10 == 0 or info["over"].any():
            for observation, screen in zip(observations, envs.render(), strict=True):
                assert screen.shape == (210, 160, 3) and screen.dtype == np.uint8
                assert np.abs(resize_by_area(np.rint(screen @ GREY)) - observation[-1]).max() < 2
    assert ends >= 4


def test_gymnasiums_checker_finds_no_fault():
    check_env(SingleEnv(make_envs(atari_config("Pong"), num_envs=1, render=True), render_mode="rgb_array"))


def test_scores_count_from_the_random_to_the_reference_return():
    envs = atari_envs(random_return=1.7, reference_return=31.8)
    assert envs.random_returns().tolist() == [1.7] * 4 and envs.optimal_returns().tolist() == [31.8] * 4


@pytest.mark.parametrize(
    "game, near", [("Pung", "ALE/Pong-v5"), ("MsPacMan", "ALE/MsPacman-v5"), ("space_invaders", "ALE/SpaceInvaders-v5")]
)
def test_an_unknown_game_is_refused_with_the_nearest_names(game, near):
    with pytest.raises(UserError, match=rf"^env\.id: there is no game ALE/{game}-v5; the nearest: .*{near}[^\n]*$"):
        AtariVectorEnv(atari_config(game), 1)


def test_the_description_tells_what_segments_must_have_in_common():
    seen = {
        describe_environment(atari_config(**change))
        for change in (
            {},
            {"game": "Pong"},
            {"protocol": "sticky"},
            {"frame_stack": 2},
            {"frame_skip": 3},
            {"hide_score": True},
        )
    }
    assert len(seen) == 6
    assert "ALE/Breakout-v5, classic protocol, images 84x84x4, frame skip 4, score shown" in seen
