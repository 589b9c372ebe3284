"""Short texts about houses; 'claims' {so called} are made of them.

Made by `s3-hf tasks new` from claims. Its split 'train' (30 rows) is the gold validation data, and 'validation' (10
rows) the test. Gold validation rows: entailment 15, not_entailment 15.

Edit what you know better than the data tells: the words of LABELS, the prompts, the description, the licence
and the language. `s3-hf tasks preview claims.py --llm URL` shows what the LLM gets to read and answers.
"""

from pathlib import Path

from datasets import ClassLabel, Value

from s3_hf.task import Prompts, TaskBuilder, TaskConfig

# Each label of the data, and the word that prompts use for it.
LABELS = {"entailment": "entailment", "not_entailment": "not entailment"}


class Claims(TaskBuilder):
    """Gold data of claims.py, and the prompts for it."""

    BUILDER_CONFIGS = [
        TaskConfig(
            name="claims",
            description='Short texts about houses; "claims" {so called} are made of them.',
            source=str(Path(__file__).resolve().parent / "claims"),
            # Errors are found on `validation`; `test` is only scored on.
            splits={"validation": "train", "test": "validation"},
            # What the LLM writes, what it writes about, and what is learned from it.
            text="claim",
            context="premise",
            label="label",
            labels=LABELS,
            # All columns that the synthetic data has too; it leaves those empty that are not named above.
            features={
                "premise": Value("string"),
                "claim": Value("string"),
                "label": ClassLabel(names=list(LABELS)),
                "idx": Value("int32"),
            },
            prompts=Prompts(
                # Asked for each row of the first round.
                seed='{context}\n\nShort texts about houses; "claims" {{so called}} are made of them. '
                'Write one claim of about 4 words for this premise, so that the right label of the two is "{label}". '
                "Reply with the claim only.",
                # Asked for each row that the student got wrong.
                extrapolate='{context}\n\nShort texts about houses; "claims" {{so called}} are made of them. '
                'With this premise, the right label of "{text}" is "{label}". Write another claim like it that has '
                "the same label. Reply with the claim only.",
            ),
            # Tokens of the LLM's longest answer, and words of the shortest that is kept.
            max_tokens=32,
            min_words=3,
            # No text of the data has a line break: the first line of an answer is kept.
            one_line=True,
            # Tokens of the student's longest input; what is longer is cut.
            max_length=64,
            pretty_name="Claims",
            license="other",
            language="en",
        )
    ]
