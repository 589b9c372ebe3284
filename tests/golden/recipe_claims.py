"""Short texts about houses; 'claims' {so called} are made of them.

Written by `s3-hf tasks new` from claims. Its split 'train' (30 rows) is the gold validation data, and 'validation' (10
rows) the test. Gold validation rows: entailment 15, not_entailment 15.

Edit what you know better than the data shows: the words in LABELS, the prompts, the description, the licence
and the language. `s3-hf tasks preview claims.py --llm URL` shows the messages to the LLM and its answers.
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
            # Mistakes are found on `validation`; `test` is only scored.
            splits={"validation": "train", "test": "validation"},
            # The columns of what the LLM writes, what it writes about, and what the student learns.
            text="claim",
            context="premise",
            label="label",
            labels=LABELS,
            # All columns of the gold data. Synthetic rows have them too; those without a role above are empty there.
            features={
                "premise": Value("string"),
                "claim": Value("string"),
                "label": ClassLabel(names=list(LABELS)),
                "idx": Value("int32"),
            },
            prompts=Prompts(
                # Sent for each row of the seed dataset.
                seed='{context}\n\nShort texts about houses; "claims" {{so called}} are made of them. '
                'Write one claim of about 4 words for this premise, so that the right label of the two is "{label}". '
                "Reply with the claim only.",
                # Sent for each gold row that the student got wrong.
                extrapolate='{context}\n\nShort texts about houses; "claims" {{so called}} are made of them. '
                'With this premise, the right label of "{text}" is "{label}". Write another claim like it that has '
                "the same label. Reply with the claim only.",
            ),
            # Tokens in the LLM's longest answer, and words in the shortest answer that is kept.
            max_tokens=32,
            min_words=3,
            # No text of the data has a line break: only the first line of an answer is kept.
            one_line=True,
            # Tokens in the student's longest input; a longer one is cut.
            max_length=64,
            pretty_name="Claims",
            license="other",
            language="en",
        )
    ]
