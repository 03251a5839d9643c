"""CartPole in native batches: Gymnasium's own, resumable and quicker, and a variant that nothing but time ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from numpy.typing import NDArray

from repro.config import GymConfig
from repro.envs.base import ScaledVectorEnv
from repro.envs.rendering import draw
from repro.reading import UserError

X, VELOCITY, ANGLE, ANGULAR_VELOCITY = range(4)  # rows of the state; every second one has a limit


class NativeCartPole(ScaledVectorEnv, CartPoleVectorEnv):
    """A batch of cart-poles with NEXT_STEP autoreset: Gymnasium's, bit for bit, but stepped in half the time.

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
        self.limits = np.array([[self.x_threshold], [self.theta_threshold_radians]])

    def step(self, action: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray, dict]:
        """One agent step. Environments whose episode ended in the last step are reset instead, with reward 0."""
        self.state = self.state + self.tau * self._derivatives(action)
        self.steps += 1
        off_track, fallen = np.abs(self.state[::2]) > self.limits
        terminated = off_track | fallen
        truncated = self.steps >= self.max_episode_steps
        rewards = np.full(self.num_envs, 0.0 if self._sutton_barto_reward else 1.0, np.float32)
        if self.fixed_horizon:
            rewards[terminated] = 0
            terminated[:] = False
        elif self._sutton_barto_reward:
            rewards[terminated] = -1
        if self.prev_done.any():
            self._reset(self.prev_done, rewards, terminated, truncated)
        if self.fixed_horizon:
            self._stop_at_twice_the_limits()
        self.prev_done = terminated | truncated
        return self.state.T.astype(np.float32), rewards, terminated, truncated, {}

    def _derivatives(self, action: NDArray) -> NDArray[np.float64]:
        """Of the state by time, (4, num_envs), after Florian 2007, "Correct equations for the cart-pole system"."""
        _, velocity, angle, angular_velocity = self.state
        force = np.where(action == 1, self.force_mag, -self.force_mag)
        cosine, sine = np.cos(angle), np.sin(angle)
        push = (force + self.polemass_length * np.square(angular_velocity) * sine) / self.total_mass
        angular_acceleration = (self.gravity * sine - cosine * push) / (
            self.length * (4.0 / 3.0 - self.masspole * np.square(cosine) / self.total_mass)
        )
        acceleration = push - self.polemass_length * angular_acceleration * cosine / self.total_mass
        return np.array((velocity, acceleration, angular_velocity, angular_acceleration))

    def _reset(self, which: NDArray, rewards: NDArray, terminated: NDArray, truncated: NDArray) -> None:
        """Start new episodes in the environments `which`, bool (num_envs,), instead of what they would have done."""
        self.state[:, which] = self.np_random.uniform(self.low, self.high, (4, which.sum()))
        self.steps[which], rewards[which], terminated[which], truncated[which] = 0, 0, False, False

    def _stop_at_twice_the_limits(self) -> None:
        """Keep cart and pole within them; what runs into one rests."""
        for position, velocity, limit in (
            (X, VELOCITY, 2 * self.x_threshold),
            (ANGLE, ANGULAR_VELOCITY, 2 * self.theta_threshold_radians),
        ):
            self.state[position] = np.clip(self.state[position], -limit, limit)
            self.state[velocity][self.state[position] * np.sign(self.state[velocity]) == limit] = 0

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
