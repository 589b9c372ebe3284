"""The run directory: where a run keeps everything that it makes, and from which it continues.

    run.yaml  run.lock  journal.sqlite
    round-0/  data.parquet round.json | (tuned.json) model/ | predictions.parquet metrics.json | published.json
    round-1/  (helpful.json) data.parquet round.json | …
    round-2/  empty.json
    final/    choosing/ choice.json | model/ | predictions.parquet metrics.json | gold/ verdict.json | published.json
    judging/  folds.json fold-0/model fold-1/model fold-2/model gold.json llm.json | (trial.parquet) decision.json

The stage of a round is derived from the proof files that exist (`RoundDir.stage`) and never stored. Files are
written temp -> fsync -> rename, the proof of a stage last, so that a kill at any moment leaves each stage either
done or not begun.
"""

from s3_hf.store.facts import (
    MINED,
    SELECTION,
    TEST,
    RoundResult,
    ScoringFacts,
    SeedScore,
    SynthesisFacts,
    TrainingFacts,
    best_round,
    damaged,
    parse_facts,
    read_facts,
)
from s3_hf.store.final import (
    AFTER,
    ARMS,
    CROSS_FITTED,
    GOLD,
    MIXED,
    SYNTHETIC,
    Calibration,
    ChoiceFacts,
    Difference,
    FinalDir,
    FinalFacts,
    FinalResult,
    StudentDir,
    Verdict,
    VerdictArm,
)
from s3_hf.store.html import results_html
from s3_hf.store.judging import JudgingDir, JudgingFacts
from s3_hf.store.layout import (
    JOURNAL,
    NO_WEIGHTS,
    ONNX_FILES,
    RoundDir,
    RunDir,
    Stage,
    has_onnx,
    has_weights,
    names_of,
)
from s3_hf.store.opening import create_run, locked, open_run

__all__ = [
    "AFTER",
    "ARMS",
    "CROSS_FITTED",
    "GOLD",
    "JOURNAL",
    "MINED",
    "MIXED",
    "NO_WEIGHTS",
    "ONNX_FILES",
    "SELECTION",
    "SYNTHETIC",
    "TEST",
    "Calibration",
    "ChoiceFacts",
    "Difference",
    "FinalDir",
    "FinalFacts",
    "FinalResult",
    "JudgingDir",
    "JudgingFacts",
    "RoundDir",
    "RoundResult",
    "RunDir",
    "ScoringFacts",
    "SeedScore",
    "Stage",
    "StudentDir",
    "SynthesisFacts",
    "TrainingFacts",
    "Verdict",
    "VerdictArm",
    "best_round",
    "create_run",
    "damaged",
    "has_onnx",
    "has_weights",
    "locked",
    "names_of",
    "open_run",
    "parse_facts",
    "read_facts",
    "results_html",
]
