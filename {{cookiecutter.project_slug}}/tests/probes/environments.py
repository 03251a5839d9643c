"""Probe environments (after Andy Jones, "Debugging reinforcement learning systems"): each asks one thing of an agent.

They are solved in a second, by values and probabilities that are known exactly, and run through the same storage,
agent and update as everything else.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from repro.agents import OnPolicyAgent, make_agent
from repro.config import load_config
from repro.envs.base import ResumableVectorEnv
from repro.training.rewards import TrueReward
from repro.training.storage import Storage

PRESET = Path(__file__).parents[2] / "presets" / "moving-dot.yaml"


class Probe(ResumableVectorEnv):
    """Episodes of `steps` steps with NEXT_STEP autoreset; an observation is one number, after which a probe may pay.

    Probes override what is observed, what is paid, and how episodes end.
    """

    steps = 1
    truncates = False
    num_actions = 2

    def __init__(self, seed: int, num_envs: int = 8):
        self.num_envs = num_envs
        self.single_observation_space = Box(-1, 1, (1,), np.float32)
        self.single_action_space = Discrete(self.num_actions)
        self.generator = np.random.default_rng(seed)

    def observe(self) -> np.ndarray:
        """Before the first action and after each, (num_envs,)."""
        return np.zeros(self.num_envs)

    def pay(self, actions: np.ndarray) -> np.ndarray:
        """For actions (num_envs,) in the states that were observed last."""
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


def train(probe: type[Probe], seed: int, rollouts: int = 40, **settings: object) -> OnPolicyAgent:
    """An agent, PPO unless `settings` say otherwise, trained through the storage that all training uses."""
    settings = {
        "discount": 0.8,
        "rollout_steps": 16,
        "minibatches": 2,
        "epochs": 4,
        "learning_rate": 5e-3,
        "entropy_coefficient": 0.05,
    } | settings
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    config = load_config(PRESET, [f"agent.{name}={value}" for name, value in settings.items()]).agent
    envs = probe(seed)
    generator = torch.Generator().manual_seed(seed)
    spaces = (envs.single_observation_space, envs.single_action_space)
    agent = make_agent(*spaces, config, torch.device("cpu"), generator)
    storage = Storage.for_envs(envs, config.rollout_steps)
    storage.observations[-1], _ = envs.reset()
    for rollout in range(rollouts):
        for step in storage.steps():
            actions, storage.log_probs[step], storage.values[step] = agent.act(storage.observations[step])
            storage.record(step, actions.numpy(), envs.step(actions.numpy()))
        storage.values[-1] = agent.value(storage.observations[-1])
        agent.update(storage.rollout(*TrueReward().relabel(storage)), rollout / rollouts)
    return agent


def values(agent: OnPolicyAgent, *observations: float) -> list[float]:
    """What the agent expects to earn from each of these observations on."""
    return agent.value(np.array(observations, np.float32)[:, None]).tolist()


def probabilities(agent: OnPolicyAgent, *observations: float) -> list[float]:
    """Of action 1, after each of these observations."""
    with torch.inference_mode():
        logits, _ = agent.network(torch.tensor(observations)[:, None])
    return logits.softmax(-1)[:, 1].tolist()
