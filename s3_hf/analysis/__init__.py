"""What a finished run is worth: figures over its predictions, without training or asking anything."""

from s3_hf.analysis.verdict import Measured, verdict_of

__all__ = ["Measured", "verdict_of"]
