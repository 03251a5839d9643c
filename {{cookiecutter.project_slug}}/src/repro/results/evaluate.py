"""Evaluation: full episodes from fixed starts, scored by true return."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from repro.agents import Agent, make_agent
from repro.config import Config, UserError
from repro.envs import make_envs, random_actions
from repro.preferences.reward_model import RewardModel
from repro.training.checkpoint import load_checkpoint
from repro.training.device import choose_device, choose_precision
from repro.training.seeding import numpy_generator, torch_generator


class Policy(Protocol):
    """Observations (N, ...) to actions (N, ...)."""

    def __call__(self, observations: NDArray) -> NDArray: ...


def evaluate(config: Config, agent_file: Path) -> dict[str, Any]:
    """Evaluate the network saved in `agent_file` with sampled and with greedy actions, beside two baselines.

    All face the same `evaluation.episodes` starts, drawn from `evaluation.seed`. The score is the sum of returns
    divided by the sum of what is optimal. Raises UserError if the file is missing, damaged or of another network, or if
    the network or a return is not finite.
    """
    settings = config.evaluation
    torch.set_num_threads(config.training.threads)
    agent = load_agent(config, agent_file)
    generator = numpy_generator(settings.seed, "random policy")
    envs = make_envs(config.env, settings.episodes)
    sampled, optimal = episode_returns(envs, settings.seed, lambda o: agent.act(o)[0].numpy())
    greedy, _ = episode_returns(envs, settings.seed, lambda o: agent.act(o, greedy=True)[0].numpy())
    random, _ = episode_returns(envs, settings.seed, lambda _: random_actions(envs, generator))
    envs.close()
    return {
        "episodes": settings.episodes,
        "seed": settings.seed,
        "sampled": summarise(sampled, optimal),
        "greedy": summarise(greedy, optimal),
        "random": summarise(random, optimal),
        "optimal": summarise(optimal, optimal),
    }


def load_agent(config: Config, agent_file: Path) -> Agent:
    """The trained agent, for acting. Raises UserError if the file is missing, damaged or of another network."""
    device = _device(config)
    envs = make_envs(config.env, num_envs=1)
    spaces = (envs.single_observation_space, envs.single_action_space)
    generator = torch_generator(config.evaluation.seed, "policy", device)
    agent = make_agent(*spaces, config.agent, device, generator, choose_precision(config.training.precision, device))
    with _explained(agent_file, agent.network):
        agent.network.load_state_dict(load_checkpoint(agent_file))
    return agent


def load_reward_model(config: Config, file: Path) -> RewardModel:
    """The trained reward model, to `predict` with. Raises UserError as `load_agent` does."""
    device = _device(config)
    space = make_envs(config.env, num_envs=1).single_observation_space
    precision = choose_precision(config.training.precision, device)
    model = RewardModel(space, config.reward_model, device, seed=0, precision=precision)  # which trains no more
    with _explained(file, model.network):
        model.load_inference_state(load_checkpoint(file))
    return model


def _device(config: Config) -> torch.device:
    """A GPU only if there is one: what was trained on a GPU can be looked at without."""
    return choose_device("cpu" if config.training.device == "cpu" else "auto")


@contextmanager
def _explained(file: Path, network: nn.Module) -> Iterator[None]:
    """Say in one line what is wrong with the state that is being loaded into `network`. Raises UserError."""
    try:
        yield
    except (RuntimeError, KeyError):
        raise UserError(f"{file}: holds another network than the parameters describe") from None
    if not all(bool(values.isfinite().all()) for values in network.state_dict().values()):
        raise UserError(f"{file}: holds numbers that are not finite: training has diverged; train again, more slowly")


def episode_returns(envs: Any, seed: int, policy: Policy) -> tuple[NDArray, NDArray]:
    """True returns of one full episode of each environment, and the best possible ones, float64 (N,) each.

    Raises UserError if a return is not finite.
    """
    observations, _ = envs.reset(seed=seed)
    optimal = envs.optimal_returns()
    returns = np.zeros(envs.num_envs)
    running = np.ones(envs.num_envs, bool)
    while running.any():
        observations, rewards, terminated, truncated, _ = envs.step(policy(observations))
        returns += running * rewards
        running &= ~(terminated | truncated)
    if not np.isfinite(returns).all():
        raise UserError(f"a return is {returns[~np.isfinite(returns)][0]}: look at the rewards of the environment")
    return returns, optimal


def summarise(returns: NDArray, optimal: NDArray) -> dict[str, float]:
    """Share of the optimal sum, and mean, standard deviation and sum of the returns."""
    return {
        "score": float(returns.sum() / optimal.sum()),
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std(ddof=1)) if len(returns) > 1 else 0.0,
        "returns_sum": float(returns.sum()),
    }


def format_evaluation(evaluation: dict[str, Any], config: Config) -> str:
    """A table for the terminal; the judged row is marked."""
    judged = config.evaluation.actions
    lines = [f"{evaluation['episodes']} episodes     score   return (mean, std)"]
    for name in ("sampled", "greedy", "random", "optimal"):
        row = evaluation[name]
        mark = " <- judged" if name == judged else ""
        lines.append(f"{name:<14} {row['score']:7.3f}   {row['return_mean']:7.1f} {row['return_std']:7.1f}{mark}")
    verdict = "success" if evaluation[judged]["score"] >= config.evaluation.success_score else "no success"
    lines.append(f"{verdict}: the score judged against is {config.evaluation.success_score:g} of the optimal return")
    return "\n".join(lines)
