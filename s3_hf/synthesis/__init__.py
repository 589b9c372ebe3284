"""Verbs that ask the LLM: `rationales`, `examples`, `extrapolate` (paper sections 2.2 and 2.3), and `zero_shot`."""

from s3_hf.synthesis.checks import Checks
from s3_hf.synthesis.parsing import parse_list
from s3_hf.synthesis.plan import Plan, Planner, Shown
from s3_hf.synthesis.synthesizer import Generate, Synthesizer, Tally
from s3_hf.synthesis.zerogen import Pool

__all__ = [
    "Checks",
    "Generate",
    "Plan",
    "Planner",
    "Pool",
    "Shown",
    "Synthesizer",
    "Tally",
    "parse_list",
]
