"""Every algorithm in a run of about a second, as overrides of the tiny parameters."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

import pytest
from agent_examples import SETTINGS
from off_policy_examples import DDPG_SETTINGS, DQN_SETTINGS

from repro.config import ALGORITHMS as CONFIGS

NO_BASELINE = pytest.mark.skipif(find_spec("stable_baselines3") is None, reason="needs the extra `baseline`")
ALGORITHMS = [pytest.param(name, marks=[NO_BASELINE] if name == "sb3-ppo" else []) for name in CONFIGS]


def with_algorithm(name: str, **settings: Any) -> tuple[str, ...]:
    """Overrides that exchange the agent; DDPG gets the actions that it needs."""
    quick = SETTINGS["trpo"] | {"conjugate_gradient_steps": 2, "line_search_steps": 3}
    every = SETTINGS | {"trpo": quick, "sb3-ppo": SETTINGS["ppo"], "dqn": DQN_SETTINGS, "ddpg": DDPG_SETTINGS}
    agent = every[name] | {"algorithm": name, "rollout_steps": 32} | settings
    return f"agent={json.dumps(agent)}", f"env.actions={'continuous' if name == 'ddpg' else 'discrete'}"
