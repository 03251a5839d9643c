"""Checks of the untrained reward model and its first comparisons: can it learn at all, and from what."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from repro.config import Config
from repro.optimisers import Adam
from repro.preferences.comparisons import pad_segments
from repro.preferences.reward_losses import compare, cross_entropy
from repro.preferences.reward_model import RewardModel
from repro.preflight.checks import CheckResult
from repro.preflight.trainer import COMPARISONS, open_reward_model, open_trainer, random_segments

START_TOLERANCE = 0.1  # nats
MAX_ROUNDING = 1e-4
OVERFITTING_STEPS, OVERFITTING_BLOCK = 200, 10
MAX_CHANGE = 1e-3  # by rounding, of numbers that are differences of larger ones
MAX_SHARED = 0.2
REGRESSION_LABELS, REGRESSION_BATCH = 120, 16  # comparisons, segments
REGRESSION_STEPS, REGRESSION_BLOCK, REGRESSION_RATE = 300, 50, 2e-3
MIN_CORRELATION = 0.5


def check_reward_model_start(config: Config, root: Path) -> CheckResult:
    """An untrained reward model has no preferences: its loss is about ln 2."""
    with open_reward_model(config) as model, torch.no_grad():
        preferences, _ = model.comparisons.labels(torch.arange(len(model.comparisons)))
        logits = compare(model.network(*_segments(model)))
        loss = float(cross_entropy(logits, preferences, config.reward_model.answer_noise).mean())
    return CheckResult(
        abs(loss - math.log(2)) <= START_TOLERANCE,
        f"loss before the first step {loss:.3f} (ln 2 = {math.log(2):.3f}, give or take {START_TOLERANCE:g})",
        "A model that starts with strong preferences must unlearn them first, and labels are few.",
        "start with smaller weights in its last layer, or scale its inputs",
    )


def check_reward_model_swap(config: Config, root: Path) -> CheckResult:
    """Left or right makes no difference: P(a > b) + P(b > a) = 1."""
    with open_reward_model(config) as model, torch.no_grad():
        segments, lengths = _segments(model)
        swapped = segments.roll(len(segments) // 2, 0), lengths.roll(len(lengths) // 2)
        error = float(
            (_preference(model.network, segments, lengths) + _preference(model.network, *swapped) - 1).abs().max()
        )
    return CheckResult(
        error <= MAX_ROUNDING,
        f"P(a > b) + P(b > a) differs from 1 by {error:.1g}",
        "The segments of a pair are not processed alike: noise, such as dropout, differs between them.",
        "give both the same noise, or none",
    )


def check_clips_independent(config: Config, root: Path) -> CheckResult:
    """The reward of a segment depends on that segment alone, not on others in its batch."""
    with open_reward_model(config) as model:
        segments, lengths = _segments(model)
        segments = segments.float().requires_grad_()
        model.network(segments, lengths)[:, 0].sum().backward()
        assert segments.grad is not None
        own, *others = segments.grad.flatten(1).abs().amax(1).tolist()
    return CheckResult(
        own > 0 and max(others) == 0,
        f"gradient of one segment's reward: {own:.1g} to itself, at most {max(others):.1g} to the others",
        "Segments that leak into each other give rewards that hold in this batch only.",
        "look for batch normalisation, or a reshape that mixes the batch with another dimension",
    )


def check_overfits_batch(config: Config, root: Path) -> CheckResult:
    """The reward model can learn a few labels by heart."""
    with open_reward_model(config) as model:
        accuracy, steps = _training_accuracy(model), 0
        while accuracy < 1 and steps < OVERFITTING_STEPS:
            model.train(OVERFITTING_BLOCK)
            accuracy, steps = _training_accuracy(model), steps + OVERFITTING_BLOCK
    if math.isnan(accuracy):
        return CheckResult(
            False,
            f"all of {COMPARISONS} labels are ties or held out, so there is nothing to learn by heart",
            "Labels like these teach nothing: in most pairs of clips of random behaviour neither is better.",
            "longer preferences.segment_steps, a smaller preferences.oracle.equal_threshold, a smaller "
            "reward_model.validation_fraction; or a reward that random behaviour meets with",
        )
    return CheckResult(
        accuracy == 1,
        f"{accuracy:.0%} of {COMPARISONS} labels right after {steps} steps (at most {OVERFITTING_STEPS})",
        "A model that cannot learn a few labels by heart will not learn hundreds: labels, inputs or start are wrong.",
        "check the loss at the start, that labels belong to their segments, the learning rate, the scale of inputs",
    )


def check_dropout_batchnorm(config: Config, root: Path) -> CheckResult:
    """Dropout and batch norm treat the segments of a pair alike while training, and are off in prediction."""
    with open_reward_model(config) as model, torch.no_grad():
        network, (segments, lengths) = model.network, _segments(model)
        pairs = len(segments) // 2
        order = torch.arange(2 * pairs)
        order[0:pairs:2], order[pairs::2] = order[pairs::2].clone(), order[0:pairs:2].clone()  # half of them swapped
        mixed = segments[order], lengths[order]
        network.train()
        drawn = torch.Generator(model.device)  # dropout's masks, the same for both
        first, second = (
            compare(network(*both, drawn.manual_seed(model.seed))) for both in ((segments, lengths), mixed)
        )
        network.eval()
        trained = float((first.abs() - second.abs()).abs().max() / (first.abs().max() + 1e-12))
        each = zip(segments.split(1), lengths.split(1), strict=True)
        together, alone = network(segments, lengths), torch.cat([network(*one) for one in each], dim=1)
        predicted = float((together - alone).abs().max() / (together.abs().max() + 1e-12))
    return CheckResult(
        trained <= MAX_CHANGE and predicted <= MAX_CHANGE,
        f"largest change of a preference while training, if half of the pairs are swapped: {trained:.2g} of the "
        f"largest; of a predicted reward, in a batch or alone: {predicted:.2g} ({MAX_CHANGE:g} may)",
        "Both segments of a pair pass through the same weights; noise or statistics that they do not share decide it.",
        "give both segments of a pair the same dropout mask and one forward pass; predict in evaluation mode",
    )


def check_validation_disjoint(config: Config, root: Path) -> CheckResult:
    """What a member is validated on it was not trained on: no segment of a held-out comparison is in another one.

    Segments are the same if the model sees the same, so that a dot that stands still twice counts. On moving-dot such
    repetitions touch 0 to 11% of the held-out comparisons (36 seeds); where every segment is drawn twice, nearly all.
    """
    with open_reward_model(config, config.preferences.initial_labels) as model:
        _, held_out = model.comparisons.labels(torch.arange(len(model.comparisons)))
        seen = [hashlib.sha256(segment.numpy().tobytes()).digest() for segment in _segments(model)[0]]
    pairs = list(zip(seen[: len(seen) // 2], seen[len(seen) // 2 :], strict=True))
    shared = validated = 0
    for mask in held_out.tolist():  # of each member
        trained = {segment for pair, out in zip(pairs, mask, strict=True) if not out for segment in pair}
        shared += sum(out and not trained.isdisjoint(pair) for pair, out in zip(pairs, mask, strict=True))
        validated += sum(mask)
    return CheckResult(
        shared <= max(1, MAX_SHARED * validated),
        f"{shared} of {validated} held-out comparisons show what is trained on too ({MAX_SHARED:.0%}, or one, may)",
        "The validation loss on what a member was trained on stays low while it overfits.",
        "compare each segment once, or hold out all comparisons of a segment together",
    )


def check_reward_predictable(config: Config, root: Path) -> CheckResult:
    """The true reward can be predicted from what the reward model sees, by the same network fitted to it by regression.

    The network is fitted to three quarters of some thousand steps of random behaviour, until its predictions of the
    others correlate with the true rewards by MIN_CORRELATION, or for REGRESSION_STEPS gradient steps. On moving-dot it
    reaches 0.60 to 0.96 after 100 steps (images of 42 and 84 pixels, both kinds of actions, 24 seeds), and with one
    frame in place of four, which does not show where the dot is going, at most 0.23 after 300.
    """
    with open_trainer(config, REGRESSION_LABELS) as trainer:
        assert trainer.learning, "this check is for learned rewards"
        segments, model = random_segments(trainer), trainer.learning.model
        trainer.learning.load_labels(REGRESSION_LABELS)
    model.standardise()
    observations, lengths = pad_segments(segments)
    rewards = pad_sequence([torch.from_numpy(segment.true_rewards) for segment in segments], batch_first=True)  # (B, T)
    there = torch.arange(rewards.shape[1]) < lengths[:, None]  # a segment at an episode's end may be short
    rewards = (rewards - rewards[there].mean()) / (rewards[there].std() + 1e-8)
    fitted = len(segments) * 3 // 4
    optimizer = Adam(model.network.parameters(), REGRESSION_RATE)
    correlation, steps = 0.0, 0
    while not correlation >= MIN_CORRELATION and steps < REGRESSION_STEPS:  # it may be nan
        for _ in range(REGRESSION_BLOCK):
            batch = torch.randint(fitted, (REGRESSION_BATCH,))
            errors = model.network.train()(observations[batch], lengths[batch]) - rewards[batch]
            loss = errors[:, there[batch]].square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        steps += REGRESSION_BLOCK
        with torch.no_grad():
            predicted = model.network.eval()(observations[fitted:], lengths[fitted:]).mean(0)
        others = there[fitted:]
        correlation = float(torch.corrcoef(torch.stack([predicted[others], rewards[fitted:][others]]))[0, 1])
    return CheckResult(
        correlation >= MIN_CORRELATION,
        f"correlation of predicted and true reward {correlation:.2f} ({MIN_CORRELATION} needed) after {steps} steps of "
        f"regression on {fitted} segments",
        "What cannot be learned from the true reward itself will not be learned from comparisons.",
        "show the model what the reward depends on: more frames, a finer image, no cropping; or a larger network",
    )


def _segments(model: RewardModel) -> tuple[Tensor, Tensor]:
    """Observations (2B, ...) and lengths (2B,) of all segments that the model holds, the left ones first."""
    every = torch.arange(len(model.comparisons))
    return model.comparisons.segments(every), model.comparisons.lengths(every)


def _preference(network: nn.Module, segments: Tensor, lengths: Tensor) -> Tensor:
    """P(left > right) of each pair and member (M, B), both in one forward pass as in training."""
    return torch.sigmoid(compare(network(segments, lengths)))


@torch.no_grad()
def _training_accuracy(model: RewardModel) -> float:
    """The share of labels, other than ties, that members predict right among those they are trained on; or nan."""
    preferences, held_out = model.comparisons.labels(torch.arange(len(model.comparisons)))
    predicted = _preference(model.network, *_segments(model)) > 0.5
    counted = ~held_out & (preferences != 0.5)
    return float((predicted == (preferences > 0.5))[counted].float().mean())
