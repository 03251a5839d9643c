"""Probe environments (after Andy Jones, "Debugging reinforcement learning systems"): each asks one thing of an agent.

They are solved in a second, by values and actions that are known exactly.
"""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box, Discrete

from repro.envs.base import ResumableVectorEnv


class Probe(ResumableVectorEnv):
    """Episodes of `steps` steps with NEXT_STEP autoreset; an observation is one number, after which a probe may pay.

    Probes override what is observed, what is paid, and how episodes end.
    """

    steps = 1
    truncates = False
    action_space: Discrete | Box = Discrete(2)

    def __init__(self, seed: int, num_envs: int = 16):
        self.num_envs = num_envs
        self.single_observation_space = Box(-1, 1, (1,), np.float32)
        self.single_action_space = self.action_space
        self.generator = np.random.default_rng(seed)

    def observe(self) -> np.ndarray:
        """Before the first action and after each, (num_envs,)."""
        return np.zeros(self.num_envs)

    def pay(self, actions: np.ndarray) -> np.ndarray:
        """For actions (num_envs,), or (num_envs, 1) if continuous, in the states that were observed last."""
        return np.ones(self.num_envs)

    def reset(self, *, seed=None, options=None):
        self.time = np.zeros(self.num_envs, int)
        self.ended = np.zeros(self.num_envs, bool)
        self.last = self.observe()
        return self.last.astype(np.float32)[:, None], {}

    def step(self, actions):
        rewards = np.where(self.ended, 0.0, self.pay(actions))
        self.time = np.where(self.ended, 0, self.time + 1)
        self.ended = self.time == self.steps
        self.last = self.observe()
        none = np.zeros(self.num_envs, bool)
        terminated, truncated = (none, self.ended.copy()) if self.truncates else (self.ended.copy(), none)
        return self.last.astype(np.float32)[:, None], rewards, terminated, truncated, {}

    def coins(self) -> np.ndarray:
        """-1 or 1, by chance."""
        return self.generator.choice([-1.0, 1.0], self.num_envs)

    def optimal_returns(self):
        raise AssertionError("not asked for here")

    get_state = set_state = optimal_returns


class ConstantReward(Probe):
    """One step, always paid 1: can the value be learned at all?"""


class ObservationReward(Probe):
    """Paid what was observed, -1 or 1: does the value depend on the observation?"""

    def observe(self):
        return self.coins()

    def pay(self, actions):
        return self.last


class DelayedReward(Probe):
    """Two steps, 0 then 1 is observed, and 1 paid at the end: is the reward discounted on its way back?"""

    steps = 2

    def observe(self):
        return (self.time == 1).astype(float)

    def pay(self, actions):
        return (self.time == 1).astype(float)


class ActionReward(Probe):
    """Action 1 is paid 1, action 0 is paid -1: does the policy improve?"""

    def pay(self, actions):
        return 2.0 * actions - 1


class ObservationActionReward(Probe):
    """The action has to match what is observed: does the policy depend on the observation?"""

    def observe(self):
        return self.coins()

    def pay(self, actions):
        return np.where(actions == (self.last > 0), 1.0, -1.0)


class EndlessReward(Probe):
    """Paid 1 for ever; a time limit cuts episodes after 5 steps, which is no end to what is earned."""

    steps = 5
    truncates = True


class LastStepMatters(Probe):
    """Two steps; the right action in the second is paid 1, but only after action 1 in the first one."""

    steps = 2

    def reset(self, *, seed=None, options=None):
        self.open = np.zeros(self.num_envs, bool)
        return super().reset()

    def observe(self):
        return np.where(self.time == 1, np.where(self.open, 1.0, -1.0), 0.0)

    def pay(self, actions):
        paid = (self.time == 1) & self.open & (actions == 0)
        self.open = (self.time == 0) & (actions == 1) & ~self.ended
        return paid.astype(float)


class NearHalf(Probe):
    """Paid for a continuous action near 0.5: does the policy's mean move there?"""

    action_space = Box(-1, 1, (1,), np.float32)

    def pay(self, actions):
        return -((actions[:, 0] - 0.5) ** 2)


class NearObservation(Probe):
    """Paid for a continuous action near half of what is observed: does its mean depend on the observation?"""

    action_space = Box(-1, 1, (1,), np.float32)

    def observe(self):
        return self.coins()

    def pay(self, actions):
        return -((actions[:, 0] - 0.5 * self.last) ** 2)
