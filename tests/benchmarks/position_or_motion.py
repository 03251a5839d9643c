"""Why the reward model is given motion: held-out accuracy of the same small network on two descriptions of a segment.

Comparisons of moving-dot segments, labelled by true return; the network sees, at each step, the dot's true position now
and one step before, either as they are or as position and (scaled) motion. Each line averages five data sets.

    PYTHONPATH=template/src python tests/benchmarks/position_or_motion.py
"""

from __future__ import annotations

import numpy as np
import torch
from repro.config import MovingDotConfig
from repro.envs.moving_dot import MovingDotVectorEnv
from torch import Tensor, nn

FRAMES = {"image_size": 36, "frame_stack": 4, "frame_skip": 4, "max_frames": 1000}
DOT = MovingDotConfig(id="moving-dot", actions="discrete", target=[0.5, 0.5], num_envs=16, **FRAMES)
SEGMENT_STEPS, HELD_OUT, DATA_SETS, GRADIENT_STEPS, BATCH = 15, 1000, 5, 600, 32
ACTION_REPEAT = 0.8  # as in the preset: probability that the random policy repeats its action
MOTION_SCALE = 20.0


def collect(comparisons: int, seed: int) -> tuple[Tensor, Tensor]:
    """Positions (2 * comparisons, steps + 1, 2) relative to the target, and true returns (2 * comparisons,)."""
    envs = MovingDotVectorEnv(DOT, DOT.num_envs)
    envs.reset(seed=seed)
    generator = np.random.default_rng(seed)
    actions = generator.integers(5, size=16)
    positions, returns = [], []
    while len(positions) < 2 * comparisons:
        path, rewards = [envs.get_state()["positions"]], []
        for _ in range(SEGMENT_STEPS):
            repeat = generator.random(16) < ACTION_REPEAT
            actions = np.where(repeat, actions, generator.integers(5, size=16))
            _, reward, *_ = envs.step(actions)
            path.append(envs.get_state()["positions"])
            rewards.append(reward)
        if min(envs.get_state()["steps"]) > SEGMENT_STEPS:  # no reset within
            positions += list(np.stack(path, axis=1))
            returns += list(np.sum(rewards, axis=0))
    paths = torch.tensor(np.stack(positions[: 2 * comparisons]), dtype=torch.float32)
    return (paths - torch.tensor(envs.target)) / 80, torch.tensor(np.array(returns[: 2 * comparisons]))


def two_positions(paths: Tensor) -> Tensor:
    return torch.cat([paths[:, 1:], paths[:, :-1]], dim=-1)


def position_and_motion(paths: Tensor) -> Tensor:
    return torch.cat([paths[:, 1:], MOTION_SCALE * (paths[:, 1:] - paths[:, :-1])], dim=-1)


def held_out_accuracy(describe, comparisons: int, seed: int) -> float:
    """Train on `comparisons` Bradley-Terry comparisons; share of held-out pairs (ties aside) that are ranked right."""
    torch.manual_seed(seed)
    paths, returns = collect(comparisons, 2 * seed)
    inputs, (test_paths, test_returns) = describe(paths), collect(HELD_OUT, 2 * seed + 1)
    network = nn.Sequential(nn.Linear(4, 64), nn.LeakyReLU(), nn.Linear(64, 64), nn.LeakyReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for step in range(GRADIENT_STEPS):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / GRADIENT_STEPS)
        left = 2 * torch.randint(comparisons, (BATCH,))
        logits = network(inputs[left]).sum((1, 2)) - network(inputs[left + 1]).sum((1, 2))
        labels = (torch.sign(returns[left] - returns[left + 1]).float() + 1) / 2
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy(0.9 * torch.sigmoid(logits) + 0.05, labels).backward()
        optimizer.step()
    with torch.no_grad():
        predicted = network(describe(test_paths)).sum((1, 2))
    differences, truth = predicted[::2] - predicted[1::2], test_returns[::2] - test_returns[1::2]
    decided = truth != 0
    return float((torch.sign(differences) == torch.sign(truth))[decided].float().mean())


def main() -> None:
    torch.set_num_threads(1)
    print("| comparisons | two positions | position and motion |\n| --- | --- | --- |")
    for comparisons in (125, 350, 700):
        row = [
            np.mean([held_out_accuracy(describe, comparisons, seed) for seed in range(100, 100 + DATA_SETS)])
            for describe in (two_positions, position_and_motion)
        ]
        print(f"| {comparisons} | {row[0]:.1%} | {row[1]:.1%} |", flush=True)


if __name__ == "__main__":
    main()
