"""What the environments of MuJoCo need beyond Gymnasium's interface."""

from __future__ import annotations

import warnings
from typing import Any

from repro.config import GymConfig, UserError

UNHEALTHY = {"terminate_when_unhealthy": False}  # the reward for being healthy is not paid meanwhile
# Environment -> settings with which it goes on. What they then pay says itself what would have ended them.
FIXED_HORIZON: dict[str, dict[str, Any]] = {
    "Pendulum-v1": {},  # these never end
    "HalfCheetah-v5": {},
    "Swimmer-v5": {},
    "Reacher-v5": {},
    "Pusher-v5": {},
    "HumanoidStandup-v5": {},
    "InvertedPendulum-v5": {},  # these two pay what staying up is worth while up, else 0, and go on being simulated
    "InvertedDoublePendulum-v5": {},
    "Hopper-v5": UNHEALTHY,
    "Walker2d-v5": UNHEALTHY,
    "Ant-v5": UNHEALTHY,
    "Humanoid-v5": UNHEALTHY,
}


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
