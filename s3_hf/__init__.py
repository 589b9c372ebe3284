"""S3: synthesize a dataset step by step and train a small model on it.

`s3_hf.run("movie_snippets")` runs the whole method. Heavy modules are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3_hf.config import RunConfig
    from s3_hf.starting import report_on, run

__all__ = ["RunConfig", "__version__", "report_on", "run"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "RunConfig":
        from s3_hf.config import RunConfig

        return RunConfig
    if name in ("report_on", "run"):
        from s3_hf import starting

        return getattr(starting, name)
    raise AttributeError(f"module 's3_hf' has no attribute {name!r}")
