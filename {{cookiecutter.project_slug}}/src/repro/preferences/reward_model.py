"""The reward model: an ensemble fitted to comparisons of segments (Christiano et al. 2017, section 2.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from repro.config import RewardModelConfig
from repro.preferences.reward_networks import RewardEnsemble
from repro.preferences.segments import Segment

PREDICTION_FRAMES = 1024  # in one forward pass without gradients; a stack has several, a vector counts as one
VALIDATION_COMPARISONS = 100  # at most so many are looked at for the validation metrics
STATISTICS_MEMORY = 0.98  # of the running mean and variance of predictions, a gradient step


class RewardModel:
    """Predicts rewards from observations; learns from comparisons of pairs of segments.

    Each member of the ensemble holds out its own share of the comparisons for validation. Its predictions are
    normalised to mean 0 and a chosen standard deviation over the labelled segments (running statistics of the last
    gradient steps), then averaged.
    """

    def __init__(
        self,
        observation_space: Box,
        config: RewardModelConfig,
        device: torch.device,
        seed: int,
        precision: str = "float32",
    ):
        self.config, self.device, self.seed = config, device, seed
        self.half = precision == "bfloat16"
        self.network = RewardEnsemble(observation_space, config.members, config.keypoints, config.hidden).to(device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.raw_mean = torch.zeros(config.members, 1)
        self.raw_variance = torch.ones(config.members, 1)
        self.comparisons = Comparisons(config.members, config.validation_fraction, seed)
        self.steps = 0  # gradient steps so far

    def standardise(self) -> None:
        """Fix the standardisation of the networks' inputs from the segments compared so far."""
        frames = self.comparisons.segments(torch.tensor([0])).shape[:2].numel()  # of a comparison
        parts = torch.arange(len(self.comparisons)).split(max(1, PREDICTION_FRAMES // frames))
        with self._precision():
            self.network.standardise(self.comparisons.segments(part).to(self.device) for part in parts)

    def train(self, steps: int, progress: float = 0.0) -> dict[str, float]:
        """Take `steps` gradient steps on the comparisons; returns metrics averaged over them.

        `progress` in [0, 1) is the share of the agent's training that is behind. There are no metrics where all
        members hold out all that is drawn.
        """
        if self.config.anneal_learning_rate:
            self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * (1 - progress)
        losses, correct, counts = [], [], []
        for _ in range(steps):
            indices = torch.randint(len(self.comparisons), (self.config.batch_size,), generator=self.generator)
            with self._precision():
                rewards = self.network(self.comparisons.segments(indices).to(self.device))
            preferences, held_out = self.comparisons.labels(indices)
            logits = _logits(rewards)
            weights = (~held_out).float().to(self.device)  # (M, B)
            loss = self._cross_entropy(logits, preferences.to(self.device)) * weights
            self.optimizer.zero_grad()
            (loss.sum(1) / weights.sum(1).clamp(min=1)).sum().backward()
            self.optimizer.step()
            self._update_statistics(rewards.detach())
            self.steps += 1
            losses.append(loss.detach().sum())
            correct.append((_agree(logits, preferences.to(self.device)) * weights).sum())
            counts.append(weights.sum())
        total = float(sum(counts))
        if not total:
            return {}
        return {
            "reward_model/loss_train": float(sum(losses)) / total,
            "reward_model/accuracy_train": float(sum(correct)) / total,
        }

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Loss and accuracy on comparisons that members hold out; on a random sample where there are many."""
        losses, correct, count = 0.0, 0.0, 0
        _, held_out = self.comparisons.labels(torch.arange(len(self.comparisons)))
        candidates = held_out.any(0).nonzero().squeeze(1)
        if not len(candidates):
            return {}
        order = torch.randperm(len(candidates), generator=self.generator)
        for indices in candidates[order[:VALIDATION_COMPARISONS]].split(self.config.batch_size):
            preferences, held_out = self.comparisons.labels(indices)
            with self._precision():
                logits = _logits(self.network(self.comparisons.segments(indices).to(self.device))).cpu()
            losses += float(self._cross_entropy(logits, preferences)[held_out].sum())
            correct += float(_agree(logits, preferences)[held_out].sum())
            count += int(held_out.sum())
        return {"reward_model/loss_val": losses / count, "reward_model/accuracy_val": correct / count}

    @torch.no_grad()
    def predict(self, observations: NDArray) -> NDArray[np.float32]:
        """Normalised rewards float32 (B,) of observations: stacks uint8 (B, S, H, W) or vectors (B, D)."""
        return self.normalise(self.raw(observations)).mean(0).numpy()

    @torch.no_grad()
    def raw(self, observations: NDArray) -> Tensor:
        """Each member's reward before normalisation, float32 (M, B) on the CPU."""
        parts = []
        for batch in torch.from_numpy(observations).split(max(1, PREDICTION_FRAMES // self.network.stack)):
            batch = batch if self.network.images else batch[:, None]
            with self._precision():
                parts.append(self.network(batch.to(self.device)).squeeze(2).cpu())
        return torch.cat(parts, dim=1)

    def normalise(self, raw: Tensor) -> Tensor:
        """Members' rewards (M, B) to mean 0 and std `reward_std` over the labelled segments."""
        return (raw - self.raw_mean) / (self.raw_variance.sqrt() + 1e-8) * self.config.reward_std

    def _cross_entropy(self, logits: Tensor, preferences: Tensor) -> Tensor:
        """Bradley-Terry loss (M, B); some answers are assumed to be random (section 2.2.3)."""
        noise = torch.tensor(self.config.answer_noise, device=logits.device)
        left, right = (
            # log of (1 - noise) sigmoid(x) + noise / 2, which neither overflows nor loses digits
            torch.logaddexp((1 - noise).log() + functional.logsigmoid(sign * logits), (noise / 2).log())
            for sign in (1, -1)
        )
        return -(preferences * left + (1 - preferences) * right)

    def _update_statistics(self, rewards: Tensor) -> None:
        """Follow the mean and variance of the raw predictions over the labelled segments (M, 2B, T)."""
        rewards = rewards.flatten(1).cpu()
        mean, variance = rewards.mean(1, keepdim=True), rewards.var(1, keepdim=True)
        weight = max(1 - STATISTICS_MEMORY, 1 / (self.steps + 1))  # a plain average at first
        self.raw_mean = (1 - weight) * self.raw_mean + weight * mean
        self.raw_variance = (1 - weight) * self.raw_variance + weight * variance

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the comparisons, which are in the preference store."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "raw_mean": self.raw_mean,
            "raw_variance": self.raw_variance,
            "steps": self.steps,
        }

    def inference_state(self) -> dict[str, Any]:
        """What `predict` depends on."""
        return {"network": self.network.state_dict(), "raw_mean": self.raw_mean, "raw_variance": self.raw_variance}

    def load_inference_state(self, state: dict[str, Any]) -> None:
        """Predict as the model did whose `inference_state` this is."""
        self.network.load_state_dict(state["network"])
        self.raw_mean, self.raw_variance = state["raw_mean"], state["raw_variance"]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.raw_mean, self.raw_variance, self.steps = state["raw_mean"], state["raw_variance"], state["steps"]


class Comparisons:
    """Labelled pairs of segments, and which of them each member holds out for validation."""

    def __init__(self, members: int, validation_fraction: float, seed: int):
        self.members, self.validation_fraction, self.seed = members, validation_fraction, seed
        self._segments: list[Tensor] = []  # left, right, left, right ...
        self._preferences: list[float] = []
        self._held_out: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._preferences)

    def add(self, number: int, left: Segment, right: Segment, preference: float) -> None:
        """Add comparison `number`; `preference` is the probability that the left one is better: 1, 0 or 0.5."""
        self._segments += [torch.from_numpy(left.observations), torch.from_numpy(right.observations)]
        self._preferences.append(preference)
        # Drawn from the number alone, so that a resumed run holds out the same comparisons.
        draws = np.random.default_rng([self.seed, number]).random(self.members)
        self._held_out.append(torch.from_numpy(draws < self.validation_fraction))

    def segments(self, indices: Tensor) -> Tensor:
        """Observations of the left segments, then of the right ones, (2B, ...)."""
        lefts, rights = (2 * indices).tolist(), (2 * indices + 1).tolist()
        return torch.stack([self._segments[index] for index in lefts + rights])

    def labels(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Preferences float32 (B,) and held-out masks bool (M, B)."""
        chosen = indices.tolist()
        preferences = torch.tensor([self._preferences[index] for index in chosen])
        return preferences, torch.stack([self._held_out[index] for index in chosen], dim=1)


def _logits(rewards: Tensor) -> Tensor:
    """Difference of the segments' summed rewards (M, B), left minus right, from rewards (M, 2B, T)."""
    left, right = rewards.sum(2).chunk(2, dim=1)
    return left - right


def _agree(logits: Tensor, preferences: Tensor) -> Tensor:
    """Whether the prediction is on the label's side, float32 (M, B); a tie counts half."""
    return torch.where(preferences == 0.5, 0.5, ((logits > 0) == (preferences > 0.5)).float())
