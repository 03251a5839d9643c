"""One run of the `imitation` library's preference comparisons; `imitation_benchmark.py` starts it.

Runs in an environment of its own, of `imitation-requirements.txt`. Prints a line of JSON: seconds of training (from
making the environments on; without imports), environment steps taken, labels, mean true returns, or the error that
ended it.

    PEER_PYTHON tests/benchmarks/imitation_peer.py seals-cartpole 0 [SETTING=JSON ...]
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
import warnings
from typing import Any

import numpy as np
import seals  # noqa: F401  (registers its environments)
import torch
from imitation.algorithms import preference_comparisons
from imitation.policies.base import FeedForward32Policy, NormalizeFeaturesExtractor
from imitation.rewards.reward_nets import BasicRewardNet, NormalizedRewardNet
from imitation.util.networks import RunningNorm
from imitation.util.util import make_vec_env
from imitation_common import TASKS, StepCounter, Task, mean_return
from stable_baselines3 import PPO

# Of the library's tutorial "Learning a Reward Function using Preference Comparisons", tuned by its authors on Pendulum.
TUTORIAL: dict[str, Any] = {
    "policy": "small",  # two layers of 32 units for policy and values, observations normalised
    "ppo": {
        "n_steps": 256,
        "batch_size": 64,
        "ent_coef": 0.01,
        "learning_rate": 2e-3,
        "clip_range": 0.1,
        "gae_lambda": 0.95,
        "gamma": 0.97,
        "n_epochs": 10,
    },
    "normalise_rewards": False,
    "next_state": False,  # whether the reward network sees it, too
    "exploration": 0.05,
    "fragment_steps": 100,
    "initial_share": 0.1,
    "initial_epochs": 4,  # times as many
    "epochs": 3,
    "reward_learning_rate": 1e-3,
    "schedule": "hyperbolic",
    "iterations": 60,
    "agent_steps": 5000,
}
# Where they differ from the tutorial, by tuning on seeds from 100 on.
CARTPOLE = {
    # An episode of 500 steps is whole in a rollout; shorter rollouts take three times the steps.
    "ppo": TUTORIAL["ppo"] | {"n_steps": 512, "clip_range": 0.2, "ent_coef": 0.0, "gamma": 0.98},
    "normalise_rewards": True,
    "exploration": 0.0,  # else half of the steps are not trained on
    "fragment_steps": 40,
    "initial_epochs": 10,
    "epochs": 6,
    "reward_learning_rate": 4e-3,
    "schedule": "constant",
    "iterations": 13,
    "agent_steps": 13 * 8 * 512,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "seals-cartpole": CARTPOLE,
    "cartpole": CARTPOLE,
    "pendulum": {"exploration": 0.0, "fragment_steps": 50, "iterations": 46, "agent_steps": 46 * 8 * 256},
}


def train(task: Task, seed: int, settings: dict[str, Any]) -> tuple[PPO, int]:
    """Returns the agent and the number of labels."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    venv = make_vec_env(task.id, n_envs=8, rng=rng)
    net = BasicRewardNet(
        venv.observation_space,
        venv.action_space,
        use_next_state=settings["next_state"],
        normalize_input_layer=RunningNorm,
    )
    if settings["normalise_rewards"]:
        net = NormalizedRewardNet(net, RunningNorm)
    normalised = {
        "features_extractor_class": NormalizeFeaturesExtractor,
        "features_extractor_kwargs": {"normalize_class": RunningNorm},
    }
    relu = {"activation_fn": torch.nn.ReLU, "net_arch": {"pi": [64, 64], "vf": [64, 64]}}
    policies = {
        "small": (FeedForward32Policy, normalised),
        "large": ("MlpPolicy", normalised),
        "relu": ("MlpPolicy", relu),
        "relu-normalised": ("MlpPolicy", relu | normalised),
    }
    policy, policy_settings = policies[settings["policy"]]
    agent = PPO(policy, venv, policy_kwargs=policy_settings, seed=seed, device="cpu", **settings["ppo"])
    trainer = preference_comparisons.PreferenceComparisons(
        preference_comparisons.AgentTrainer(agent, net, venv, rng, exploration_frac=settings["exploration"]),
        net,
        num_iterations=settings["iterations"],
        fragmenter=preference_comparisons.RandomFragmenter(warning_threshold=0, rng=rng),
        preference_gatherer=preference_comparisons.SyntheticGatherer(temperature=0, discount_factor=1, rng=rng),
        reward_trainer=preference_comparisons.BasicRewardTrainer(
            preference_comparisons.PreferenceModel(net),
            loss=preference_comparisons.CrossEntropyRewardLoss(),
            rng=rng,
            epochs=settings["epochs"],
            lr=settings["reward_learning_rate"],
        ),
        fragment_length=settings["fragment_steps"],
        transition_oversampling=1,
        initial_comparison_frac=settings["initial_share"],
        initial_epoch_multiplier=settings["initial_epochs"],
        allow_variable_horizon=task is TASKS["cartpole"],
        query_schedule=settings["schedule"],
    )
    trainer.train(total_timesteps=settings["agent_steps"], total_comparisons=task.labels)
    return agent, len(trainer.dataset)


def main() -> None:
    task, seed = TASKS[sys.argv[1]], int(sys.argv[2])
    settings = TUTORIAL | SETTINGS[sys.argv[1]]
    for override in sys.argv[3:]:
        key, _, value = override.partition("=")
        given = json.loads(value)
        settings[key] = settings[key] | given if isinstance(given, dict) else given
    warnings.filterwarnings("ignore")
    torch.set_num_threads(int(settings.pop("threads", 1)))
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first of a process loads much
    counter = StepCounter(task.id)
    result: dict[str, Any] = {}
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            agent, result["labels"] = train(task, seed, settings)
        except ValueError as error:  # how the library ends where episodes are too short: a result
            result["error"] = f"{type(error).__name__}: {error}"
    result |= {"seconds": time.perf_counter() - start, "steps": counter.steps}
    if "error" not in result:
        for kind in ("sampled", "greedy"):
            greedy = kind == "greedy"
            result[kind] = mean_return(
                task.id, lambda seen, greedy=greedy: agent.predict(seen, deterministic=greedy)[0]
            )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
