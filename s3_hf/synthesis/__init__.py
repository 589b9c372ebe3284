"""Examples written by the LLM: `rationales`, `examples`, `extrapolate` (paper sections 2.2, 2.3) and `zero_shot`."""

from s3_hf.synthesis.asking import Asker, Generate, Tally, gather_all, gather_answered
from s3_hf.synthesis.calibration import Calibration, calibrate
from s3_hf.synthesis.checks import Checks
from s3_hf.synthesis.choosing import WRONG_LABEL, Embed, Judge
from s3_hf.synthesis.parsing import parse_list
from s3_hf.synthesis.plan import Plan, Pool, Rationales, ShownRow, Turn, in_proportion
from s3_hf.synthesis.rationales import Means
from s3_hf.synthesis.synthesizer import Synthesizer

__all__ = [
    "WRONG_LABEL",
    "Asker",
    "Calibration",
    "Checks",
    "Embed",
    "Generate",
    "Judge",
    "Means",
    "Plan",
    "Pool",
    "Rationales",
    "ShownRow",
    "Synthesizer",
    "Tally",
    "Turn",
    "calibrate",
    "gather_all",
    "gather_answered",
    "in_proportion",
    "parse_list",
]
