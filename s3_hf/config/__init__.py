"""The settings of a run: frozen, read from YAML and flags, validated, with a fingerprint."""

from s3_hf.config.groups import LLMConfig, Natural, Positive, ProGenConfig, Seed, SynthesisConfig, TrainingConfig
from s3_hf.config.run import EARLIER, JOINT, LOCAL, RunConfig, load_config, names_several, parse_config

__all__ = [
    "EARLIER",
    "JOINT",
    "LOCAL",
    "LLMConfig",
    "Natural",
    "Positive",
    "ProGenConfig",
    "RunConfig",
    "Seed",
    "SynthesisConfig",
    "TrainingConfig",
    "load_config",
    "names_several",
    "parse_config",
]
