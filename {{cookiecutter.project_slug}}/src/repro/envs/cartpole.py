"""CartPole in native batches: Gymnasium's own, made resumable, and with a variant that nothing but time ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from numpy.typing import NDArray

from repro.config import GymConfig
from repro.envs.base import ScaledVectorEnv
from repro.envs.rendering import draw
from repro.reading import UserError

X, VELOCITY, ANGLE, ANGULAR_VELOCITY = range(4)  # rows of the state


class NativeCartPole(ScaledVectorEnv, CartPoleVectorEnv):
    """A batch of cart-poles with NEXT_STEP autoreset; all physics are Gymnasium's.

    Observations: float32 (num_envs, 4), cart position and velocity, pole angle and angular velocity.

    With `fixed_horizon` an episode goes on after the pole has fallen or the cart has left the track, and only a step
    that ends within both limits pays 1, so that the reward can be seen in the observation. Cart and pole run into
    stops at twice the limits, the bounds of the observation space, and rest there; from there a policy can recover.
    """

    state: Any  # float64 (4, num_envs)

    def __init__(self, config: GymConfig, num_envs: int, render_mode: str | None = None):
        if config.fixed_horizon and config.settings:
            raise UserError(f"env.settings: {', '.join(config.settings)} cannot go with fixed_horizon; leave them out")
        settings: dict[str, Any] = dict(config.settings)
        super().__init__(num_envs, config.max_steps, render_mode, **settings)
        self.random_return, self.reference_return = config.random_return, config.reference_return
        self.fixed_horizon = config.fixed_horizon

    def step(self, action: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray, dict]:
        """One agent step. Environments whose episode ended in the last step are reset instead, with reward 0."""
        observations, rewards, terminated, truncated, info = super().step(action)
        if not self.fixed_horizon:
            return observations, rewards, terminated, truncated, info
        self.prev_done = truncated.copy()
        for position, velocity, limit in (
            (X, VELOCITY, 2 * self.x_threshold),
            (ANGLE, ANGULAR_VELOCITY, 2 * self.theta_threshold_radians),
        ):
            self.state[position] = np.clip(self.state[position], -limit, limit)
            self.state[velocity][self.state[position] * np.sign(self.state[velocity]) == limit] = 0
        return self.state.T.astype(np.float32), rewards * ~terminated, np.zeros_like(terminated), truncated, info

    def render(self) -> tuple[NDArray[np.uint8], ...]:
        """A colour picture of each environment, uint8 (400, 600, 3)."""
        return draw(super().render, "CartPole-v1")

    def get_state(self) -> dict[str, Any]:
        """Everything that the next steps depend on, for an exact resume."""
        return {
            "generator": self.np_random.bit_generator.state,
            "state": self.state.copy(),
            "steps": self.steps.copy(),
            "done": self.prev_done.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.np_random = np.random.default_rng()
        self.np_random.bit_generator.state = state["generator"]
        self.state = np.asarray(state["state"]).copy()  # may be a tensor
        self.steps = np.asarray(state["steps"]).copy()
        self.prev_done = np.asarray(state["done"]).copy()
