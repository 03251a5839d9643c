"""Silent bugs of agents: training goes on with each, and only the result is worse. Planted by `planted_bugs.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """A change of one place of the generated project's code, and the tests that are there to see it."""

    what: str
    file: str  # in src/repro
    right: str  # stands once in the file
    wrong: str
    tests: tuple[str, ...]  # in tests


ROLLOUT, PPO, TRUST = ("unit/test_rollout.py",), ("unit/test_ppo.py",), ("unit/test_trpo.py",)
PROBES, ON_POLICY = ("probes/test_probes_on_policy.py",), ("unit/test_on_policy_agents.py",)
OFF_POLICY = ("unit/test_dqn.py", "unit/test_off_policy.py")

AGENTS = (
    # What an agent learns from.
    Bug(
        "truncation is treated as termination",
        "agents/rollout.py",
        "discount * (~rollout.terminated) * values[1:]",
        "discount * (~rollout.done) * values[1:]",
        ROLLOUT,
    ),
    Bug(
        "termination is treated as truncation",
        "agents/rollout.py",
        "discount * (~rollout.terminated) * values[1:]",
        "discount * values[1:]",
        ROLLOUT,
    ),
    Bug(
        "the environment's time limit is reported as termination",
        "envs/gym.py",
        "truncated |= self._steps >= self.max_steps",
        "terminated |= self._steps >= self.max_steps",
        ("unit/test_gym.py",),
    ),
    Bug(
        "bootstrapping from the value of the step itself, not of what follows",
        "agents/rollout.py",
        "(~rollout.terminated) * values[1:] - values[:-1]",
        "(~rollout.terminated) * values[:-1] - values[:-1]",
        ROLLOUT,
    ),
    Bug(
        "advantages are carried over from the next episode",
        "agents/rollout.py",
        "(~rollout.done).float()",
        "(~rollout.terminated).float()",
        ROLLOUT,
    ),
    Bug(
        "rows that only reset are learned from",
        "agents/rollout.py",
        "valid = self.valid.flatten().nonzero()",
        "valid = torch.ones_like(self.valid).flatten().nonzero()",
        ON_POLICY,
    ),
    Bug(
        "rows that only reset are put into the replay buffer",
        "experience/replay.py",
        "envs = np.flatnonzero(valid)",
        "envs = np.arange(len(valid))",
        ("unit/test_replay.py",),
    ),
    Bug(
        "log-probabilities are those of the step before",
        "training/on_policy.py",
        "actions, storage.log_probs[step], storage.values[step] = ",
        "actions, storage.log_probs[step - 1], storage.values[step] = ",
        ("unit/test_collected_rollouts.py",),
    ),
    Bug(
        "values are those of the step before",
        "training/on_policy.py",
        "actions, storage.log_probs[step], storage.values[step] = ",
        "actions, storage.log_probs[step], storage.values[step - 1] = ",
        ("unit/test_collected_rollouts.py",),
    ),
    Bug(
        "rewards are those of the step before",
        "experience/storage.py",
        "self.true_rewards[step], self.terminated[step] = rewards, terminated",
        "self.true_rewards[step - 1], self.terminated[step] = rewards, terminated",
        ("unit/test_storage.py", *PROBES),
    ),
    # Algorithms.
    Bug(
        "PPO: the advantage has the wrong sign",
        "agents/ppo.py",
        "policy_losses = -torch.min(",
        "policy_losses = torch.min(",
        PPO + ON_POLICY + PROBES,
    ),
    Bug(
        "A2C: the advantage has the wrong sign",
        "agents/a2c.py",
        "policy_loss = -(policy",
        "policy_loss = (policy",
        ("unit/test_a2c.py", *PROBES),
    ),
    Bug(
        "VPG: the advantage has the wrong sign",
        "agents/vpg.py",
        "policy_loss = -(policy",
        "policy_loss = (policy",
        ("unit/test_vpg.py", *PROBES),
    ),
    Bug(
        "PPO: the ratio is clipped on both sides of the minimum",
        "agents/ppo.py",
        "torch.min(advantages * ratios, advantages * clipped)",
        "torch.max(advantages * ratios, advantages * clipped)",
        PPO,
    ),
    Bug(
        "PPO: the entropy bonus is a penalty",
        "agents/ppo.py",
        "- config.entropy_coefficient * entropies",
        "+ config.entropy_coefficient * entropies",
        PPO + ON_POLICY,
    ),
    Bug(
        "PPO: advantages are not normalised",
        "agents/ppo.py",
        "advantages = normalise(advantages)",
        "advantages = advantages - 0",
        PPO,
    ),
    Bug(
        "PPO: the learning rate is not annealed",
        "agents/ppo.py",
        "config.learning_rate * (1 - progress)",
        "config.learning_rate * (1 - 0)",
        PPO + ON_POLICY,
    ),
    Bug(
        "A2C: RMSprop adds epsilon outside the root",
        "agents/a2c.py",
        '(mean_square + group["epsilon"]).sqrt_()',
        '(mean_square.sqrt() + group["epsilon"])',
        ("unit/test_a2c.py",),
    ),
    Bug(
        "TRPO: the line search takes whatever improves, however far",
        "agents/trpo.py",
        "(after > before) & (kl <= config.max_kl)",
        "(after > before)",
        TRUST,
    ),
    Bug(
        "TRPO: the old policy moves along",
        "agents/trpo.py",
        "None if log_std is None else log_std.clone()",
        "log_std",
        TRUST,
    ),
    Bug(
        "DQN: the target network is never updated",
        "agents/dqn.py",
        "if self.updates % config.target_update_steps == 0:",
        "if False:",
        OFF_POLICY,
    ),
    Bug(
        "DQN: terminated states are bootstrapped from",
        "agents/dqn.py",
        "self.config.discount * (~batch.terminated) * best",
        "self.config.discount * best",
        OFF_POLICY,
    ),
    Bug(
        "DQN: double Q-learning chooses by the target network",
        "agents/dqn.py",
        "if self.config.double else following",
        "if False else following",
        OFF_POLICY,
    ),
    Bug(
        "DDPG: the target networks stay as they were",
        "agents/ddpg.py",
        "slow.lerp_(fast, self.config.target_rate)",
        "slow.lerp(fast, self.config.target_rate)",
        ("unit/test_ddpg.py",),
    ),
    # Observations.
    Bug(
        "the reward model sees observations that are not normalised",
        "preferences/reward_networks.py",
        "vectors = self.normaliser(vectors) if self.normaliser else vectors.float()",
        "vectors = vectors.float()",
        ("unit/test_normalisation.py",),
    ),
    Bug(
        "the running variance leaves out how far means lie apart",
        "normalisation.py",
        "squares += difference**2 * self.count * len(batch) / total",
        "squares += 0",
        ("unit/test_normalisation.py",),
    ),
    Bug(
        "the agent's images are scaled to [0, 1] twice",
        "agents/networks.py",
        "return scale_images(images, torch.channels_last)",
        "return scale_images(images, torch.channels_last).div_(255)",
        ("unit/test_networks.py",),
    ),
    Bug(
        "the first stack of an episode keeps a frame of the last",
        "envs/moving_dot.py",
        "self._stack[which] = self._images()[which, None]",
        "self._stack[which, -1] = self._images()[which]",
        ("unit/test_moving_dot_episodes.py", "unit/test_moving_dot.py"),
    ),
    # Evaluation and repetition.
    Bug(
        "rewards after the end of an episode count in its return",
        "experience/playing.py",
        "returns += np.where(running, rewards, 0.0)",
        "returns += rewards",
        ("unit/test_playing.py", "unit/test_evaluate.py"),
    ),
    Bug(
        "a resumed run draws other actions",
        "agents/ppo.py",
        '        self.generator.set_state(state["generator"].cpu())\n',
        "",
        ("unit/test_resume.py",),
    ),
    Bug(
        "all streams of a run share one seed",
        "seeding.py",
        "np.random.SeedSequence([seed, zlib.crc32(stream.encode())])",
        "np.random.SeedSequence([seed, 0])",
        ("unit/test_seeding_and_checkpoint.py",),
    ),
    Bug(
        "all seeds are the same",
        "seeding.py",
        "np.random.SeedSequence([seed, zlib.crc32(stream.encode())])",
        "np.random.SeedSequence([0, zlib.crc32(stream.encode())])",
        ("unit/test_seeding_and_checkpoint.py",),
    ),
)
