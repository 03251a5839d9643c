"""Stable-Baselines3's PPO in the place of ours: where both fail alike, the bug is not in agents/.

Theirs: the networks (MlpPolicy, CnnPolicy) and their initial weights, the distributions of actions, the optimiser,
generalised advantages (`RolloutBuffer.compute_returns_and_advantage`), minibatches and the whole of `PPO.train`.
Ours: the loop that collects, the rewards, which steps only reset and are left out, normalisation of observations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.agents.divergence import check_observations, diverged
from repro.agents.rollout import Rollout
from repro.config import SB3PPOConfig
from repro.normalisation import normaliser_of
from repro.reading import UserError

# Their names of what `PPO.train` reports, ours, and what theirs is to be multiplied by.
METRICS = (
    ("train/policy_gradient_loss", "policy/loss", 1.0),
    ("train/entropy_loss", "policy/entropy", -1.0),
    ("train/approx_kl", "policy/approx_kl", 1.0),
    ("train/clip_fraction", "policy/clip_fraction", 1.0),
    ("train/value_loss", "value/loss", 0.5),  # a mean of squares; ours is of halved ones
    ("train/explained_variance", "value/explained_variance", 1.0),
    ("train/learning_rate", "learning_rate", 1.0),
)


class SB3PPO:
    """Their PPO as an on-policy agent. All its randomness is drawn from `generator`."""

    action_spaces = (Discrete, Box)

    def __init__(
        self,
        observation_space: Box,
        action_space: Discrete | Box,
        config: SB3PPOConfig,
        device: torch.device,
        generator: torch.Generator,
        precision: str = "float32",
    ):
        """Raises UserError if it is not installed, or is to compute in bfloat16."""
        try:
            from stable_baselines3 import PPO  # here, since other agents need none of it
            from stable_baselines3.common.logger import Logger
        except ModuleNotFoundError as error:
            if error.name != "stable_baselines3":
                raise
            raise UserError(
                "agent.algorithm: sb3-ppo needs stable-baselines3, which is not installed; "
                "type: pip install '.[baseline]'"
            ) from None
        if precision != "float32":
            raise UserError(f"training.precision: sb3-ppo computes in float32, not in {precision}; set it to float32")
        self.config, self.device, self.generator = config, device, generator
        images = len(observation_space.shape) == 3
        normalised = {"features_extractor_class": NormalisingExtractor} if normaliser_of(observation_space) else {}
        nothing: Any = None
        self.model: Any = PPO(
            "CnnPolicy" if images else "MlpPolicy",
            env=nothing,  # their `load` does without, too, and sets the spaces as below
            learning_rate=self._learning_rate,
            n_epochs=config.epochs,
            gamma=config.discount,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip_range,
            ent_coef=config.entropy_coefficient,
            vf_coef=config.value_coefficient / 2,  # theirs weighs squared errors, ours halved ones
            max_grad_norm=config.max_gradient_norm,
            policy_kwargs=normalised,
            device=device,
            _init_setup_model=False,
        )
        self.model.observation_space, self.model.action_space, self.model.n_envs = observation_space, action_space, 1
        self.model._setup_model()
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.network: nn.Module = self.model.policy

    def _learning_rate(self, remaining: float) -> float:
        """With this share of training ahead."""
        return self.config.learning_rate * (remaining if self.config.anneal_learning_rate else 1.0)

    @torch.no_grad()
    def act(self, observations: NDArray, greedy: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Actions (N, ...), their log-probabilities (N,) and values (N,), on the CPU. Raises UserError (diverged)."""
        self.model.policy.set_training_mode(False)
        check_observations(observations)
        with self._own_randomness(), self._divergence_told():
            actions, values, log_probs = self.model.policy(self._tensor(observations), deterministic=greedy)
        return actions.cpu(), log_probs.cpu(), values.flatten().cpu()

    @torch.no_grad()
    def value(self, observations: NDArray) -> Tensor:
        """Values of observations (N, ...), float32 (N,) on the CPU."""
        return self.model.policy.predict_values(self._tensor(observations)).flatten().cpu()

    def update(self, rollout: Rollout, progress: float) -> dict[str, float]:
        """Learn from one rollout; `progress` in [0, 1) is the share of training that is behind. Returns metrics.

        Raises UserError (diverged).
        """
        self.model._current_progress_remaining = 1 - progress
        with self._own_randomness(), self._divergence_told():
            self.model.rollout_buffer = self._buffer(rollout)
            self.model.batch_size = math.ceil(self.model.rollout_buffer.buffer_size / self.config.minibatches)
            self.model.train()
        reported = self.model.logger.name_to_value
        return {ours: factor * float(reported[theirs]) for theirs, ours, factor in METRICS}

    def _buffer(self, rollout: Rollout) -> Any:
        """Their buffer, filled as their `collect_rollouts` does, without the rows that only reset.

        A truncated step is paid the discounted value of what follows it, and what follows a reset row starts an
        episode, so that nothing leaks through the row before it is dropped.
        """
        steps, num_envs = rollout.rewards.shape
        model = self.model
        buffer = model.rollout_buffer_class(
            steps,
            model.observation_space,
            model.action_space,
            self.device,
            gae_lambda=model.gae_lambda,
            gamma=model.gamma,
            n_envs=num_envs,
        )
        truncated = rollout.done & ~rollout.terminated
        rewards = rollout.rewards + self.config.discount * rollout.values[1:] * truncated
        starts = torch.cat([~rollout.valid[:1], rollout.done[:-1] | ~rollout.valid[:-1]])
        for step in range(steps):
            buffer.add(
                obs=rollout.observations[step].numpy(),
                action=rollout.actions[step].numpy(),
                reward=rewards[step].numpy(),
                episode_start=starts[step].numpy(),
                value=rollout.values[step],
                log_prob=rollout.log_probs[step],
            )
        buffer.compute_returns_and_advantage(rollout.values[-1], rollout.done[-1].numpy())
        next(buffer.get(1))  # which puts the rows of all environments one after the other
        valid = buffer.swap_and_flatten(rollout.valid.numpy())[:, 0]
        for name in ("observations", "actions", "values", "log_probs", "advantages", "returns"):
            setattr(buffer, name, getattr(buffer, name)[valid])
        buffer.buffer_size, buffer.n_envs = int(valid.sum()), 1
        return buffer

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """Their code draws from the global generators of torch and numpy: seed them, and put them back."""
        seed = int(torch.randint(2**32, (), generator=self.generator, device=self.device))
        numpy_state = np.random.get_state()
        with torch.random.fork_rng(devices=[] if self.device.type == "cpu" else [self.device]):
            torch.manual_seed(seed)
            np.random.seed(seed)
            try:
                yield
            finally:
                np.random.set_state(numpy_state)

    @contextmanager
    def _divergence_told(self) -> Iterator[None]:
        """Their distributions refuse what is not finite; say why, as our agents do."""
        try:
            yield
        except ValueError:
            if all(bool(parameter.isfinite().all()) for parameter in self.network.parameters()):
                raise
            raise diverged(self.config) from None

    def _tensor(self, observations: NDArray) -> Tensor:
        return torch.from_numpy(observations).to(self.device)

    def state_dict(self) -> dict[str, Any]:
        """Everything that `act` and `update` depend on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.model.policy.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.model.policy.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())


class NormalisingExtractor(nn.Module):
    """Vectors through the normaliser of their space, as one of their feature extractors."""

    def __init__(self, observation_space: Box):
        super().__init__()
        normaliser = normaliser_of(observation_space)
        assert normaliser is not None
        self.normaliser, self.features_dim = normaliser, observation_space.shape[0]

    def forward(self, observations: Tensor) -> Tensor:
        """float32 (batch, features)."""
        return self.normaliser(observations)
