"""House questions: questions about contexts, each answered by a part of it.

Written by `s3-hf tasks new` from houses.json. Its rows are divided, with no context on both sides: 20 rows are the
gold validation data, and 20 the test.

Edit what you know better than the data shows: the prompts, the description, the licence
and the language. `s3-hf tasks preview house_questions.py --llm URL` shows the messages to the LLM and its answers.
"""

from pathlib import Path

from datasets import List, Value

from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class HouseQuestions(TaskBuilder):
    """Gold data of house_questions.py, and the prompts for it."""

    BUILDER_CONFIGS = [
        TaskConfig(
            name="house_questions",
            description="House questions: questions about contexts, each answered by a part of it.",
            source=str(Path(__file__).resolve().parent / "houses.json"),
            # Mistakes are found on `validation`; `test` is only scored. A file has one split, `train`.
            splits={"validation": "train", "test": "train"},
            # Both are the same split, so it is divided: this share becomes the test, chosen with this seed.
            test_share=0.5,
            split_seed=0,
            # The columns of what the LLM writes, what it writes about, and what the student learns.
            text="question",
            context="context",
            label=None,
            answers="answers",
            id="id",
            # Copied with a context into the rows that are written about it.
            carried=("title",),
            # All columns of the gold data. Synthetic rows have them too; those without a role above are empty there.
            features={
                "id": Value("string"),
                "title": Value("string"),
                "context": Value("string"),
                "question": Value("string"),
                "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
            },
            prompts=Prompts(
                # Sent for each row of the seed dataset.
                seed='{context}\n\nThe task is called "house questions". Write one question of about 5 '
                'words about this context to which the answer is "{answer}", without naming the answer in it. Reply '
                "with the question only.",
                # Sent for each gold row that the student got wrong.
                extrapolate='{context}\n\nThe task is called "house questions". For this context, the answer '
                'to "{text}" is "{answer}". Write another question to which the answer is the same, without naming '
                "it. Reply with the question only.",
            ),
            # Tokens in the LLM's longest answer, and words in the shortest answer that is kept.
            max_tokens=32,
            min_words=5,
            # No text of the data has a line break: only the first line of an answer is kept.
            one_line=True,
            # The texts are questions: an answer is kept up to its question mark.
            question=True,
            # Tokens in the student's longest input; a longer one is read in windows that overlap by `stride` tokens.
            max_length=64,
            stride=16,
            pretty_name="House questions",
            license="other",
            language="en",
        )
    ]
