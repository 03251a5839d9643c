"""Check of memory: what a run will hold at most, counted from its shapes, and what is free."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from repro.config import Config, ReplayConfig
from repro.envs.atari import SCREEN
from repro.preferences.reward_model import PREDICTION_FRAMES
from repro.preflight.checks import CheckResult
from repro.preflight.free_memory import free_memory
from repro.preflight.trainer import open_trainer
from repro.training.off_policy import OffPolicyTrainer

PROCESS = 0.5e9  # bytes of Python, torch and the rest before anything of the run is made
PER_WEIGHT = 4 * 4 + 3 * 4  # bytes: weight, gradient and Adam's two averages; and all but the gradient in a checkpoint


def check_memory(config: Config, root: Path) -> CheckResult:
    """There is free memory for what the run will hold."""
    parts, free = memory_needed(config), free_memory()
    needed = sum(parts.values())
    listed = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in parts.items())
    available = "free memory is not known on this system" if free is None else f"{free / 1e9:.1f} GB free"
    return CheckResult(
        free is None or free >= needed,
        f"{available}, about {needed / 1e9:.1f} GB needed ({listed})",
        "A process that runs out of memory is killed, hours later, without a word.",
        "end what else runs, or lower what takes most: agent.rollout_steps or agent.buffer_size, env.num_envs, "
        "preferences.total_labels or reward_model.label_window",
    )


def memory_needed(config: Config) -> dict[str, float]:
    """Bytes that a run on the CPU holds at most, by what they are for.

    - process: see PROCESS.
    - rollout: (rollout_steps + 1) x num_envs observations; twice, as an update works on a copy of the valid rows.
    - replay: the buffer of an off-policy agent, once it is full.
    - screens: of a rollout, in colour, where people are shown Atari games.
    - networks: PER_WEIGHT for each weight of policy and reward model.
    - labels: two segments for each of total_labels, or of label_window if that is less, and those that one rollout is
      cut into, as single frames.
    - batches: the largest of what passes through a network at once: each observation and the outputs of all layers,
      as 4-byte values, twice: a copy of another type, an activation or a gradient stands beside each.

    On the presets, with longer rollouts and with larger batches too, runs reached 0.4 to 0.85 of this.
    """
    rows = config.env.num_envs * config.agent.rollout_steps
    with open_trainer(config) as trainer:
        observations = trainer.storage.observations
        network = trainer.agent.network
        sample = torch.from_numpy(observations[:1, 0])  # one observation
        weights = _count_weights(network)
        observation = sample.numel() + _count_outputs(network, lambda: network(sample))
        batches = [_largest_batch(config) * observation]
        parts = {"process": PROCESS, "rollout": 2.0 * observations.nbytes, "networks": 0.0, "labels": 0.0}
        if config.people_see_screens:
            parts["screens"] = float(rows * math.prod(SCREEN) * 3)
        if isinstance(trainer, OffPolicyTrainer):
            parts["replay"] = float(trainer.replay.nbytes)
        if trainer.learning:
            learned = trainer.learning.model.network
            frames = sample if sample.dim() == 4 else sample[:, None]
            steps = config.preferences.segment_steps
            length = steps + frames.shape[1] - 1  # frames of a segment
            segment = frames[:, :1].expand(-1, length, *frames.shape[2:])
            predicted = frames.numel() + _count_outputs(learned, lambda: learned(frames))
            trained = segment.numel() + _count_outputs(learned, lambda: learned(segment))
            total, window = config.preferences.total_labels, config.reward_model.label_window
            segments = 2 * min(total, window or total) + rows // steps
            parts["labels"] = segments * length * math.prod(frames.shape[2:]) * frames.element_size()
            batches += [PREDICTION_FRAMES / frames.shape[1] * predicted, 2 * config.reward_model.batch_size * trained]
            weights += _count_weights(learned)
    return parts | {"networks": float(PER_WEIGHT * weights), "batches": 2 * 4 * max(batches)}


def _largest_batch(config: Config) -> float:
    """Observations that pass through the agent's networks at once, or are copied for that."""
    agent = config.agent
    if isinstance(agent, ReplayConfig):
        return 2.0 * agent.batch_size * agent.gradient_steps  # and those that follow
    return config.env.num_envs * agent.rollout_steps / getattr(agent, "minibatches", 1)


def _count_weights(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _count_outputs(network: nn.Module, use: Callable[[], object]) -> int:
    """Values that all layers of `network` give out when it is used."""
    counts: list[int] = []
    layers = [module for module in network.modules() if not list(module.children())]
    hooks = [layer.register_forward_hook(lambda _, __, output: counts.append(output.numel())) for layer in layers]
    with torch.no_grad():
        use()
    for hook in hooks:
        hook.remove()
    return sum(counts)
