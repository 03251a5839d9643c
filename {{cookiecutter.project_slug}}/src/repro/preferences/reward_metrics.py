"""What is recorded of the reward model's training and validation."""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor

from repro.correlation import correlation
from repro.preferences.reward_losses import agree, calibration_error

OLDEST, NEWEST = 0.25, 0.75  # where the oldest quarter of the labels ends, and the newest begins


class FitRecord:
    """Sums over gradient steps, of what members are trained on and of what they hold out."""

    def __init__(self) -> None:
        self._sums: list[Tensor] = []  # a gradient step: see `add`

    def add(self, losses: Tensor, logits: Tensor, preferences: Tensor, draws: Tensor) -> Tensor:
        """Record the losses (M, B) of a gradient step on comparisons that members drew so often (M, B).

        Returns the sums that are kept, (5,): loss, labels and correct ones of what is trained on (as often as it was
        drawn), loss and labels of what is held out.
        """
        losses, logits, held_out = losses.detach(), logits.detach(), draws == 0
        correct = agree(logits, preferences) * draws
        sums = ((losses * draws).sum(), draws.sum(), correct.sum(), (losses * held_out).sum(), held_out.float().sum())
        self._sums.append(torch.stack(sums))
        return self._sums[-1]

    def metrics(self) -> dict[str, float]:
        """Means over all that was drawn in these steps; none where all of it was held out."""
        if not self._sums:
            return {}
        loss, labels, correct, loss_held_out, held_out = reduce(torch.add, self._sums).tolist()
        if not labels:
            return {}
        metrics = {
            "reward_model/loss_train": loss / labels,
            "reward_model/accuracy_train": correct / labels,
            "reward_model/gradient_steps": float(len(self._sums)),
        }
        if held_out and loss:
            metrics["reward_model/loss_ratio"] = (loss_held_out / held_out) / (loss / labels)
        return metrics


class Validation:
    """Predictions of comparisons that members hold out."""

    def __init__(self) -> None:
        self._loss, self._correct, self._count = 0.0, 0.0, 0
        self._parts: list[tuple[Tensor, ...]] = []
        self.normalised: list[Tensor] = []  # rewards (M, steps) of their steps, which are to be of mean 0 and std 1

    def add(
        self,
        losses: Tensor,
        returns: Tensor,
        preferences: Tensor,
        held_out: Tensor,
        true_returns: Tensor,
        places: Tensor,
    ) -> None:
        """Add B comparisons.

        Args:
            losses: (M, B).
            returns: predicted, raw, of the left segments and of the right ones, (M, 2B).
            preferences: (B,).
            held_out: by which members, bool (M, B).
            true_returns: (2B,).
            places: (B,), 0 for the oldest label there is, 1 for the newest.
        """
        left, right = returns.chunk(2, dim=1)
        correct = agree(left - right, preferences)
        self._loss += float(losses[held_out].sum())
        self._correct += float(correct[held_out].sum())
        self._count += int(held_out.sum())
        both, true = torch.stack([left, right], dim=2), torch.stack(true_returns.chunk(2), dim=1)
        self._parts.append((both, correct, preferences, held_out, true, places))

    @property
    def loss(self) -> float:
        """The mean."""
        return self._loss / self._count

    def metrics(self, noise: float | None) -> dict[str, float]:
        """Means over what is held out; with `noise`, the share of random answers, if logits are to be calibrated."""
        parts = list(zip(*self._parts, strict=True))
        returns, correct, held_out = (torch.cat(parts[index], dim=1) for index in (0, 1, 3))
        preferences, true_returns, places = (torch.cat(parts[index]) for index in (2, 4, 5))
        metrics = {"reward_model/loss_val": self.loss, "reward_model/accuracy_val": self._correct / self._count}
        for name, quarter in (
            ("reward_model/accuracy_oldest", places < OLDEST),
            ("reward_model/accuracy_newest", places >= NEWEST),
        ):
            if (held_out & quarter).any():
                metrics[name] = float(correct[held_out & quarter].mean())
        if self.normalised:
            rewards = torch.cat(self.normalised, dim=1)
            metrics["reward_model/normalised_mean"] = float(rewards.mean())
            metrics["reward_model/normalised_std"] = float(rewards.std(1).mean())
        if noise is not None:
            answers = preferences.expand_as(correct)[held_out]
            logits = (returns[..., 0] - returns[..., 1])[held_out]
            metrics["reward_model/calibration_error"] = calibration_error(logits, answers, noise)
        members = [correlation(own[out], true_returns[out]) for own, out in zip(returns, held_out, strict=True)]
        if found := [value for value in members if not math.isnan(value)]:
            metrics["reward_model/return_correlation"] = sum(found) / len(found)
        return metrics
