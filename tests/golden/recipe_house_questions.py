"""House questions: questions about contexts, each answered by a part of it.

Made by `s3-hf tasks new` from houses.json. Its rows are divided, with no context on both sides: 20 rows are the gold
validation data, and 20 the test.

Edit what you know better than the data tells: the prompts, the description, the licence
and the language. `s3-hf tasks preview house_questions.py --llm URL` shows what the LLM gets to read and answers.
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
            # Errors are found on `validation`; `test` is only scored on. A file is one split, `train`.
            splits={"validation": "train", "test": "train"},
            # They are the same split, so it is divided: so much of it is the test, drawn with this seed.
            test_share=0.5,
            split_seed=0,
            # What the LLM writes, what it writes about, and what is learned from it.
            text="question",
            context="context",
            label=None,
            answers="answers",
            id="id",
            # Comes along with a context into the rows that are written about it.
            carried=("title",),
            # All columns that the synthetic data has too; it leaves those empty that are not named above.
            features={
                "id": Value("string"),
                "title": Value("string"),
                "context": Value("string"),
                "question": Value("string"),
                "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
            },
            prompts=Prompts(
                # Asked for each row of the first round.
                seed='{context}\n\nThe task is called "house questions". Write one question of about 5 '
                'words about this context to which the answer is "{answer}", without naming the answer in it. Reply '
                "with the question only.",
                # Asked for each row that the student got wrong.
                extrapolate='{context}\n\nThe task is called "house questions". For this context, the answer '
                'to "{text}" is "{answer}". Write another question to which the answer is the same, without naming '
                "it. Reply with the question only.",
            ),
            # Tokens of the LLM's longest answer, and words of the shortest that is kept.
            max_tokens=32,
            min_words=5,
            # No text of the data has a line break: the first line of an answer is kept.
            one_line=True,
            # What is written are questions: an answer is kept up to its question mark.
            question=True,
            # Tokens of the student's longest input; longer ones are read in windows that overlap by `stride`.
            max_length=64,
            stride=16,
            pretty_name="House questions",
            license="other",
            language="en",
        )
    ]
