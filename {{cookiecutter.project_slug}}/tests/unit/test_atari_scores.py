"""What is blacked out shows score and lives, and nothing else does: the emulator's memory is changed, and looked at."""

from pathlib import Path

import ale_py
import numpy as np
import pytest
from atari_examples import atari_config, atari_envs
from test_atari import resize_by_area

from repro.config import load_config
from repro.envs.atari import AtariVectorEnv, rom_name
from repro.envs.score_areas import SCORE_AREAS, paint_black
from repro.reading import UserError

PRESETS = Path(__file__).parents[2] / "presets"
# Bytes of the console's memory that hold what is shown of score, lives, levels and enemies left.
COUNTERS = {
    "ALE/BeamRider-v5": {"score": [9, 10, 11], "sector": [0], "lives": [5], "enemies": [84]},
    "ALE/Breakout-v5": {"score": [76, 77], "lives": [57]},
    "ALE/Enduro-v5": {"distance": [40, 41, 42], "cars to pass": [43, 44], "day": [45]},
    "ALE/Pong-v5": {"score": [13, 14]},
    "ALE/Qbert-v5": {"score": [89, 90, 91], "lives": [8]},
    "ALE/Seaquest-v5": {"score": [56, 57, 58], "lives": [59]},
    "ALE/SpaceInvaders-v5": {"score": [102, 104]},
}


def images_after(console, state, address=None, value=None):
    """The next screens, grey, 84 x 84, if a byte of the memory were another: (3, 84, 84)."""
    console.restoreState(state)
    if address is not None:
        console.setRAM(address, value)
    screens = []
    for _ in range(3):
        console.act(ale_py.Action.NOOP)
        screens.append(resize_by_area(console.getScreenGrayscale().squeeze().astype(float)))
    return np.rint(screens).astype(np.uint8)


@pytest.mark.parametrize("game", COUNTERS)
def test_no_pixel_outside_the_black_areas_depends_on_the_score(game):
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    console = ale_py.ALEInterface()
    console.setInt("random_seed", 1)
    console.loadROM(ale_py.roms.get_rom_path(rom_name(game)))
    generator = np.random.default_rng(0)
    for _ in range(400):
        console.act(console.getMinimalActionSet()[generator.integers(3)])
    state = console.cloneState()
    assert not console.game_over()
    before = images_after(console, state)
    for name, addresses in COUNTERS[game].items():
        seen = []
        for address in addresses:
            for value in (1, 2, 3):
                after = images_after(console, state, address, value)
                seen.append((after != before).any())
                hidden = [images.copy() for images in (before, after)]
                for images in hidden:
                    paint_black(images, game)
                np.testing.assert_array_equal(*hidden, err_msg=f"{name}: {address} = {value}")
        assert any(seen), f"the screen does not show {name}"


def test_each_game_of_the_paper_is_known():
    assert set(COUNTERS) == set(SCORE_AREAS)


@pytest.mark.parametrize("game", ["Pong", "SpaceInvaders"])
def test_hiding_blackens_the_areas_of_every_frame_and_leaves_the_rest(game):
    shown, hidden = (atari_envs(game, hide_score=hide) for hide in (False, True))
    generator = np.random.default_rng(0)
    pairs = [(shown.reset(seed=1)[0], hidden.reset(seed=1)[0])]
    for _ in range(20):
        actions = generator.integers(6, size=4)
        pairs.append((shown.step(actions)[0], hidden.step(actions)[0]))
    for seen, observation in pairs:
        ((top, bottom, left, right),) = SCORE_AREAS[f"ALE/{game}-v5"]
        assert seen[..., top:bottom, left:right].any() and not observation[..., top:bottom, left:right].any()
        seen[..., top:bottom, left:right] = 0
        np.testing.assert_array_equal(seen, observation)


def test_a_game_whose_score_area_is_not_known_is_refused():
    with pytest.raises(
        UserError, match=r"^env\.hide_score: where ALE/Asterix-v5 shows its score is not known; [^\n]*$"
    ):
        AtariVectorEnv(atari_config("Asterix", hide_score=True), 1)


def test_learned_rewards_are_refused_while_the_score_is_in_view():
    with pytest.raises(UserError, match=r"env\.hide_score must be true where reward\.source is learned"):
        load_config(PRESETS / "pong.yaml", ["reward.source=learned"])
    assert load_config(PRESETS / "pong.yaml", ["reward.source=learned", "env.hide_score=true"])
