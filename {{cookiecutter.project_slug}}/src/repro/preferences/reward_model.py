"""The reward model: an ensemble fitted to comparisons of segments (Christiano et al. 2017, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from repro.config import RewardModelConfig
from repro.device import autocast
from repro.optimisers import AdamW
from repro.preferences.comparisons import Comparisons, pad_segments
from repro.preferences.regularisation import VALIDATION_STEPS, AdaptiveDecay, EarlyStopping
from repro.preferences.reward_losses import compare, cross_entropy, lowest_cross_entropy, squared_error
from repro.preferences.reward_metrics import FitRecord, Validation
from repro.preferences.reward_networks import RewardEnsemble, valid_steps
from repro.preferences.reward_normaliser import RewardNormaliser
from repro.preferences.segments import Segment

PREDICTION_FRAMES = 1024  # in one forward pass without gradients; a stack has several, a vector counts as one
VALIDATION_COMPARISONS = 100  # at most so many are looked at for the validation metrics


class RewardModel:
    """Predicts rewards from observations; learns from comparisons of pairs of segments.

    Each member of the ensemble holds out its own share of the comparisons for validation. Its predictions are
    normalised over the labelled segments (`RewardNormaliser`), then averaged. The network is in evaluation mode but
    for gradient steps.
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
        self.precision = precision
        self.network = RewardEnsemble(observation_space, config).to(device).eval()
        self.decay = AdaptiveDecay() if config.weight_decay == "adaptive" else None
        self.optimizer = AdamW(self.network.parameters(), config.learning_rate, fused=True)
        self._set_weight_decay()
        self.generator = torch.Generator().manual_seed(seed)
        self.dropout_generator = torch.Generator(device).manual_seed(seed + 1)
        self.normaliser = RewardNormaliser(config.members, config.reward_std)
        self.return_scale = 1.0  # of true returns, where they are regressed on
        self.comparisons = Comparisons(
            config.members, config.validation_fraction, seed, config.bootstrap, config.label_window
        )

    def standardise(self) -> None:
        """Fix the standardisation of the networks' inputs, and the unit of true returns, from the segments so far."""
        indices = torch.arange(len(self.comparisons))
        with autocast(self.device, self.precision):
            self.network.standardise(
                (self.comparisons.segments(part).to(self.device), self.comparisons.lengths(part))
                for part in self._parts(indices)
            )
        if self.config.target == "true_return":
            steps = self.comparisons.true_returns(indices) / self.comparisons.lengths(indices)
            self.return_scale = float(steps.square().mean().sqrt()) or 1.0

    def train(self, steps: int, progress: float = 0.0) -> dict[str, float]:
        """Take `steps` gradient steps on the comparisons; returns metrics averaged over them.

        With early stopping there may be fewer, and the model is then as it was at the lowest validation loss.
        `progress` in [0, 1) is the share of the agent's training that is behind. There are no metrics where all
        members hold out all that is drawn, and no steps where there are no comparisons yet.
        """
        if not len(self.comparisons):
            return {}
        if self.config.anneal_learning_rate:
            self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * (1 - progress)
        record = FitRecord()
        if self.config.early_stopping and (sample := self._held_out_sample()) is not None:
            self._fit_until_it_gets_worse(steps, self.config.early_stopping, sample, record)
        else:
            for _ in range(steps):
                self._step(record)
        if steps and self._noisy:
            self._measure_scale()
        return record.metrics()

    def _fit_until_it_gets_worse(self, steps: int, patience: int, sample: Tensor, record: FitRecord) -> None:
        """Take at most `steps` gradient steps, and keep what had the lowest loss on the held-out of a sample."""
        stopping = EarlyStopping(patience)
        for step in range(steps):
            if step % VALIDATION_STEPS == 0 and stopping.over(step, self._validate(sample).loss, self._fitted):
                break
            self._step(record)
        else:
            stopping.over(steps, self._validate(sample).loss, self._fitted)
        if stopping.best_state is not None:  # no loss was a number; a check says so
            self._restore(stopping.best_state)

    def _step(self, record: FitRecord) -> None:
        """A gradient step on a batch of comparisons, the same for all members; each counts those that it drew."""
        indices = torch.randint(len(self.comparisons), (self.config.batch_size,), generator=self.generator)
        lengths = self.comparisons.lengths(indices)
        preferences, draws = (values.to(self.device) for values in self.comparisons.drawn(indices))
        if self._noisy:
            self.network.train()
        with autocast(self.device, self.precision):
            segments = self.comparisons.segments(indices).to(self.device)
            rewards = self.network(segments, lengths, self.dropout_generator)
        if self._noisy:
            self.network.eval()
        losses = self._losses(rewards, preferences, indices)
        weighted = losses * draws
        self.optimizer.zero_grad()
        (weighted.sum(1) / draws.sum(1).clamp(min=1)).sum().backward()
        self.optimizer.step()
        sums = record.add(losses, compare(rewards), preferences, draws)
        if self.decay:
            loss, labels, _, loss_held_out, held_out = sums.tolist()
            self.decay.update((loss, labels), (loss_held_out, held_out))
            self._set_weight_decay()
        if not self._noisy:
            self.normaliser.follow(_of_steps(rewards.detach().cpu(), lengths))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Metrics of comparisons that members hold out, of a random sample where there are many; and of all labels."""
        sample = self._held_out_sample()
        if sample is None:
            return {}
        if self.config.target == "true_return":
            metrics = self._validate(sample).metrics(None)
        else:
            preferences, _ = self.comparisons.labels(torch.arange(len(self.comparisons)))
            metrics = self._validate(sample).metrics(self.config.answer_noise)
            metrics["reward_model/loss_floor"] = lowest_cross_entropy(preferences, self.config.answer_noise)
        if self.decay:
            metrics["reward_model/weight_decay"] = self.decay.coefficient
        return metrics

    def _held_out_sample(self) -> Tensor | None:
        """Some comparisons that members hold out, at random; None where there are none."""
        if not len(self.comparisons):
            return None
        _, held_out = self.comparisons.labels(torch.arange(len(self.comparisons)))
        candidates = held_out.any(0).nonzero().squeeze(1)
        if not len(candidates):
            return None
        order = torch.randperm(len(candidates), generator=self.generator)
        return candidates[order[:VALIDATION_COMPARISONS]]

    @torch.no_grad()
    def _validate(self, sample: Tensor) -> Validation:
        validation = Validation()
        for indices in sample.split(self.config.batch_size):
            preferences, held_out = self.comparisons.labels(indices)
            rewards = self._rewards(indices)
            validation.add(
                self._losses(rewards, preferences, indices),
                rewards.sum(2),
                preferences,
                held_out,
                self.comparisons.true_returns(indices),
                (indices + 0.5) / len(self.comparisons),
            )
            steps = _of_steps(rewards, self.comparisons.lengths(indices))
            validation.normalised.append(self.normalise(steps) / self.config.reward_std)
        return validation

    def _losses(self, rewards: Tensor, preferences: Tensor, indices: Tensor) -> Tensor:
        """Each member's loss of comparisons (M, B), given the rewards (M, 2B, T) that it predicts."""
        if self.config.target == "true_return":
            true_returns = self.comparisons.true_returns(indices).to(rewards.device)
            return squared_error(rewards, true_returns / self.return_scale)
        return cross_entropy(compare(rewards), preferences, self.config.answer_noise)

    @torch.no_grad()
    def _rewards(self, indices: Tensor) -> Tensor:
        """Raw rewards of comparisons, float32 (M, 2B, T) on the CPU."""
        with autocast(self.device, self.precision):
            segments = self.comparisons.segments(indices).to(self.device)
            rewards: Tensor = self.network(segments, self.comparisons.lengths(indices))
        return rewards.cpu()

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
            with autocast(self.device, self.precision):
                parts.append(self.network(batch.to(self.device)).squeeze(2).cpu())
        return torch.cat(parts, dim=1)

    @torch.no_grad()
    def returns(self, segments: Sequence[Segment]) -> Tensor:
        """Each member's sum of raw rewards over each segment, float32 (M, B) on the CPU.

        The difference of two is the logit of the preference for the first (section 2.2.1).
        """
        at_once = max(1, PREDICTION_FRAMES // max(len(segment.observations) for segment in segments))
        parts = []
        for first in range(0, len(segments), at_once):
            observations, lengths = pad_segments(segments[first : first + at_once])
            with autocast(self.device, self.precision):
                parts.append(self.network(observations.to(self.device), lengths).sum(2).cpu())
        return torch.cat(parts, dim=1)

    def normalise(self, raw: Tensor, steps: Tensor | int = 1) -> Tensor:
        """Members' rewards (M, B), or sums over `steps` (B,), to mean 0 and std `reward_std` over labelled segments."""
        return self.normaliser.normalise(raw, steps)

    @property
    def _noisy(self) -> bool:
        """Whether rewards while training are not those that are predicted."""
        return self.config.batch_norm or self.config.dropout > 0

    def _measure_scale(self) -> None:
        """Normalise by what is predicted for some labelled segments, chosen at random."""
        order = torch.randperm(len(self.comparisons), generator=self.generator)[:VALIDATION_COMPARISONS]
        parts = order.split(self.config.batch_size)
        rewards = [_of_steps(self._rewards(part), self.comparisons.lengths(part)) for part in parts]
        self.normaliser.measure(torch.cat(rewards, dim=1))

    def _set_weight_decay(self) -> None:
        decay = self.decay.coefficient if self.decay else self.config.weight_decay
        self.optimizer.param_groups[0]["weight_decay"] = decay

    def _parts(self, indices: Tensor) -> tuple[Tensor, ...]:
        """So few comparisons at a time that their frames may pass through at once."""
        frames = 2 * (int(self.comparisons.lengths(indices).max()) + self.network.stack - 1)
        return indices.split(max(1, PREDICTION_FRAMES // frames))

    def state_dict(self) -> dict[str, Any]:
        """Everything but the comparisons, which are in the preference store."""
        return self._fitted() | {
            "generator": self.generator.get_state(),
            "dropout_generator": self.dropout_generator.get_state(),
            "decay": self.decay.state_dict() if self.decay else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        if self.decay:
            self.decay.load_state_dict(state["decay"])
        self._restore(state)
        self.generator.set_state(state["generator"])
        self.dropout_generator.set_state(state["dropout_generator"])

    def inference_state(self) -> dict[str, Any]:
        """What `predict` depends on, and the unit that it was trained in."""
        return {
            "network": self.network.state_dict(),
            "normaliser": self.normaliser.state_dict(),
            "return_scale": self.return_scale,
        }

    def load_inference_state(self, state: dict[str, Any]) -> None:
        """Predict as the model did whose `inference_state` this is."""
        self.network.load_state_dict(state["network"])
        self.normaliser.load_state_dict(state["normaliser"])
        self.return_scale = state["return_scale"]

    def _fitted(self) -> dict[str, Any]:
        """What gradient steps change."""
        return self.inference_state() | {"optimizer": self.optimizer.state_dict()}

    def _restore(self, state: dict[str, Any]) -> None:
        self.load_inference_state(state)
        self.optimizer.load_state_dict(state["optimizer"])
        self._set_weight_decay()  # which goes on from where it is


def _of_steps(rewards: Tensor, lengths: Tensor) -> Tensor:
    """The rewards (M, steps) in (M, B, T), without those of the padding."""
    valid = valid_steps(lengths, rewards.shape[2])
    return rewards.flatten(1) if valid is None else rewards[:, valid]
