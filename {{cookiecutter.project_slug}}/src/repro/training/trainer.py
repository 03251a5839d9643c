"""What all training loops share: set-up, the reward source, the metrics of time, the state to resume from."""

from __future__ import annotations

import abc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray

from repro.agents import make_agent
from repro.asking.learning import PreferenceLearning
from repro.asking.questions import collect_initial_labels
from repro.config import AtariConfig, Config, ReplayConfig
from repro.device import choose_device, choose_precision
from repro.envs import make_envs
from repro.experience.episodes import EpisodeStatistics
from repro.experience.storage import Storage
from repro.machine import resident_memory, steady_memory
from repro.normalisation import network_space, normaliser_of
from repro.preferences.reward_model import RewardModel
from repro.preferences.store import PreferenceStore
from repro.reading import UserError
from repro.seeding import derive_seed, torch_generator
from repro.tracking.provenance import cpu_model
from repro.training.movement import Movement
from repro.training.rewards import LearnedReward, RewardSource, TrueReward


class Trainer(abc.ABC):
    """One training run: everything it depends on, and its rollouts, each of which gives a row of metrics.

    Comparisons are in `store`, under the name of the `run`, if rewards are learned from them. The initial ones are
    collected first, unless `initial_steps` says that they are there already and how many agent steps they cost.
    """

    def __init__(
        self,
        config: Config,
        seed: int,
        run: str,
        store: PreferenceStore,
        initial_steps: int | None = None,
    ):
        training = config.training
        steady_memory(large_tensors=config.reward.source == "learned" and config.reward_model.network == "cnn")
        torch.set_num_threads(training.threads)
        torch.manual_seed(derive_seed(seed, "initial weights"))
        self.config, self.seed, self.run, self.store = config, seed, run, store
        self.device = choose_device(training.device)
        self.precision = choose_precision(training.precision, self.device)
        self.envs = make_envs(config.env, render=config.people_see_screens)
        spaces = (network_space(config.env, self.envs.single_observation_space), self.envs.single_action_space)
        self.normaliser = normaliser_of(spaces[0])
        generator = torch_generator(seed, "policy", self.device)
        self.agent = make_agent(*spaces, config.agent, self.device, generator, self.precision)
        self.movement = Movement(self.agent)
        self.storage = Storage.for_envs(self.envs, config.agent.rollout_steps)
        self.episodes = EpisodeStatistics(config.env.num_envs)
        self.learning: PreferenceLearning | None = None
        clipped = isinstance(config.env, AtariConfig) and config.env.clip_rewards
        self.source: RewardSource = TrueReward(clipped)
        self.env_step = initial_steps or 0  # agent steps over all environments
        self.seconds = 0.0  # of training, over resumes
        self.timings: dict[str, float] = {}
        if config.reward.source == "learned":
            torch.manual_seed(derive_seed(seed, "reward model weights"))  # whatever the policy's network drew
            model_seed = derive_seed(seed, "reward model")
            model = RewardModel(spaces[0], config.reward_model, self.device, model_seed, self.precision)
            self.learning = PreferenceLearning(config, seed, store, run, model)
            self.source = LearnedReward(model)
        self.collects_initial_labels = self.learning is not None and initial_steps is None
        self.started = False
        self.processor = cpu_model()
        self.exact = True  # False once it went on without repeating itself bit for bit

    def rows(self) -> Iterator[dict[str, float]]:
        """Train to the end; yields the metrics of each rollout, after which the state may be saved."""
        clock = time.perf_counter()
        if not self.started:
            self._start()
            now = time.perf_counter()
            self.seconds, clock = now - clock, now  # not part of the first rollout
        while not self.finished:
            row = self._train_on_one_rollout()
            if self.normaliser:  # only now: the update has to see what the actions were chosen by
                self.normaliser.update(torch.from_numpy(self.storage.observations[:-1][self.storage.valid]))
            now = time.perf_counter()
            elapsed, clock = now - clock, now
            self.seconds += elapsed
            row |= {f"time/{name}": seconds for name, seconds in self.timings.items()}
            row |= {
                "time/wall": self.seconds,
                "throughput/steps_per_second": self.storage.true_rewards.size / elapsed,
                "memory/rss_mb": resident_memory(),
            }
            if self.device.type == "cuda":
                row["memory/gpu_mb"] = torch.cuda.max_memory_allocated(self.device) / 2**20
            self.timings = {}
            yield row

    @property
    def finished(self) -> bool:
        """Whether `training.total_steps` are done."""
        return self.env_step >= self.config.training.total_steps

    def _start(self) -> None:
        """Reset the environments; collect the initial labels and learn from them.

        Raises UserError if these leave too few steps to train with: before a person has labelled anything. How many
        they take depends on how long episodes are, and does not follow from the parameters.
        """
        self.storage.observations[-1], _ = self.envs.reset(seed=derive_seed(self.seed, "env"))
        if self.learning:
            with self._timed("initial_labels"):
                if self.collects_initial_labels:
                    self.env_step = collect_initial_labels(self.config, self.seed, self.store, self.run)
                if self.finished:
                    raise UserError(
                        f"training.total_steps ({self.config.training.total_steps}) leaves nothing to train with: "
                        f"the initial labels alone took {self.env_step} steps; raise it"
                    )
                agent, left = self.config.agent, self.config.training.total_steps - self.env_step
                if isinstance(agent, ReplayConfig) and agent.learning_starts >= left:
                    raise UserError(
                        f"agent.learning_starts ({agent.learning_starts}) must be less than the {left} steps that "
                        f"the initial labels, which took {self.env_step}, leave of training.total_steps "
                        f"({self.config.training.total_steps}): else nothing is learned"
                    )
                self.learning.start(self.env_step)
        self.started = True

    @abc.abstractmethod
    def _train_on_one_rollout(self) -> dict[str, float]:
        """Collect a rollout into the storage, `_relabel` it, learn. Returns metrics."""

    def _relabel(self, progress: float, scales: dict[int, NDArray]) -> tuple[dict[str, float], NDArray, NDArray]:
        """Count the steps in the storage, ask and learn from preferences what they are worth, and say what they are.

        Args:
            progress: the share of training that was behind before this rollout.
            scales: `score_scale` (2, N) at the rows where an episode ended.

        Returns metrics, and the rewards and terminations (T, N) that the agent may know of.
        """
        self.env_step += self.storage.true_rewards.size
        metrics: dict[str, float] = {"env_step": self.env_step, "frames": self.env_step * self.config.env.frame_skip}
        with self._timed("reward_model"):
            if self.learning:
                metrics |= self.learning.learn(self.storage, self.env_step, progress)
                self.exact = self.exact and self.learning.exact
            rewards, terminated = self.source.relabel(self.storage)
            metrics |= self.source.metrics
        metrics |= self.episodes.update(self.storage, rewards, scales)
        return metrics, rewards, terminated

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.timings[part] = self.timings.get(part, 0.0) + time.perf_counter() - start

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next rollouts depend on, but for the labels, which are in the store."""
        return {
            "algorithm": self.config.agent.algorithm,
            "env_step": self.env_step,
            "seconds": self.seconds,
            "envs": self.envs.get_state() if self.envs.can_save_state else None,
            "agent": self.agent.state_dict(),
            "observations": self.storage.observations[-1].copy(),
            "done": self.storage.done[-1].copy(),
            "processor": self.processor,
            "episodes": self.episodes.state_dict(),
            "learning": self.learning.state_dict() if self.learning else None,
            # Whether all that follows is repeated bit for bit: a GPU adds in another order each time, and what a person
            # has answered since is learned from at once.
            "exact": self.envs.can_save_state and self.device.type == "cpu" and not self.config.person_annotates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned; with new episodes if those that were under way are not in it."""
        self.env_step, self.seconds = state["env_step"], state["seconds"]
        self.exact = state["exact"] and state["processor"] == self.processor  # another type may round otherwise
        self.agent.load_state_dict(state["agent"])
        self.movement.forget()
        if state["envs"]:
            self.envs.set_state(state["envs"])
            self.storage.observations[-1] = state["observations"]
            self.storage.done[-1] = state["done"]  # all that the next rollout asks is whether a reset follows
            self.episodes.load_state_dict(state["episodes"])
        else:
            # Other starts than the run's first ones.
            seed = derive_seed(self.seed, f"env, resumed after {self.env_step} steps")
            self.storage.observations[-1], _ = self.envs.reset(seed=seed)
        if self.learning:
            self.learning.load_state_dict(state["learning"], self.exact)
        self.started = True
