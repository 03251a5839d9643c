"""Training of the on-policy agents on probes, through the storage that all training uses, and what they learned."""

from __future__ import annotations

import numpy as np
import torch
from environments import Probe

from repro.agents import OnPolicyAgent, make_agent
from repro.config import ALGORITHMS
from repro.experience.storage import Storage
from repro.training.rewards import TrueReward

COMMON = {"discount": 0.8, "gae_lambda": 0.95, "entropy_coefficient": 0.05, "rollout_steps": 8}
STEPS = {"learning_rate": 5e-3, "anneal_learning_rate": True, "max_gradient_norm": 0.5}
VALUES = {"value_learning_rate": 5e-3, "value_epochs": 4, "minibatches": 2}
RMSPROP = {"learning_rate": 1e-2, "value_coefficient": 0.5, "rmsprop_decay": 0.9, "rmsprop_epsilon": 1e-5}
TRUST_REGION = {"max_kl": 0.005, "conjugate_gradient_steps": 10, "damping": 0.1, "line_search_steps": 10}
SETTINGS = {
    "ppo": COMMON | STEPS | {"epochs": 3, "minibatches": 2, "clip_range": 0.2, "value_coefficient": 0.5},
    "a2c": COMMON | STEPS | RMSPROP,
    "vpg": COMMON | STEPS | VALUES,
    # Its steps never shrink, so that its policy goes on trembling: values that follow slowly average that out.
    "trpo": COMMON | VALUES | TRUST_REGION | {"entropy_coefficient": 0.02, "value_learning_rate": 2e-3},
}
SETTINGS["sb3-ppo"] = SETTINGS["ppo"]
ROLLOUTS = {  # of 8 steps in 16 environments
    "ppo": 50,
    "sb3-ppo": 50,
    "a2c": 150,
    "vpg": 60,
    "trpo": 80,
}


def train(algorithm: str, probe: type[Probe], seed: int, **settings: object) -> OnPolicyAgent:
    """An agent, trained on a probe."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    config = ALGORITHMS[algorithm](algorithm=algorithm, **(SETTINGS[algorithm] | settings))
    envs = probe(seed, num_envs=16)
    generator = torch.Generator().manual_seed(seed)
    spaces = (envs.single_observation_space, envs.single_action_space)
    agent = make_agent(*spaces, config, torch.device("cpu"), generator)
    storage = Storage.for_envs(envs, config.rollout_steps)
    storage.observations[-1], _ = envs.reset()
    for rollout in range(ROLLOUTS[algorithm]):
        for step in storage.begin_rollout():
            actions, storage.log_probs[step], storage.values[step] = agent.act(storage.observations[step])
            storage.record(step, actions.numpy(), envs.step(actions.numpy()))
        storage.values[-1] = agent.value(storage.observations[-1])
        agent.update(storage.rollout(*TrueReward().relabel(storage)), rollout / ROLLOUTS[algorithm])
    return agent


def values(agent: OnPolicyAgent, *observations: float) -> list[float]:
    """What the agent expects to earn from each of these observations on."""
    return agent.value(np.array(observations, np.float32)[:, None]).tolist()


def probabilities(agent: OnPolicyAgent, *observations: float) -> list[float]:
    """Of action 1, after each of these observations."""
    with torch.inference_mode():
        logits, _ = agent.network(torch.tensor(observations)[:, None])
    return logits.softmax(-1)[:, 1].tolist()


def greedy_actions(agent: OnPolicyAgent, *observations: float) -> list[float]:
    """The continuous action that is most probable after each of these observations."""
    return agent.act(np.array(observations, np.float32)[:, None], greedy=True)[0][:, 0].tolist()
