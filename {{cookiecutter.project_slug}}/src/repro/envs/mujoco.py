"""What the environments of MuJoCo need beyond Gymnasium's interface, and the tasks of Christiano et al. 2017."""

from __future__ import annotations

import warnings
from typing import Any

from repro.config import GymConfig
from repro.reading import UserError

# "The episode ends when certain parameters go outside of a prescribed range (for example when the robot falls over).
# We replaced these termination conditions by a penalty" (appendix A). The penalty is the reward for being healthy,
# which Gymnasium then pays while the parameters are in range; the two pendulums pay it so of themselves.
UNHEALTHY = {"terminate_when_unhealthy": False}
# The eight tasks of figure 2, as appendix B.1 names them to raters, and the settings that `fixed_horizon: true` makes.
TASKS: dict[str, dict[str, Any]] = {
    "Hopper-v5": UNHEALTHY,
    "Walker2d-v5": UNHEALTHY,
    "Swimmer-v5": {},
    "HalfCheetah-v5": {},
    "Ant-v5": UNHEALTHY,
    "Reacher-v5": {},
    "InvertedPendulum-v5": {},  # "pendulum", a cart and a pole
    "InvertedDoublePendulum-v5": {},
}
# Others that never end of themselves, or go on like those.
OTHERS: dict[str, dict[str, Any]] = {
    "Pendulum-v1": {},
    "Pusher-v5": {},
    "HumanoidStandup-v5": {},
    "Humanoid-v5": UNHEALTHY,
}
FIXED_HORIZON = OTHERS | TASKS


def is_mujoco(code: str) -> bool:
    """Whether what `code` names, a module or something in one, is of Gymnasium's own environments of MuJoCo."""
    return code.startswith("gymnasium.envs.mujoco")


def forward_warnings() -> None:
    """Make what the simulator warns of Python warnings; else it writes MUJOCO_LOG.TXT into the working folder.

    What Gymnasium's models use that is deprecated is left out. Raises ImportError if MuJoCo is not installed.
    """
    import mujoco

    mujoco.set_mju_user_warning(lambda text: None if "deprecated" in text else warnings.warn(text, stacklevel=2))


def fixed_horizon_settings(config: GymConfig) -> dict[str, Any]:
    """Settings with which the environment goes on. Raises UserError if it cannot honestly."""
    if config.id not in FIXED_HORIZON:
        raise UserError(
            f"env.fixed_horizon: {config.id} cannot go on after its end; write false (true is for CartPole-v1, "
            f"{', '.join(FIXED_HORIZON)})"
        )
    return FIXED_HORIZON[config.id]
