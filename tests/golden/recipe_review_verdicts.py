"""Review verdicts: each review has one of 2 labels.

Written by `s3-hf tasks new` from films.csv. Its rows are divided, with no text on both sides: 20 rows are the gold
validation data, and 20 the test. Gold validation rows: bad_film 10, good_film 10.

Edit what you know better than the data shows: the words in LABELS, the prompts, the description, the licence
and the language. `s3-hf tasks preview review_verdicts.py --llm URL` shows the messages to the LLM and its answers.
"""

from pathlib import Path

from s3_hf.task import Prompts, TaskBuilder, TaskConfig

# Each label of the data, and the word that prompts use for it.
LABELS = {"bad_film": "bad film", "good_film": "good film"}


class ReviewVerdicts(TaskBuilder):
    """Gold data of review_verdicts.py, and the prompts for it."""

    BUILDER_CONFIGS = [
        TaskConfig(
            name="review_verdicts",
            description="Review verdicts: each review has one of 2 labels.",
            source=str(Path(__file__).resolve().parent / "films.csv"),
            # Mistakes are found on `validation`; `test` is only scored. A file has one split, `train`.
            splits={"validation": "train", "test": "train"},
            # Both are the same split, so it is divided: this share becomes the test, chosen with this seed.
            test_share=0.5,
            split_seed=0,
            # The columns of what the LLM writes, and what the student learns.
            text="review",
            label="verdict",
            labels=LABELS,
            prompts=Prompts(
                # Sent for each label; the answers go into `seed` as {rationales}.
                rationales='The task is called "review verdicts". Name {count} things that a review with the '
                'label "{label}" may be about or say, as a numbered list with two to six words each.',
                # Sent for each row of the seed dataset.
                seed='The task is called "review verdicts". Write one review of about 8 words with the '
                'label "{label}" that is about or says: {rationales}. Reply with the review only.',
                # Sent in its place in runs with --no-rationales.
                seed_plain='The task is called "review verdicts". Write one review of about 8 words with the '
                'label "{label}". Reply with the review only.',
                # Sent for each gold row that the student got wrong.
                extrapolate='The task is called "review verdicts". This review has the label "{label}":\n'
                "{text}\n\nWrite another review like it that has the same label. Reply with the review only.",
            ),
            # Tokens in the LLM's longest answer, and words in the shortest answer that is kept.
            max_tokens=32,
            min_words=5,
            # No text of the data has a line break: only the first line of an answer is kept.
            one_line=True,
            # Tokens in the student's longest input; a longer one is cut.
            max_length=64,
            pretty_name="Review verdicts",
            license="other",
            language="en",
        )
    ]
