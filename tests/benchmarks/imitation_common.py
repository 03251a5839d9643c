"""What both sides of the comparison with the `imitation` library share: tasks, counted steps, the final evaluation.

Imported by `imitation_ours.py` and `imitation_peer.py`, each in an environment of its own; needs only Gymnasium.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gymnasium
import numpy as np

EPISODES = 100  # of each policy, sampled and greedy
EVALUATION_SEED = 1000  # of the first start; the others are seeded by the numbers after it


@dataclass(frozen=True)
class Task:
    """An environment, and what both sides are given to learn it from."""

    id: str  # as Gymnasium knows it once `seals` is imported
    title: str
    labels: int  # synthetic ones, all in all
    steps: int  # of the environment, at most, on our side; the other side takes as many or more


TASKS = {
    "seals-cartpole": Task("seals/CartPole-v0", "seals/CartPole-v0 (fixed horizon of 500 steps)", 500, 60_000),
    "pendulum": Task("Pendulum-v1", "Pendulum-v1", 200, 98_304),
    "cartpole": Task("CartPole-v1", "CartPole-v1 (episodes end when the pole falls)", 500, 60_000),
}


class StepCounter:
    """Counts the steps of all environments `name` of this process, made before or after."""

    def __init__(self, name: str):
        self.steps = 0
        env = gymnasium.make(name)
        kind, step = type(env.unwrapped), type(env.unwrapped).step
        env.close()

        def counted(env: gymnasium.Env, action: object) -> tuple:
            self.steps += 1
            return step(env, action)

        kind.step = counted


def mean_return(name: str, act: Callable[[np.ndarray], np.ndarray]) -> float:
    """True return of a policy, float32 observations (N, features) to actions (N, ...): the mean of `EPISODES` episodes.

    The same starts for all policies; each environment is played to its end once, so that short episodes count no more
    than long ones.
    """
    envs = [gymnasium.make(name) for _ in range(EPISODES)]
    observations = np.stack([env.reset(seed=EVALUATION_SEED + index)[0] for index, env in enumerate(envs)])
    running, returns = np.ones(EPISODES, bool), np.zeros(EPISODES)
    while running.any():
        actions = act(observations.astype(np.float32))
        for index in np.flatnonzero(running):
            observations[index], reward, terminated, truncated, _ = envs[index].step(actions[index])
            returns[index] += reward
            running[index] = not (terminated or truncated)
    return float(returns.mean())
