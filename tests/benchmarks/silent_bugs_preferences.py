"""Silent bugs of preference learning, planted by `planted_bugs.py` as those of agents are."""

from __future__ import annotations

from silent_bugs import Bug

REWARD_MODEL, LEAKS = ("unit/test_reward_model.py",), ("unit/test_no_leaks.py",)
NETWORKS = ("unit/test_reward_networks.py", "unit/test_regularisation.py", "unit/test_reward_encoders.py")

PREFERENCES = (
    Bug(
        "preferences are learned the wrong way round",
        "preferences/reward_losses.py",
        "return left - right",
        "return right - left",
        REWARD_MODEL,
    ),
    Bug(
        "the noise term is left out of the loss",
        "preferences/reward_losses.py",
        "share = torch.tensor(noise, device=logits.device)",
        "share = torch.tensor(0.0, device=logits.device)",
        REWARD_MODEL,
    ),
    Bug(
        "held-out comparisons are learned from",
        "preferences/reward_model.py",
        "weighted = losses * draws",
        "weighted = losses * (draws >= 0)",
        REWARD_MODEL + NETWORKS,
    ),
    Bug(
        "all members learn from the same comparisons",
        "preferences/comparisons.py",
        "(generator.random(self.members) >= self.validation_fraction)",
        "(generator.random(1).repeat(self.members) >= self.validation_fraction)",
        ("unit/test_comparisons.py", *REWARD_MODEL),
    ),
    Bug(
        "predicted rewards are not normalised",
        "preferences/reward_normaliser.py",
        "return (raw - steps * self.mean) / (self.variance.sqrt() + 1e-8) * self.reward_std",
        "return raw",
        REWARD_MODEL,
    ),
    Bug(
        "the statistics of predictions stay those of the first step",
        "preferences/reward_normaliser.py",
        "weight = 1 / min(MEMORY, self.steps)",
        "weight = 1 if self.steps == 1 else 0",
        REWARD_MODEL,
    ),
    Bug(
        "padding counts as steps",
        "preferences/reward_networks.py",
        "rewards[:, valid.to(rewards.device)] = inputs.squeeze(2)",
        "rewards[:, valid.to(rewards.device)] = inputs.squeeze(2); rewards += ~valid.to(rewards.device)",
        ("unit/test_comparisons.py",),
    ),
    Bug(
        "dropout thins the two segments of a pair apart",
        "preferences/reward_encoders.py",
        "/ (1 - self.rate))[self.pairs]",
        "/ (1 - self.rate))[torch.arange(len(self.pairs)) * 7 % (int(self.pairs.max()) + 1)]",
        NETWORKS,
    ),
    Bug(
        "rewards are predicted with the batch norm of training",
        "preferences/reward_model.py",
        "            self.network.eval()\n",
        "            pass\n",
        NETWORKS + REWARD_MODEL,
    ),
    Bug(
        "segments run on into the next episode",
        "preferences/segments.py",
        "            if ended:\n                start = row + 1\n",
        "",
        ("unit/test_preferences_segments.py",),
    ),
    Bug(
        "the oracle prefers the worse segment",
        "preferences/oracle.py",
        "prefers_left = difference > 0",
        "prefers_left = difference < 0",
        ("unit/test_preferences_oracle.py",),
    ),
    Bug(
        "a segment is compared in two pairs, and so may be learned and held out",
        "preferences/queries.py",
        "if used.isdisjoint(pair):",
        "if True:",
        ("unit/test_preferences_choices.py",),
    ),
    Bug(
        "with learned rewards the agent is told of terminations",
        "training/rewards.py",
        "return rewards, np.zeros_like(storage.terminated)",
        "return rewards, storage.terminated",
        LEAKS,
    ),
    Bug(
        "samples of the replay buffer are paid the true reward",
        "training/rewards.py",
        "return self.model.predict(sample.next_observations), np.zeros_like(sample.terminated)",
        "return sample.true_rewards, np.zeros_like(sample.terminated)",
        LEAKS,
    ),
)
