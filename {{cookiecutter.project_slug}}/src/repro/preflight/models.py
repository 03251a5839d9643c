"""Checks of what training builds: what the networks are fed, and whether the reward model can learn at all.

Each builds the trainer of the first tuning seed, in float32 on the CPU, with a handful of initial comparisons.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from repro.config import Config
from repro.preferences.reward_model import RewardModel
from repro.preferences.store import PreferenceStore
from repro.preflight.checks import CheckResult
from repro.training.on_policy import OnPolicyTrainer
from repro.training.preferences import collect_initial_labels, random_actions
from repro.training.seeding import numpy_generator

OBSERVED_STEPS, OBSERVATIONS = 200, 256
MAX_INPUT_MEAN = 1.0
IMAGE_STD = (0.005, 3.0)  # a mostly black screen varies little
VECTOR_STD = (0.1, 3.0)
COMPARISONS = 8
START_TOLERANCE = 0.1  # nats
MAX_ROUNDING = 1e-4
OVERFITTING_STEPS, OVERFITTING_BLOCK = 200, 10


def check_observations(config: Config, root: Path) -> CheckResult:
    """Observations vary, and reach both networks on the same scale."""
    with _trainer(config) as trainer:
        sample = _random_observations(trainer)
        inputs = {"policy": _first_layer_input(trainer.agent.network, sample)}
        if trainer.learning:
            segments = sample if sample.dim() == 4 else sample[:, None]  # of one step each
            inputs["reward model"] = _first_layer_input(trainer.learning.model.network, segments)
    low, high = IMAGE_STD if sample.dim() == 4 else VECTOR_STD
    faults = ["all observations are the same"] if bool((sample == sample[0]).all()) else []
    seen, tops = [], []
    for name, values in inputs.items():
        if values is None:  # no convolution or linear layer to look at
            continue
        mean, std, top = float(values.mean()), float(values.std()), float(values.abs().max())
        seen.append(f"{name} input: mean {mean:.2g}, std {std:.2g}, up to {top:.3g}")
        tops.append(top)
        if abs(mean) > MAX_INPUT_MEAN or not low <= std <= high:
            faults.append(f"the {name}'s mean should be within {MAX_INPUT_MEAN:g} of 0, its std in [{low:g}, {high:g}]")
    if len(tops) == 2 and not math.isclose(*tops, rel_tol=0.01):
        faults.append("the scale should be the same for both")
    return CheckResult(
        "observations",
        not faults,
        "; ".join([*seen, *faults]),
        "Inputs that do not vary, or are on a scale that networks are not made for, teach little, and nothing crashes.",
        "scale observations at the entrance of every network that sees them",
    )


def check_reward_model_start(config: Config, root: Path) -> CheckResult:
    """An untrained reward model has no preferences: its loss is about ln 2."""
    with _reward_model(config) as model:
        loss = model.train(1)["reward_model/loss_train"]
    return CheckResult(
        "reward_model_start",
        abs(loss - math.log(2)) <= START_TOLERANCE,
        f"loss before the first step {loss:.3f} (ln 2 = {math.log(2):.3f}, give or take {START_TOLERANCE:g})",
        "A model that starts with strong preferences must unlearn them first, and labels are few.",
        "start with smaller weights in its last layer, or scale its inputs",
    )


def check_reward_model_swap(config: Config, root: Path) -> CheckResult:
    """Left or right makes no difference: P(a > b) + P(b > a) = 1."""
    with _reward_model(config) as model, torch.no_grad():
        left, right = _segments(model).chunk(2)
        error = float(
            (_preference(model.network, left, right) + _preference(model.network, right, left) - 1).abs().max()
        )
    return CheckResult(
        "reward_model_swap",
        error <= MAX_ROUNDING,
        f"P(a > b) + P(b > a) differs from 1 by {error:.1g}",
        "The segments of a pair are not processed alike: noise, such as dropout, differs between them.",
        "give both the same noise, or none",
    )


def check_clips_independent(config: Config, root: Path) -> CheckResult:
    """The reward of a segment depends on that segment alone, not on others in its batch."""
    with _reward_model(config) as model:
        segments = _segments(model).float().requires_grad_()
        model.network(segments)[:, 0].sum().backward()
        assert segments.grad is not None
        own, *others = segments.grad.flatten(1).abs().amax(1).tolist()
    return CheckResult(
        "clips_independent",
        own > 0 and max(others) == 0,
        f"gradient of one segment's reward: {own:.1g} to itself, at most {max(others):.1g} to the others",
        "Segments that leak into each other give rewards that hold in this batch only.",
        "look for batch normalisation, or a reshape that mixes the batch with another dimension",
    )


def check_overfits_batch(config: Config, root: Path) -> CheckResult:
    """The reward model can learn a few labels by heart."""
    with _reward_model(config) as model:
        accuracy, steps = _training_accuracy(model), 0
        while accuracy < 1 and steps < OVERFITTING_STEPS:
            model.train(OVERFITTING_BLOCK)
            accuracy, steps = _training_accuracy(model), steps + OVERFITTING_BLOCK
    return CheckResult(
        "overfits_batch",
        accuracy == 1,
        f"{accuracy:.0%} of {COMPARISONS} labels right after {steps} steps (at most {OVERFITTING_STEPS})",
        "A model that cannot learn a few labels by heart will not learn hundreds: labels, inputs or start are wrong.",
        "check the loss at the start, that labels belong to their segments, the learning rate, the scale of inputs",
    )


@contextmanager
def _trainer(config: Config) -> Iterator[OnPolicyTrainer]:
    """The trainer before its first step."""
    training = config.training.model_copy(update={"device": "cpu", "precision": "float32"})
    changes: dict[str, object] = {"training": training}
    if config.preferences and config.reward_model:
        changes["preferences"] = config.preferences.model_copy(update={"initial_labels": COMPARISONS})
        changes["reward_model"] = config.reward_model.model_copy(update={"batch_size": COMPARISONS})
    with tempfile.TemporaryDirectory() as folder:
        store = PreferenceStore(Path(folder) / "preferences.db")
        trainer = OnPolicyTrainer(config.model_copy(update=changes), config.seeds.tuning[0], "preflight", store)
        try:
            yield trainer
        finally:
            trainer.envs.close()
            if store:
                store.close()


@contextmanager
def _reward_model(config: Config) -> Iterator[RewardModel]:
    """The untrained reward model, with the first comparisons that training would collect."""
    with _trainer(config) as trainer:
        assert trainer.learning and trainer.store, "this check is for learned rewards"
        collect_initial_labels(trainer.config, trainer.seed, trainer.store, trainer.run)
        trainer.learning.load_labels(COMPARISONS)
        trainer.learning.model.standardise()
        yield trainer.learning.model


def _random_observations(trainer: OnPolicyTrainer) -> Tensor:
    """Observations (B, ...) of random behaviour, evenly spread over it."""
    generator = numpy_generator(trainer.seed, "preflight")
    observations = [torch.from_numpy(trainer.envs.reset(seed=trainer.seed)[0])]
    for _ in range(OBSERVED_STEPS):
        observations.append(torch.from_numpy(trainer.envs.step(random_actions(trainer.envs, generator))[0]))
    together = torch.cat(observations)
    return together[:: max(1, len(together) // OBSERVATIONS)]


def _first_layer_input(network: nn.Module, observations: Tensor) -> Tensor | None:
    """What reaches the first convolution or linear layer; None if there is no such layer."""
    seen: list[Tensor] = []
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for layer in layers]
    with torch.no_grad():
        network(observations)
    for hook in hooks:
        hook.remove()
    return seen[0].float() if seen else None


def _segments(model: RewardModel) -> Tensor:
    """Observations of all segments that the model holds, the left ones first, (2B, ...)."""
    return model.comparisons.segments(torch.arange(len(model.comparisons)))


def _preference(network: nn.Module, left: Tensor, right: Tensor) -> Tensor:
    """P(left > right) of each pair and member (M, B), both in one forward pass as in training."""
    first, second = network(torch.cat([left, right])).sum(2).chunk(2, dim=1)
    return torch.sigmoid(first - second)


@torch.no_grad()
def _training_accuracy(model: RewardModel) -> float:
    """The share of labels, other than ties, that members predict right among those they are trained on."""
    preferences, held_out = model.comparisons.labels(torch.arange(len(model.comparisons)))
    predicted = _preference(model.network, *_segments(model).chunk(2)) > 0.5
    counted = ~held_out & (preferences != 0.5)
    return float((predicted == (preferences > 0.5))[counted].float().mean())
