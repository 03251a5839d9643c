"""The parameters of a run: strict models of `params.yaml`, and overrides from the command line.

Every field is required, but for the thresholds in `health`, and checked before any compute is spent. A mistake is
reported as one line that names the field, the value and the fix (`UserError`).
"""

from repro.config.env import AtariConfig, EnvConfig, GymConfig, MovingDotConfig
from repro.config.loading import load_config, parse_config
from repro.config.off_policy import DDPGConfig, DQNConfig, ReplayConfig
from repro.config.on_policy import A2CConfig, PPOConfig, SB3PPOConfig, TRPOConfig, VPGConfig
from repro.config.parameters import ALGORITHMS, AgentConfig, Config
from repro.config.preferences import PreferenceConfig
from repro.config.sections import RewardModelConfig, SeedConfig

__all__ = [
    "ALGORITHMS",
    "A2CConfig",
    "AgentConfig",
    "AtariConfig",
    "Config",
    "DDPGConfig",
    "DQNConfig",
    "EnvConfig",
    "GymConfig",
    "MovingDotConfig",
    "PPOConfig",
    "PreferenceConfig",
    "ReplayConfig",
    "RewardModelConfig",
    "SB3PPOConfig",
    "SeedConfig",
    "TRPOConfig",
    "VPGConfig",
    "load_config",
    "parse_config",
]
