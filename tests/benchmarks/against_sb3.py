"""Whether PPO learns as well as Stable-Baselines3's: the same environment, steps and hyperparameters, five seeds each.

Ours is the preset as it is. Theirs is their own PPO with their own environments, loop, networks and buffer, given the
preset's hyperparameters (their value coefficient is half of ours, as their value loss is not halved). Both final
policies play the same episodes from fixed starts. Writes docs/results/against-sb3.md and its plot.

    PYTHONPATH=template/src python tests/benchmarks/against_sb3.py    (about ten minutes on two cores)

In an environment of a generated project with the extra `baseline`.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
PRESETS = ROOT / "template" / "presets"
PAGE = ROOT / "docs" / "results" / "against-sb3.md"
TASKS = ("cartpole", "acrobot", "pendulum", "frozenlake")
SEEDS = (5, 6, 7, 8, 9)  # 0 to 4 were used before CartPole's preset was changed
SIDES = ("ours", "Stable-Baselines3")
POINTS = 40  # of a learning curve: the mean return of the episodes that ended in each part of the steps


def ours(config: Any, seed: int) -> tuple[NDArray, NDArray, Any]:
    """Train; returns steps and mean returns of the episodes that ended, with their number, and the policy."""
    from repro.experience.playing import policy_of
    from repro.preferences.store import PreferenceStore
    from repro.training import make_trainer

    with tempfile.TemporaryDirectory() as folder, PreferenceStore(Path(folder) / "preferences.db", "run") as store:
        trainer = make_trainer(config, seed, "run", store)
        rows = [row for row in trainer.rows() if row.get("episode/count")]
    steps = np.repeat([row["env_step"] for row in rows], [row["episode/count"] for row in rows])
    returns = np.repeat([row["return/mean"] for row in rows], [row["episode/count"] for row in rows])
    return steps, returns, policy_of(trainer.agent, config.evaluation.actions)


def theirs(config: Any, seed: int) -> tuple[NDArray, NDArray, Any]:
    """The same by Stable-Baselines3; steps and returns are of single episodes."""
    import gymnasium
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    agent = config.agent
    ended: list[tuple[int, float]] = []

    class Episodes(BaseCallback):
        def _on_step(self) -> bool:
            ended.extend(
                (self.num_timesteps, info["episode"]["r"]) for info in self.locals["infos"] if "episode" in info
            )
            return True

    envs = make_vec_env(config.env.id, n_envs=config.env.num_envs, seed=seed)
    model = PPO(
        "MlpPolicy",
        envs,
        learning_rate=lambda remaining: remaining * agent.learning_rate,
        n_steps=agent.rollout_steps,
        batch_size=config.env.num_envs * agent.rollout_steps // agent.minibatches,
        n_epochs=agent.epochs,
        gamma=agent.discount,
        gae_lambda=agent.gae_lambda,
        clip_range=agent.clip_range,
        ent_coef=agent.entropy_coefficient,
        vf_coef=agent.value_coefficient / 2,
        max_grad_norm=agent.max_gradient_norm,
        device="cpu",
        seed=seed,
    )
    model.learn(config.training.total_steps, callback=Episodes())
    discrete = isinstance(envs.observation_space, gymnasium.spaces.Discrete)

    def policy(observations: NDArray) -> NDArray:
        seen = observations.argmax(1) if discrete else observations
        return model.predict(seen, deterministic=config.evaluation.actions == "greedy")[0]

    steps, returns = np.array(ended).T
    return steps, returns, policy


def measure(task: str, side: str, seed: int) -> dict[str, Any]:
    """One run and the final score of its policy."""
    import torch
    from repro.config import load_config
    from repro.envs import make_envs
    from repro.experience.episodes import score
    from repro.experience.playing import play_episodes

    torch.set_num_threads(1)
    config = load_config(PRESETS / f"{task}.yaml", ())
    assert config.agent.anneal_learning_rate and not config.env.normalise_observations and not config.env.settings
    start = time.process_time()
    steps, returns, policy = (ours if side == "ours" else theirs)(config, seed)
    seconds = time.process_time() - start
    envs = make_envs(config.env, config.evaluation.episodes, evaluation=True)
    played, _, *scale = play_episodes(envs, config.evaluation.seed, policy)
    part = np.minimum(steps / config.training.total_steps * POINTS, POINTS - 1).astype(int)
    known = np.unique(part)
    return {
        "task": task,
        "side": side,
        "seed": seed,
        "curve": (
            (known + 0.5) * config.training.total_steps / POINTS,
            np.array([returns[part == one].mean() for one in known]),
        ),
        "return": played.mean(),
        "score": score(played, np.stack(scale)),
        "seconds": seconds,
        "steps": config.training.total_steps,
        "actions": config.evaluation.actions,
    }


def draw(runs: list[dict]) -> Any:
    """How one task is drawn: each seed thin, means and their pointwise 95% t-intervals."""
    from matplotlib.axes import Axes
    from matplotlib.ticker import EngFormatter
    from repro.results.plots import Theme
    from repro.results.statistics import align_curves, curve_interval

    def curves(axes: Axes, theme: Theme) -> None:
        for side, color, style in zip(SIDES, (theme.blue, theme.orange), ("-", "--"), strict=True):
            found = [run["curve"] for run in runs if run["side"] == side]
            for curve in found:
                axes.plot(*curve, color=color, linestyle=style, linewidth=0.7, alpha=0.5)
            grid, matrix = align_curves(found)
            mean, low, high = curve_interval(matrix)
            axes.fill_between(grid, low, high, color=color, alpha=0.18, linewidth=0)
            axes.plot(grid, mean, color=color, linestyle=style, linewidth=2.2, label=side)
        axes.set_title(runs[0]["task"])
        axes.set_xlabel("environment steps")
        axes.set_ylabel("return while training")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.legend(loc="best")

    return curves


def page(runs: list[dict]) -> str:
    """The page of results, in Markdown."""
    from repro.results.statistics import difference_interval, t_interval

    lines = [
        "# PPO beside Stable-Baselines3: what is learned",
        "",
        "Made by `PYTHONPATH=template/src python tests/benchmarks/against_sb3.py`: the presets as they are, against",
        "Stable-Baselines3's PPO in its own loop with the same environments, steps and hyperparameters, which were",
        f"chosen for ours, on other seeds. Seeds {SEEDS[0]} to {SEEDS[-1]}, each run once. Final policies play the",
        "same episodes from fixed starts; a score is 0 for random actions and 1 for the best known. Intervals are 95%",
        "t-intervals over seeds, those of differences Welch's. CPU seconds are the median of training, one thread.",
        "",
        "| task | steps | actions | | final returns | mean return | score | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        of_task = [run for run in runs if run["task"] == task]
        for side in SIDES:
            found = [run for run in of_task if run["side"] == side]
            cells = (
                *(task, f"{found[0]['steps']:,}", found[0]["actions"], side),
                " / ".join(f"{run['return']:.4g}" for run in found),
                "{:.4g} [{:.4g}, {:.4g}]".format(*t_interval([run["return"] for run in found])),
                "{:.3f} [{:.3f}, {:.3f}]".format(*t_interval([run["score"] for run in found])),
                f"{np.median([run['seconds'] for run in found]):.0f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| task | ours less theirs, score | |", "|---|---|---|"]
    for task in TASKS:
        scores = [[run["score"] for run in runs if run["task"] == task and run["side"] == side] for side in SIDES]
        difference, low, high = difference_interval(*scores)
        verdict = "ours is better" if low > 0 else "theirs is better" if high < 0 else "not told apart"
        lines.append(f"| {task} | {difference:+.3f} [{low:+.3f}, {high:+.3f}] | {verdict} |")
    lines += ["", *(f"![Learning curves, {task}](against-sb3-{task}.svg)" for task in TASKS), ""]
    return "\n".join(lines)


def main() -> None:
    from repro.results.plots import LIGHT, render

    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(2, maxtasksperchild=1) as pool:
        jobs = [(task, side, seed) for task in TASKS for seed in SEEDS for side in SIDES]
        results = [pool.apply_async(measure, job) for job in jobs]
        runs = []
        for job, result in zip(jobs, results, strict=True):
            runs.append(result.get())
            print(*job, f"score {runs[-1]['score']:.3f}, {runs[-1]['seconds']:.0f} s", file=sys.stderr, flush=True)
    for task in TASKS:
        plot = draw([run for run in runs if run["task"] == task])
        PAGE.with_name(f"against-sb3-{task}.svg").write_bytes(render(plot, LIGHT, "svg"))
    PAGE.write_text(page(runs))
    print(f"wrote {PAGE.relative_to(ROOT)} and its plots")


if __name__ == "__main__":
    main()
