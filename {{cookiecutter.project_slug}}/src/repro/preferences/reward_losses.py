"""What the reward model is fitted to, and what of it can be read off a few comparisons; pure functions.

Rewards are those of a batch of B pairs, the left segments before the right ones, (M, 2B, T) for M members.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

CONFIDENCE_BINS = 5  # of predicted probability, from 0.5 to 1


def compare(rewards: Tensor) -> Tensor:
    """Difference of the segments' summed rewards (M, B), left minus right: the logit of the preference for the left."""
    left, right = rewards.sum(2).chunk(2, dim=1)
    return left - right


def cross_entropy(logits: Tensor, preferences: Tensor, noise: float) -> Tensor:
    """Bradley-Terry loss (M, B); a share `noise` of the answers is assumed to be random (section 2.2.3)."""
    share = torch.tensor(noise, device=logits.device)
    left, right = (
        # log of (1 - noise) sigmoid(x) + noise / 2, which neither overflows nor loses digits
        torch.logaddexp((1 - share).log() + functional.logsigmoid(sign * logits), (share / 2).log())
        for sign in (1, -1)
    )
    return -(preferences * left + (1 - preferences) * right)


def squared_error(rewards: Tensor, true_returns: Tensor) -> Tensor:
    """Of the predicted returns of both segments of a pair, (M, B): the ablation "target" (section 3.3)."""
    left, right = (rewards.sum(2) - true_returns).square().chunk(2, dim=1)
    return (left + right) / 2


def agree(logits: Tensor, preferences: Tensor) -> Tensor:
    """Whether the prediction is on the label's side, float32 (M, B); a tie counts half."""
    return torch.where(preferences == 0.5, 0.5, ((logits > 0) == (preferences > 0.5)).float())


def lowest_cross_entropy(preferences: Tensor, noise: float) -> float:
    """The least that the mean loss of these labels (B,) can be: ln 2 for a tie, and what the noise term leaves."""
    ties = float((preferences == 0.5).float().mean())
    return ties * math.log(2) - (1 - ties) * math.log(1 - noise / 2)


def calibration_error(logits: Tensor, preferences: Tensor, noise: float) -> float:
    """Expected calibration error (Naeini et al. 2015) of predicted preferences (K,) against answers (K,).

    The probability of the side that is thought better, in bins of equal width, against the share of answers for it (a
    tie is half an answer): the mean absolute difference, weighted by how much is in a bin. Small samples overstate it.
    """
    confidence = (1 - noise) * torch.sigmoid(logits.abs()) + noise / 2
    for_it = torch.where(logits > 0, preferences, 1 - preferences)
    bins = ((confidence - 0.5) * 2 * CONFIDENCE_BINS).long().clamp(0, CONFIDENCE_BINS - 1)
    sums = torch.zeros(CONFIDENCE_BINS, dtype=torch.float64).index_add_(0, bins, (confidence - for_it).double())
    return float(sums.abs().sum()) / len(logits)
