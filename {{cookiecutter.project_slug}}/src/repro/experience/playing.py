"""Whole episodes of a trained policy, scored by true return and filmed. Nothing here is learned from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from repro.agents import Agent, make_agent
from repro.config import Config, EnvConfig
from repro.device import choose_precision
from repro.envs import make_envs, random_actions
from repro.envs.base import ResumableVectorEnv
from repro.experience.episodes import score_scale
from repro.normalisation import network_space
from repro.reading import UserError
from repro.seeding import torch_generator
from repro.tracking.video import VideoWriter

Episodes = NDArray[np.float64]  # (4, N): true returns, lengths in steps, returns that score 0, returns that score 1


class Policy(Protocol):
    """Observations (N, ...) to actions (N, ...)."""

    def __call__(self, observations: NDArray) -> NDArray: ...


def spaces_of(config: EnvConfig) -> tuple[Box, Discrete | Box]:
    """What networks are told of the environment of `config`: how it is observed, and how one acts in it.

    Raises UserError as `make_envs`.
    """
    with contextlib.closing(make_envs(config, num_envs=1)) as envs:
        return network_space(config, envs.single_observation_space), envs.single_action_space


def make_player(config: Config, device: torch.device) -> Agent:
    """An agent of its own, to act with networks trained elsewhere; leaves the global generator as it was."""
    generator = torch_generator(config.evaluation.seed, "policy", device)
    spaces, precision = spaces_of(config.env), choose_precision(config.training.precision, device)
    with torch.random.fork_rng(devices=[]):  # which initial weights are drawn from, on the CPU
        return make_agent(*spaces, config.agent, device, generator, precision)


def policy_of(agent: Agent, actions: str) -> Policy:
    """The agent's actions, `sampled` or `greedy`."""

    def act(observations: NDArray) -> NDArray:
        acted = agent.act(observations, greedy=actions == "greedy")
        chosen = acted[0] if isinstance(acted, tuple) else acted  # on-policy ones come with probabilities and values
        return chosen.numpy()

    return act


def random_policy(envs: ResumableVectorEnv, generator: np.random.Generator) -> Policy:
    """Uniformly random actions, whatever is observed."""
    return lambda _: random_actions(envs, generator)


def play_episodes(
    envs: ResumableVectorEnv, seed: int, policy: Policy, watch: Callable[[], None] = lambda: None
) -> Episodes:
    """One full episode of each environment. `watch` is called when they have started and after each step.

    Raises UserError if a return is not finite.
    """
    observations, _ = envs.reset(seed=seed)
    scale = score_scale(envs)
    returns, lengths = np.zeros((2, envs.num_envs))
    running = np.ones(envs.num_envs, bool)
    watch()
    while running.any():
        observations, rewards, terminated, truncated, _ = envs.step(policy(observations))
        returns += np.where(running, rewards, 0.0)
        lengths += running
        running &= ~(terminated | truncated)
        watch()
    if not np.isfinite(returns).all():
        raise UserError(f"a return is {returns[~np.isfinite(returns)][0]}: look at the rewards of the environment")
    return np.stack([returns, lengths, *scale])


def film_episode(config: Config, policy: Policy, seed: int, path: Path) -> Episodes:
    """Write a video of one full episode to `path`; returns what came of the episode. Raises UserError (disk full)."""
    envs = make_envs(config.env, num_envs=1, evaluation=True, render=True)
    with contextlib.closing(envs), VideoWriter(path, envs.metadata["render_fps"]) as video:
        return play_episodes(envs, seed, policy, watch=lambda: video.add(np.asarray(envs.render())[0]))
