"""What a rollout says of its actions is what the network that chose them says of them."""

import pytest
import torch
from every_algorithm import with_algorithm
from project import SOURCE

from repro.config import load_config
from repro.preferences.store import PreferenceStore
from repro.training import make_trainer

SMALL = (
    *("reward.source=environment", "training.precision=float32", "training.device=cpu", "training.threads=1"),
    *("env.max_frames=40", "env.image_size=36", "training.total_steps=1024"),
)


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "vpg", "trpo"])
def test_probabilities_and_values_are_those_of_these_observations_and_actions(tmp_path, algorithm):
    config = load_config(SOURCE / "presets/moving-dot-small.yaml", (*with_algorithm(algorithm), *SMALL))
    with PreferenceStore(tmp_path / "preferences.db", "dot") as store:
        trainer = make_trainer(config, 3, "run", store)
        for parameter in trainer.agent.network.parameters():
            parameter.data.mul_(3)  # at first all actions are about equally probable
        update, compared = trainer.agent.update, []

        def checked(rollout, progress):
            with torch.no_grad():
                policy, values = trainer.agent.runner(rollout.observations[:-1].flatten(0, 1))
                log_probs = policy.log_prob(rollout.actions.flatten(0, 1))
            torch.testing.assert_close(rollout.log_probs.flatten(), log_probs, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(rollout.values[:-1].flatten(), values, rtol=1e-4, atol=1e-4)
            compared.append(float(log_probs.std()))
            return update(rollout, progress)

        trainer.agent.update = checked
        rows = trainer.rows()
        for _ in range(2):
            next(rows)
    assert len(compared) == 2 and min(compared) > 0.01  # they differ from step to step
