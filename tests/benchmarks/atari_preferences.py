"""Pong from synthetic preferences with the paper's reward model, and from its true reward, as far as a short run goes.

The preset `pong-preferences` (Christiano et al. 2017, A.2) with what `SHORTER` changes, and the same agent on
the true reward for the same steps. It does not ask whether Pong is learned, for which both are far too short,
but what the reward model knows by then: it is given segments, in pairs, of games that it never saw, played by random
actions and by the agent that it taught. Writes docs/results/atari-preferences.md and its plot.

    PYTHONPATH=template/src python tests/benchmarks/atari_preferences.py    (about a quarter of an hour of one core)

In an environment of a generated project, best on a processor that computes in bfloat16. Finished runs are kept
in build/, by parameters and seed, and not run again: delete that folder once the code has changed.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parents[2]
PRESET = ROOT / "template" / "presets" / "pong-preferences.yaml"
PAGE = ROOT / "docs" / "results" / "atari-preferences.md"
KEPT = ROOT / "build" / "atari-preferences"
SEED = 0
SHORTER = {
    "training.total_steps": 131_072,
    "training.threads": 1,
    "preferences.total_labels": 800,
    "reward_model.learning_rate": 1e-3,
    "reward_model.pretraining_steps": 200,
    "reward_model.steps_per_rollout": 4,
    "evaluation.episodes": 16,
}
SOURCES = ("learned", "environment")
NAMES = {"learned": "synthetic preferences", "environment": "true reward"}
FRESH_STEPS = 500  # of each of the preset's games, from which the unseen segments are cut


def configuration(source: str):
    """The parameters of the run with learned or with true rewards."""
    from repro.config import load_config

    return load_config(PRESET, [f"{name}={value}" for name, value in SHORTER.items()] + [f"reward.source={source}"])


def train(source: str) -> dict:
    """One run, its evaluation, and what its reward model says of segments that it never saw; or what is kept of it."""
    from repro.experience.playing import policy_of, random_policy
    from repro.preferences.store import PreferenceStore
    from repro.results.evaluate import evaluate
    from repro.session.run import save_agent
    from repro.training import make_trainer

    config = configuration(source)
    parameters = hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]
    kept = KEPT / f"{parameters}-{SEED}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    before = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        with PreferenceStore(Path(folder) / "preferences.db", config.env.id) as store:
            trainer = make_trainer(config, SEED, "run", store)
            rows = []
            for row in trainer.rows():
                rows.append(row)
                print(NAMES[source], row["env_step"], row.get("return/mean"), file=sys.stderr, flush=True)
        seconds = time.process_time() - before
        agent = Path(folder) / "agent.pt"
        save_agent(agent, trainer)
        found = {"rows": rows, "seconds": seconds, "precision": trainer.precision, "final": evaluate(config, agent)}
    if trainer.learning:
        generator = np.random.default_rng(SEED)
        policies = {"random": random_policy(trainer.envs, generator), "agent": policy_of(trainer.agent, "sampled")}
        found["fresh"] = {
            name: judge(trainer.learning.model, fresh_segments(config, policy), generator)
            for name, policy in policies.items()
        }
    KEPT.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found))
    return found


def fresh_segments(config, policy) -> list:
    """Segments of games with a seed of their own."""
    from repro.asking.questions import segments_of
    from repro.envs import make_envs
    from repro.experience.storage import Storage

    envs = make_envs(config.env)
    storage = Storage.for_envs(envs, FRESH_STEPS)
    storage.observations[-1], _ = envs.reset(seed=config.evaluation.seed)
    for step in storage.begin_rollout():
        actions = policy(storage.observations[step])
        storage.record(step, actions, envs.step(actions))
    envs.close()
    return segments_of(storage, config.preferences.segment_steps)


def judge(model, segments: list, generator: np.random.Generator) -> dict:
    """How predicted and true returns of segments agree: correlated, and in random pairs whose true returns differ."""
    predicted = model.normalise(model.returns(segments)).mean(0).numpy()
    true = np.array([segment.true_return for segment in segments])
    left, right = generator.integers(len(segments), size=(2, 10_000))
    decided = true[left] != true[right]
    right_order = (predicted[left] > predicted[right]) == (true[left] > true[right])
    return {
        "segments": len(segments),
        "correlation": float(np.corrcoef(predicted, true)[0, 1]),
        "accuracy": float(right_order[decided].mean()),
        "decided": float(decided.mean()),
        "by_return": {str(int(value)): [float(predicted[true == value].mean()), int((true == value).sum())]
                      for value in np.unique(true)},
    }  # fmt: skip


def curve(rows: list[dict], name: str) -> tuple[list, list]:
    """Steps and values of a metric, where it is there."""
    return [row["env_step"] for row in rows if name in row], [row[name] for row in rows if name in row]


def draw(found: dict[str, dict]):
    """The two learning curves, of single runs."""
    from repro.results.plots import Theme, legend_above, step_axis

    def learning_curves(axes: Axes, theme: Theme) -> None:
        for source, color, style in (("environment", theme.orange, "--"), ("learned", theme.blue, "-")):
            steps, returns = curve(found[source]["rows"], "return/mean")
            axes.plot(steps, returns, color=color, linewidth=0.7, alpha=0.5)
            kernel = np.ones(min(9, len(returns)))
            smooth = np.convolve(returns, kernel, "same") / np.convolve(np.ones(len(returns)), kernel, "same")
            axes.plot(steps, smooth, color=color, linestyle=style, linewidth=2, label=NAMES[source])
        axes.axhline(found["learned"]["final"]["random"]["return_mean"], color=theme.faint, label="random actions")
        step_axis(axes)
        axes.set_ylabel("return of games that ended")
        legend_above(axes, columns=2)

    return learning_curves


def page(found: dict[str, dict]) -> str:
    """The page of results, in Markdown."""
    config, learned = configuration("learned"), found["learned"]
    rows, last = learned["rows"], learned["rows"][-1]
    lines = [
        "# Pong from synthetic preferences, as far as a short run goes",
        "",
        "Made by `PYTHONPATH=template/src python tests/benchmarks/atari_preferences.py`: the preset",
        "`pong-preferences`, with the reward model of Christiano et al. 2017, A.2",
        f"(four convolutions, batch norm, dropout 0.5, ensemble of {config.reward_model.members}, bootstrap,",
        "adaptive weight decay, queries by disagreement, the last 3,000 labels, score blacked out), but for",
        "",
        *(f"- `{name}: {value:,}`" for name, value in SHORTER.items()),
        "",
        f"and the same agent on the true reward for the same steps. **One seed ({SEED}) of each, so no",
        f"claim about either:** the paper's runs are of 50 million steps,"
        f" {50_000_000 // config.training.total_steps} times as long. In"
        f" {learned['precision']}, on one thread.",
        "",
        "## What the agents reached",
        "",
        f"| trained on | return of {config.evaluation.episodes} games, sampled actions | steps a game | greedy |"
        " CPU minutes | steps/s | MiB, after a tenth and at the end |",
        "|---|---|---|---|---|---|---|",
    ]
    for source, run in found.items():
        final, tenth = run["final"], run["rows"][len(run["rows"]) // 10]
        speed = np.median([row["throughput/steps_per_second"] for row in run["rows"]])
        lines.append(
            f"| {NAMES[source]} | {final['sampled']['return_mean']:.1f} ({final['sampled']['return_min']:.0f} to "
            f"{final['sampled']['return_max']:.0f}) | {final['sampled']['length_mean']:.0f} | "
            f"{final['greedy']['return_mean']:.1f} | {run['seconds'] / 60:.0f} | {speed:.0f} | "
            f"{tenth['memory/rss_mb']:.0f}, {run['rows'][-1]['memory/rss_mb']:.0f} |"
        )
    random = learned["final"]["random"]
    lines += [
        f"| (random actions) | {random['return_mean']:.1f} | {random['length_mean']:.0f} | | | | |",
        "",
        "![Return of games while training](atari-preferences.svg)",
        "",
        "Thin: mean of the games that ended in a rollout; thick: of nine such means. A game is lost at -21, won at 21.",
        "",
        "## What the reward model knew",
        "",
        f"{last['preferences/labels']:.0f} labels ({last['preferences/ties'] / last['preferences/labels']:.0%} ties),"
        f" {sum(row.get('reward_model/gradient_steps', 0) for row in rows):.0f} gradient steps after the first"
        " training. On labels that members hold out,",
        "mean of the last ten rollouts: "
        f"accuracy {late(rows, 'reward_model/accuracy_val'):.0%} (a tie counts half), correlation of predicted and true"
        f" returns {late(rows, 'reward_model/return_correlation'):.2f},",
        f"validation loss {late(rows, 'reward_model/loss_ratio'):.2f} times the training loss.",
        "",
        f"Segments of {config.preferences.segment_steps} steps from new games, which nobody labelled:",
        "",
        "| games played by | segments | correlation of predicted and true return | right order, of pairs whose true"
        " returns differ | such pairs | mean predicted return, by true return (segments) |",
        "|---|---|---|---|---|---|",
    ]
    for name, who in (("random", "random actions"), ("agent", "the agent that it taught")):
        fresh = learned["fresh"][name]
        by_return = ", ".join(f"{value}: {mean:+.2f} ({count})" for value, (mean, count) in fresh["by_return"].items())
        lines.append(
            f"| {who} | {fresh['segments']} | {fresh['correlation']:.2f} | {fresh['accuracy']:.0%} | "
            f"{fresh['decided']:.0%} | {by_return} |"
        )
    lines += [
        "",
        "## Read with care",
        "",
        "- Neither agent is better than random, nor should it be after so few steps: the run shows that the whole",
        "  chain works on a game, and what labels teach first.",
        "- It is when a point ends, not who wins it. Clips in which a point ends are told from those in which none",
        "  does; the few that hold a won point (return 1) are thought as bad as those with a lost one. Random actions",
        "  hardly ever win one, so hardly any label says that it is good.",
        "- The correlations are low where the order is mostly right, and the scale of predictions moved a lot: the",
        f"  std of a member's rewards before they are normalised was {spread_of(rows, 'reward_model/raw_std')} in a"
        " rollout. Perhaps batch norm's running",
        "  statistics lag behind weights that still change much; that was not looked into.",
        "- Memory grew by more than labels (0.4 MiB each) explain.",
    ]
    return "\n".join(lines) + "\n"


def late(rows: list[dict], name: str) -> float:
    """The mean of a metric over the last ten rollouts."""
    return float(np.mean([row[name] for row in rows[-10:] if name in row]))


def spread_of(rows: list[dict], name: str) -> str:
    """The lowest and the highest value of a metric."""
    values = [row[name] for row in rows if name in row]
    return f"{min(values):.2f} to {max(values):.2f}"


def main() -> None:
    from repro.results.plots import LIGHT, render

    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = {source: pool.apply(train, (source,)) for source in SOURCES}
    PAGE.with_suffix(".svg").write_bytes(render(draw(found), LIGHT, "svg"))
    PAGE.write_text(page(found))
    print(f"wrote {PAGE.relative_to(ROOT)} and its plot")


if __name__ == "__main__":
    main()
