"""Checks of the environment, and of what it feeds the networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray
from torch import Tensor, nn

from repro.agents.networks import TwinEncoder
from repro.config import Config
from repro.envs import make_envs, random_actions
from repro.envs.base import SingleEnv
from repro.normalisation import RunningNormaliser
from repro.preflight.checks import CheckResult
from repro.preflight.trainer import open_trainer
from repro.seeding import numpy_generator
from repro.training.trainer import Trainer

OBSERVED_STEPS, OBSERVATIONS = 200, 256
MAX_INPUT_MEAN = 1.0
IMAGE_STD = (0.005, 3.0)  # a mostly black screen varies little
VECTOR_STD = (0.1, 3.0)
SAME_RANGE = 0.01  # of the range: how far the ends of two ranges may be apart
ADVICE = ("alternative render modes", "probably too", "symmetric and normalized")  # of Gymnasium's checker: no faults


def check_environment(config: Config, root: Path) -> CheckResult:
    """One environment passes Gymnasium's checker: spaces, reset, seeds, what a step returns, rendering."""
    films = config.evaluation.video_rollouts > 0
    env = SingleEnv(make_envs(config.env, num_envs=1, render=films), render_mode="rgb_array" if films else None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check_env(env)
            faults = []
        except Exception as error:  # noqa: BLE001  whatever the environment does wrong
            faults = [f"{type(error).__name__}: {error}"]
        finally:
            env.close()
    texts = [str(warning.message).removeprefix("\33[33mWARN: ").removesuffix("\33[0m") for warning in caught]
    faults += [text for text in texts if not any(advice in text for advice in ADVICE)]
    return CheckResult(
        not faults,
        " ".join("; ".join(faults).split()) or f"Gymnasium's checker finds no fault in {config.env.id}",
        "An environment that breaks the interface gives wrong rewards or restarts without any error.",
        "correct the environment until gymnasium.utils.env_checker.check_env is silent",
    )


def check_observations(config: Config, root: Path) -> CheckResult:
    """Observations vary, and reach both networks as the same type and on the same scale."""
    with open_trainer(config) as trainer:
        sample = _random_observations(trainer)
        if trainer.normaliser:  # as after the first rollout
            trainer.normaliser.update(torch.from_numpy(sample))
        inputs = {"policy": _input(trainer.agent.network, trainer.agent.act, sample)}
        if trainer.learning:
            model = trainer.learning.model
            inputs["reward model"] = _input(model.network, model.raw, sample)
    low, high = IMAGE_STD if sample.ndim == 4 else VECTOR_STD
    faults = ["all observations are the same"] if (sample == sample[0]).all() else []
    seen, ranges = [], []
    for name, (handed, values) in inputs.items():
        mean, std, *ends = (float(value) for value in (values.mean(), values.std(), *values.aminmax()))
        kind = f"{handed.dtype}, first layer {values.dtype}".replace("torch.", "")
        seen.append(f"{name} input {kind}: mean {mean:.2g}, std {std:.2g}, from {ends[0]:.3g} to {ends[1]:.3g}")
        ranges.append(torch.tensor(ends))
        if not abs(mean) <= MAX_INPUT_MEAN or not low <= std <= high:
            faults.append(f"the {name}'s mean should be within {MAX_INPUT_MEAN:g} of 0, its std in [{low:g}, {high:g}]")
    if len({(handed.dtype, values.dtype) for handed, values in inputs.values()}) > 1:
        faults.append("the type should be the same for both")
    if any((ends - ranges[0]).abs().max() > SAME_RANGE * float(ranges[0].diff()) for ends in ranges[1:]):
        faults.append("the range should be the same for both")
    return CheckResult(
        not faults,
        "; ".join([*seen, *faults]),
        "Inputs that do not vary, or are on a scale that networks are not made for, teach little, and nothing crashes.",
        "scale observations at the entrance of every network that sees them, once and alike",
    )


def _random_observations(trainer: Trainer) -> NDArray:
    """Observations (B, ...) of random behaviour, evenly spread over it."""
    generator = numpy_generator(trainer.seed, "preflight")
    observations = [trainer.envs.reset(seed=trainer.seed)[0]]
    for _ in range(OBSERVED_STEPS):
        observations.append(trainer.envs.step(random_actions(trainer.envs, generator))[0])
    together = np.concatenate(observations)
    return together[:: max(1, len(together) // OBSERVATIONS)]


def _input(network: nn.Module, use: Callable[[NDArray], object], observations: NDArray) -> tuple[Tensor, Tensor]:
    """What `network` is handed, and what reaches its first layer, when used on observations (B, ...) as training does.

    A network without a convolution or linear layer is looked at where it is entered, or behind its normaliser.
    """
    handed: list[Tensor] = []
    layers: list[Tensor] = []
    hooks = [network.register_forward_pre_hook(lambda _, inputs: handed.append(inputs[0]))]
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) or (isinstance(module, TwinEncoder) and not module.normaliser):
            hooks.append(module.register_forward_pre_hook(lambda _, inputs: layers.append(inputs[0])))
        if isinstance(module, RunningNormaliser):
            hooks.append(module.register_forward_hook(lambda _, __, output: layers.append(output)))
    with torch.no_grad():
        use(observations)
    for hook in hooks:
        hook.remove()
    return handed[0], [*layers, handed[0]][0]
