"""Three verbs that ask the LLM: `rationales`, `examples`, `extrapolate` (paper sections 2.2 and 2.3)."""

from s3_hf.synthesis.checks import Checks
from s3_hf.synthesis.parsing import parse_list
from s3_hf.synthesis.synthesizer import Generate, Synthesizer, Tally

__all__ = ["Checks", "Generate", "Synthesizer", "Tally", "parse_list"]
