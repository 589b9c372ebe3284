"""S3: synthesize a dataset step by step and train a small model on it.

`from s3_hf import RunConfig, run` is all that most programs need. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3_hf.config import RunConfig
    from s3_hf.loop import run

__all__ = ["RunConfig", "run"]


def __getattr__(name: str) -> Any:
    if name == "RunConfig":
        from s3_hf.config import RunConfig

        return RunConfig
    if name == "run":
        from s3_hf.loop import run

        return run
    raise AttributeError(f"module 's3_hf' has no attribute {name!r}")
