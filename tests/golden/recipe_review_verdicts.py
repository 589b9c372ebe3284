"""Review verdicts: each review has one of 2 labels.

Made by `s3-hf tasks new` from films.csv. Its rows are divided, with no text on both sides: 20 rows are the gold
validation data, and 20 the test. Gold validation rows: bad_film 10, good_film 10.

Edit what you know better than the data tells: the words of LABELS, the prompts, the description, the licence
and the language. `s3-hf tasks preview review_verdicts.py --llm URL` shows what the LLM gets to read and answers.
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
            # Errors are found on `validation`; `test` is only scored on. A file is one split, `train`.
            splits={"validation": "train", "test": "train"},
            # They are the same split, so it is divided: so much of it is the test, drawn with this seed.
            test_share=0.5,
            split_seed=0,
            # What the LLM writes, and what is learned from it.
            text="review",
            label="verdict",
            labels=LABELS,
            prompts=Prompts(
                # Asked for each label; what is answered goes into `seed` as {rationales}.
                rationales='The task is called "review verdicts". Name {count} things that a review with the '
                'label "{label}" may be about or say, as a numbered list with two to six words each.',
                # Asked for each row of the first round.
                seed='The task is called "review verdicts". Write one review of about 8 words with the '
                'label "{label}" that is about or says: {rationales}. Reply with the review only.',
                # The same for runs with --no-rationales.
                seed_plain='The task is called "review verdicts". Write one review of about 8 words with the '
                'label "{label}". Reply with the review only.',
                # Asked for each row that the student got wrong.
                extrapolate='The task is called "review verdicts". This review has the label "{label}":\n'
                "{text}\n\nWrite another review like it that has the same label. Reply with the review only.",
            ),
            # Tokens of the LLM's longest answer, and words of the shortest that is kept.
            max_tokens=32,
            min_words=5,
            # No text of the data has a line break: the first line of an answer is kept.
            one_line=True,
            # Tokens of the student's longest input; what is longer is cut.
            max_length=64,
            pretty_name="Review verdicts",
            license="other",
            language="en",
        )
    ]
