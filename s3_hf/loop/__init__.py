"""The rounds of a run: synthesize, train, score, mine errors; and resuming after a stop (paper Algorithm 2).

Each stage first looks for its proof in the run directory, so that calling `run` again continues where the last call
ended.
"""

from s3_hf.loop.checking import calibration_of
from s3_hf.loop.context import Observer, Services, check, check_llm
from s3_hf.loop.preview import PromptPreview, preview
from s3_hf.loop.results import RunResult, RunStatus, status_of
from s3_hf.loop.rounds import run, synthesize
from s3_hf.loop.trying import PromptTrial, try_prompts

__all__ = [
    "Observer",
    "PromptPreview",
    "PromptTrial",
    "RunResult",
    "RunStatus",
    "Services",
    "calibration_of",
    "check",
    "check_llm",
    "preview",
    "run",
    "status_of",
    "synthesize",
    "try_prompts",
]
