"""Small on-policy agents of all kinds, and rollouts of theirs with random rewards and ends of episodes."""

import dataclasses

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from repro import agents
from repro.agents.rollout import Rollout
from repro.config import ALGORITHMS

VECTORS, IMAGES = Box(-1, 1, (4,), np.float32), Box(0, 255, (2, 36, 36), np.uint8)
DISCRETE, CONTINUOUS = Discrete(3), Box(-1, 1, (2,), np.float32)
KINDS = {
    "vectors-discrete": (VECTORS, DISCRETE),
    "vectors-continuous": (VECTORS, CONTINUOUS),
    "images-discrete": (IMAGES, DISCRETE),
    "images-continuous": (IMAGES, CONTINUOUS),
}
T, N = 16, 4

COMMON = {"rollout_steps": T, "discount": 0.9, "gae_lambda": 0.95, "entropy_coefficient": 0.02}
STEPS = {"learning_rate": 5e-4, "anneal_learning_rate": True, "max_gradient_norm": 0.5}
VALUES = {"value_learning_rate": 1e-3, "value_epochs": 2, "minibatches": 2}
SETTINGS = {
    "ppo": COMMON | STEPS | {"epochs": 3, "minibatches": 8, "clip_range": 0.2, "value_coefficient": 0.5},
    "a2c": COMMON | STEPS | {"value_coefficient": 0.5, "rmsprop_decay": 0.99, "rmsprop_epsilon": 1e-5},
    "vpg": COMMON | STEPS | VALUES,
    "trpo": COMMON | VALUES | {"max_kl": 0.01, "conjugate_gradient_steps": 10, "damping": 0.1, "line_search_steps": 10},
}


def make_agent(algorithm, observations=VECTORS, actions=DISCRETE, seed=0, precision="float32", **settings):
    """A new agent on the CPU; `settings` are fields of its configuration."""
    config = ALGORITHMS[algorithm](algorithm=algorithm, **(SETTINGS[algorithm] | settings))
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    return agents.make_agent(observations, actions, config, torch.device("cpu"), generator, precision)


def collect(agent, observations=VECTORS, seed=0, ends=False):
    """A rollout of the agent on random observations, with random rewards."""
    observations.seed(seed)
    generator = torch.Generator().manual_seed(seed)
    seen = np.stack([[observations.sample() for _ in range(N)] for _ in range(T + 1)])
    outcomes = [agent.act(row) for row in seen[:-1]]
    actions, log_probs, values = (torch.stack(parts).clone() for parts in zip(*outcomes, strict=True))
    done = torch.rand(T, N, generator=generator) < (0.2 if ends else 0)
    valid = torch.ones(T, N, dtype=torch.bool)
    valid[1:] = ~done[:-1]
    done &= valid
    valid[1:] = ~done[:-1]
    return Rollout(
        observations=torch.from_numpy(seen),
        actions=actions,
        log_probs=log_probs,
        values=torch.cat([values, agent.value(seen[-1])[None]]).clone(),
        rewards=torch.randn(T, N, generator=generator),
        terminated=done & (torch.rand(T, N, generator=generator) < 0.5),
        done=done,
        valid=valid,
    )


def with_other_resets(rollout):
    """The same but for what stands in the rows that only reset, which must not matter."""
    masked = ~rollout.valid
    assert masked.sum() >= 5
    shown = torch.cat([masked, masked[:1] & False])
    shown = shown.reshape(*shown.shape, *[1] * (rollout.observations.dim() - 2))
    acted = masked.reshape(T, N, *[1] * (rollout.actions.dim() - 2))
    seen = rollout.observations
    return dataclasses.replace(
        rollout,
        observations=torch.where(shown, 255 - seen if seen.dtype == torch.uint8 else 9 + seen, seen),
        actions=torch.where(acted, 2 - rollout.actions, rollout.actions),
        log_probs=torch.where(masked, -50.0, rollout.log_probs),
        rewards=torch.where(masked, 1e6, rollout.rewards),
    )


def parameters(agent):
    """All of them in one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in agent.network.parameters()])
