"""Speed of PPO on CartPole-v1, 8 environments: ours against Stable-Baselines3 and CleanRL's ppo.py.

All have the same hyperparameters and networks. Ours is the whole trainer with its metrics, on its own batch of
cart-poles, which a test holds bit for bit to Gymnasium's; the others are as they come: Stable-Baselines3 with
`make_vec_env` and its default MlpPolicy, CleanRL's file unchanged, by an adapter from the old `gym` it was written for,
and with a writer that writes nothing. Each side runs in a process of its own; rounds are interleaved, so that whatever
else the machine does meets all sides alike. Each side is taken at its best number of threads. Prints a Markdown table.

    PYTHONPATH=template/src python tests/benchmarks/cartpole_speed.py [ROUNDS]    (5 by default; about ten minutes)

Needs stable-baselines3; and for CleanRL: pip install --no-deps --ignore-requires-python cleanrl==1.2.0
(without it that side is left out).
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import platform
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STEPS = 262_144  # of each run, over all environments
ENVS, ROLLOUT, EPOCHS, MINIBATCHES = 8, 128, 4, 4
LEARNING_RATE, DISCOUNT, GAE_LAMBDA, CLIP, ENTROPY, VALUE, GRADIENT = 2.5e-4, 0.99, 0.95, 0.2, 0.01, 0.5, 0.5
SIDES = ("ours", "sb3", "cleanrl")
THREADS = (1, 2)


def ours() -> None:
    """The trainer as `repro train` runs it; only the run folder is left out."""
    from repro.config import load_config, parse_config
    from repro.preferences.store import PreferenceStore
    from repro.tracking.metrics import MetricsWriter
    from repro.training import make_trainer

    values = load_config(ROOT / "template/presets/moving-dot-true-reward.yaml").model_dump(mode="json")
    values["env"] = {"id": "CartPole-v1", "num_envs": ENVS, "max_steps": 500, "settings": {}, "fixed_horizon": False}
    values["env"] |= {"normalise_observations": False, "random_return": 22.0, "reference_return": 500.0}
    values["agent"] |= {"rollout_steps": ROLLOUT, "epochs": EPOCHS, "minibatches": MINIBATCHES}
    values["agent"] |= {"learning_rate": LEARNING_RATE, "discount": DISCOUNT, "gae_lambda": GAE_LAMBDA}
    values["agent"] |= {"clip_range": CLIP, "entropy_coefficient": ENTROPY, "value_coefficient": VALUE}
    values["agent"] |= {"max_gradient_norm": GRADIENT, "anneal_learning_rate": True}
    values["training"] |= {"total_steps": STEPS, "threads": int(os.environ["OMP_NUM_THREADS"]), "precision": "float32"}
    with (
        tempfile.TemporaryDirectory() as folder,
        PreferenceStore(Path(folder) / "preferences.db", "CartPole-v1") as store,
        MetricsWriter(Path(folder) / "metrics.jsonl") as metrics,
    ):
        for row in make_trainer(parse_config(values), 0, "run", store).rows():
            metrics.write(row)


def sb3() -> None:
    """As its documentation has it, learning rate annealed."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=ENVS, seed=0),
        learning_rate=lambda remaining: remaining * LEARNING_RATE,
        n_steps=ROLLOUT,
        batch_size=ENVS * ROLLOUT // MINIBATCHES,
        n_epochs=EPOCHS,
        gamma=DISCOUNT,
        gae_lambda=GAE_LAMBDA,
        clip_range=CLIP,
        ent_coef=ENTROPY,
        vf_coef=VALUE,
        max_grad_norm=GRADIENT,
        device="cpu",
        seed=0,
    )
    model.learn(STEPS)


