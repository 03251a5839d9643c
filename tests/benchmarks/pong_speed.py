"""How fast PPO trains on Pong, beside Stable-Baselines3's: the same games, network, rollouts, epochs and minibatches.

8 games, rollouts of 128 steps, 4 epochs of 4 minibatches of 256, the Nature CNN. Both sides play on the same
emulator (ale-py's vector environment), so that the difference is the learner's. Each block is a rollout and the update
on it. Each side has a process of its own; they take turns, with every number of threads. What is compared is the median
over rounds of the ratio of speeds, each side with its best number of threads. Whether bfloat16 (used where the
processor computes in it) harms learning is for the curve of presets/pong.yaml to show.

    pip install --no-deps stable-baselines3==2.9.2 cloudpickle
    PYTHONPATH=template/src python tests/benchmarks/pong_speed.py [--rounds 9] [--threads 1 2]

Prints a Markdown table. In an environment of a generated project, on a machine that does nothing else. About ten
minutes on two cores.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode
from repro.config import load_config
from repro.device import choose_precision
from repro.envs import describe_environment
from repro.preferences.store import PreferenceStore
from repro.training import make_trainer
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

PRESET = Path(__file__).resolve().parents[2] / "template" / "presets" / "pong.yaml"
GAMES, STEPS, EPOCHS, MINIBATCHES = 8, 128, 4, 4
SETTINGS = (f"env.num_envs={GAMES}", f"agent.rollout_steps={STEPS}", f"agent.epochs={EPOCHS}")
BASELINE = "Stable-Baselines3"


class EmulatorForBaseline(VecEnv):
    """The emulator as Stable-Baselines3 wants it: reset in the step that ends a game."""

    def __init__(self) -> None:
        self.games = AtariVectorEnv("pong", GAMES, num_threads=2, autoreset_mode=AutoresetMode.SAME_STEP)
        super().__init__(GAMES, self.games.single_observation_space, self.games.single_action_space)

    def reset(self) -> np.ndarray:
        return self.games.reset(seed=0)[0]

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, terminated, truncated, info = self.games.step(self.actions)
        infos: list[dict[str, Any]] = [{} for _ in range(GAMES)]
        for game in np.flatnonzero(terminated | truncated):
            infos[game] = {"terminal_observation": info["final_obs"][game], "TimeLimit.truncated": truncated[game]}
        return observations, rewards.astype(np.float32), terminated | truncated, infos

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * GAMES

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [None] * GAMES

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * GAMES


def ours(precision: str, folder: Path) -> Callable[[], object]:
    """Trains on one rollout each time it is called."""
    config = load_config(PRESET, [*SETTINGS, f"agent.minibatches={MINIBATCHES}", f"training.precision={precision}"])
    store = PreferenceStore(folder / f"{precision}.db", describe_environment(config.env))
    rows = make_trainer(config, 0, "run", store).rows()
    return lambda: next(rows)


def theirs() -> Callable[[], object]:
    """Trains on one rollout each time it is called."""
    batch = GAMES * STEPS // MINIBATCHES
    model = PPO("CnnPolicy", EmulatorForBaseline(), n_steps=STEPS, batch_size=batch, n_epochs=EPOCHS, device="cpu")
    return lambda: model.learn(GAMES * STEPS, reset_num_timesteps=False)


def work(make: Callable[[], Callable[[], object]], connection: Connection) -> None:
    """A side's process: for each number of threads received, train on a rollout and send the seconds; 0 ends it."""
    train = make()
    while threads := connection.recv():
        torch.set_num_threads(threads)
        wall, cpu = time.perf_counter(), time.process_time()
        train()
        connection.send((time.perf_counter() - wall, time.process_time() - cpu))


def measure(makers: dict[str, Callable], threads: list[int], rounds: int) -> dict[tuple[str, int], list]:
    """Steps per second, and per second of CPU time, of each block: by side and number of threads, (rounds, 2)."""
    processes = multiprocessing.get_context("spawn")
    sides = {}
    for side, make in makers.items():
        sides[side], other_end = processes.Pipe()
        processes.Process(target=work, args=(make, other_end), daemon=True).start()
    speeds: dict[tuple[str, int], list] = {(side, count): [] for side in sides for count in threads}
    for turn in range(-1, rounds):  # the first warms up
        for side, count in speeds if turn % 2 else reversed(speeds):
            sides[side].send(count)
            wall, cpu = sides[side].recv()
            if turn >= 0:
                speeds[side, count].append((GAMES * STEPS / wall, GAMES * STEPS / cpu))
    for connection in sides.values():
        connection.send(0)
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sides = {BASELINE: theirs, "ours, float32": functools.partial(ours, "float32", Path(folder))}
        if choose_precision("auto", torch.device("cpu")) == "bfloat16":
            sides["ours, bfloat16"] = functools.partial(ours, "bfloat16", Path(folder))
        speeds = measure(sides, arguments.threads, arguments.rounds)
    best = {
        side: max(
            arguments.threads, key=lambda count, side=side: statistics.median(wall for wall, _ in speeds[side, count])
        )
        for side in sides
    }
    print(f"{platform.machine()}, {os.cpu_count()} cores; {arguments.rounds} rounds of {GAMES * STEPS:,} steps\n")
    print(
        "| | threads | steps/s, median | times as fast as the baseline, median of rounds (range) | by processor time |"
    )
    print("|---|---|---|---|---|")
    for side, threads in best.items():
        blocks = list(zip(speeds[side, threads], speeds[BASELINE, best[BASELINE]], strict=True))
        by_clock, by_processor = ([mine[kind] / theirs[kind] for mine, theirs in blocks] for kind in (0, 1))
        rate = statistics.median(wall for wall, _ in speeds[side, threads])
        ratio = f"{statistics.median(by_clock):.2f} ({min(by_clock):.2f} to {max(by_clock):.2f})"
        print(f"| {side} | {threads} | {rate:,.0f} | {ratio} | {statistics.median(by_processor):.2f} |")


if __name__ == "__main__":
    main()
