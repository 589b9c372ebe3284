"""What a run cost: floating-point operations by the paper's formula (Appendix B), requests, tokens and seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3_hf.store import RunDir, Stage

if TYPE_CHECKING:
    import pandas as pd

FLOPS_PER_TOKEN_AND_PARAMETER = 6
"""F_token,para of Appendix B, after Brown et al. (2020)."""
DISTILBERT_PARAMETERS, DISTILBERT_TOKENS = 66_000_000, 512
"""Parameters and tokens of a row that Appendix B reckons with."""
PAPER_ARMS = {
    "ZeroGen (paper)": ((200_000,), 10),
    "S3 (paper)": ((51_200, 64_000, 76_800), 8),
}
"""Arm of Appendix B -> rows of each of its trainings, and epochs."""


def training_flops(parameters: int, tokens: float) -> float:
    """Return the floating-point operations of a training that sees `tokens` input tokens in all its epochs."""
    return float(FLOPS_PER_TOKEN_AND_PARAMETER * parameters * tokens)


def paper_costs() -> pd.DataFrame:
    """Return Appendix B's own figures from its formula: `arm`, `rows` seen, `flops_per_row`, `flops`."""
    import pandas as pd

    per_row = training_flops(DISTILBERT_PARAMETERS, DISTILBERT_TOKENS)
    lines = [(arm, sum(rows) * epochs, per_row, per_row * sum(rows) * epochs)
             for arm, (rows, epochs) in PAPER_ARMS.items()]  # fmt: skip
    return pd.DataFrame(lines, columns=["arm", "rows", "flops_per_row", "flops"])


def costs_of(run: RunDir) -> pd.DataFrame:
    """Return what each finished training of a run cost.

    Columns: `arm` ("round N"), `rows` seen in all epochs, `flops_per_row` (one row in one epoch, by the mean of its
    tokens), `flops`, `formula_flops` (what the paper's formula gives for the student's parameters and its longest
    input), `seconds`, `requests`, `tokens` of the LLM, `cost`.
    """
    import pandas as pd

    lines = []
    for folder in run.rounds():
        if folder.stage() is not Stage.DONE:
            continue
        made, trained = folder.synthesis(), folder.training()
        seen = round(trained.tokens.seen / trained.tokens.mean) if trained.tokens.mean else 0
        lines.append(
            {
                "arm": f"round {folder.number}",
                "rows": seen,
                "flops_per_row": training_flops(trained.parameters, trained.tokens.mean),
                "flops": training_flops(trained.parameters, trained.tokens.seen),
                "formula_flops": training_flops(trained.parameters, trained.max_length) * seen,
                "seconds": trained.seconds,
                "requests": made.usage.requests,
                "tokens": made.usage.tokens,
                "cost": made.usage.cost,
            }
        )
    return pd.DataFrame(lines)