def cleanrl() -> None:
    """Its own file, with stand-ins for the two packages that it wants and that are no part of learning."""
    import gymnasium

    class OldEnv(gymnasium.Wrapper):
        """Seeded once, by the reset that follows `seed`."""

        def seed(self, seed: int) -> None:
            self.first = seed

    class OldVectorEnv:
        """The old interface of gym.vector.SyncVectorEnv; an episode that ends is followed by the next at once."""

        def __init__(self, makers: list[Any]):
            mode = gymnasium.vector.AutoresetMode.SAME_STEP
            self.envs = gymnasium.vector.SyncVectorEnv(makers, autoreset_mode=mode)
            self.single_observation_space = self.envs.single_observation_space
            self.single_action_space = self.envs.single_action_space

        def reset(self) -> Any:
            return self.envs.reset(seed=1)[0]

        def step(self, actions: Any) -> Any:
            observations, rewards, terminated, truncated, _ = self.envs.step(actions)
            return observations, rewards, terminated | truncated, ()

        def close(self) -> None:
            self.envs.close()

    gym = types.ModuleType("gym")
    gym.make = lambda name: OldEnv(gymnasium.make(name))
    gym.spaces = gymnasium.spaces
    gym.wrappers = types.SimpleNamespace(RecordEpisodeStatistics=lambda env: env)  # the adapter drops what it finds
    gym.vector = types.SimpleNamespace(SyncVectorEnv=OldVectorEnv)
    board = types.ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = lambda *_: types.SimpleNamespace(
        add_text=lambda *_: None, add_scalar=lambda *_: None, close=lambda: None
    )
    old = types.ModuleType("distutils.util")  # gone from Python 3.12 on
    old.strtobool = lambda text: text.lower() in ("1", "true", "yes")
    sys.modules |= {"gym": gym, "torch.utils.tensorboard": board, "distutils": types.ModuleType("distutils")}
    sys.modules["distutils.util"] = old
    options = {"total-timesteps": STEPS, "learning-rate": LEARNING_RATE, "num-envs": ENVS, "num-steps": ROLLOUT}
    options |= {"gamma": DISCOUNT, "gae-lambda": GAE_LAMBDA, "num-minibatches": MINIBATCHES, "update-epochs": EPOCHS}
    options |= {"clip-coef": CLIP, "ent-coef": ENTROPY, "vf-coef": VALUE, "max-grad-norm": GRADIENT}
    options |= {"clip-vloss": False, "cuda": False}
    sys.argv = ["ppo.py", *(f"--{name}={value}" for name, value in options.items())]
    (folder,) = importlib.util.find_spec("cleanrl").submodule_search_locations
    runpy.run_path(str(Path(folder) / "ppo.py"), run_name="__main__")


RUN = {"ours": ours, "sb3": sb3, "cleanrl": cleanrl}


def one_side(side: str) -> None:
    """Train, but for what is loaded once before, and print the seconds, of the clock and of processors."""
    import gymnasium  # noqa: F401
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first of a process loads much
    if side == "sb3":
        import stable_baselines3  # noqa: F401
    if side == "ours":
        import repro.config
        import repro.session.run  # noqa: F401
    clock, processors = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        RUN[side]()
    print(json.dumps([time.perf_counter() - clock, time.process_time() - processors]))


def measure(side: str, threads: int) -> tuple[float, float]:
    """Steps per second of the clock, and of processor time."""
    command = [sys.executable, __file__, "--side", side]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {side} failed: {done.stderr.strip().splitlines()[-1]}")
    clock, processors = json.loads(done.stdout.splitlines()[-1])
    return STEPS / clock, STEPS / processors


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    sides = [side for side in SIDES if side != "cleanrl" or importlib.util.find_spec("cleanrl")]
    best = {side: max(THREADS, key=lambda threads, side=side: measure(side, threads)[0]) for side in sides}
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides:
            found[side].append(measure(side, best[side]))
            print(f"round {number + 1}: {side}: {found[side][-1][0]:,.0f} steps/s", file=sys.stderr, flush=True)
    print(f"{platform.machine()}, {os.cpu_count()} cores; {rounds} rounds of {STEPS:,} steps\n")
    print("| | threads | steps/s, median | ours is faster by, median of rounds (range) | by processor time |")
    print("|---|---|---|---|---|")
    for side in sides:
        rates = [clock for clock, _ in found[side]]
        by_clock, by_processor = (
            [mine[kind] / theirs[kind] for mine, theirs in zip(found["ours"], found[side], strict=True)]
            for kind in (0, 1)
        )
        ratio = f"{statistics.median(by_clock):.2f} ({min(by_clock):.2f} to {max(by_clock):.2f})"
        rate = f"{statistics.median(rates):,.0f}"
        print(f"| {side} | {best[side]} | {rate} | {ratio} | {statistics.median(by_processor):.2f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        one_side(sys.argv[2])
    else:
        main()
