"""What the environments of MuJoCo need beyond Gymnasium's interface, and the tasks of Christiano et al. 2017."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

from repro.config import GymConfig
from repro.reading import UserError


class Task(NamedTuple):
    """Settings with which an environment of Gymnasium is as the paper changed it."""

    fixed_horizon: dict[str, Any]  # made by `fixed_horizon: true`
    no_torque_penalty: dict[str, Any]  # to be written under `settings`


# "The episode ends when certain parameters go outside of a prescribed range (for example when the robot falls over).
# We replaced these termination conditions by a penalty" (appendix A). The penalty is the reward for being healthy,
# which Gymnasium then pays while the parameters are in range; the two pendulums pay it so of themselves.
UNHEALTHY = {"terminate_when_unhealthy": False}
# "The OpenAI Gym continuous control tasks penalize large torques. Because torques are not directly visible to a human
# supervisor, [...] we removed them" (A.1). The cost of contact forces in Ant is none of torques, and stays.
NO_CONTROL_COST = {"ctrl_cost_weight": 0.0}
# The eight tasks of figure 2, as appendix B.1 names them to raters.
TASKS = {
    "Hopper-v5": Task(UNHEALTHY, NO_CONTROL_COST),
    "Walker2d-v5": Task(UNHEALTHY, NO_CONTROL_COST),
    "Swimmer-v5": Task({}, NO_CONTROL_COST),
    "HalfCheetah-v5": Task({}, NO_CONTROL_COST),
    "Ant-v5": Task(UNHEALTHY, NO_CONTROL_COST),
    "Reacher-v5": Task({}, {"reward_control_weight": 0.0}),
    "InvertedPendulum-v5": Task({}, {}),  # "pendulum", a cart and a pole
    "InvertedDoublePendulum-v5": Task({}, {}),
}
# Others that never end of themselves, or go on like those.
OTHERS: dict[str, dict[str, Any]] = {
    "Pendulum-v1": {},
    "Pusher-v5": {},
    "HumanoidStandup-v5": {},
    "Humanoid-v5": UNHEALTHY,
}
FIXED_HORIZON = OTHERS | {name: task.fixed_horizon for name, task in TASKS.items()}


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
