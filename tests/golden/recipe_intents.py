"""Intents: each utterance has one of 20 labels.

Written by `s3-hf tasks new` from intents.jsonl. Its rows are divided, with no text on both sides: 89 rows are the gold
validation data, and 89 the test. Gold validation rows: 20 labels with 2 to 21 rows.

Edit what you know better than the data shows: the words in LABELS, the prompts, the description, the licence
and the language. `s3-hf tasks preview intents.py --llm URL` shows the messages to the LLM and its answers.
"""

from pathlib import Path

from s3_hf.task import Prompts, TaskBuilder, TaskConfig

# Each label of the data, and the word that prompts use for it.
LABELS = {
    "ask_for_0": "ask for 0",
    "ask_for_1": "ask for 1",
    "ask_for_10": "ask for 10",
    "ask_for_11": "ask for 11",
    "ask_for_12": "ask for 12",
    "ask_for_13": "ask for 13",
    "ask_for_14": "ask for 14",
    "ask_for_15": "ask for 15",
    "ask_for_16": "ask for 16",
    "ask_for_17": "ask for 17",
    "ask_for_18": "ask for 18",
    "ask_for_19": "ask for 19",
    "ask_for_2": "ask for 2",
    "ask_for_3": "ask for 3",
    "ask_for_4": "ask for 4",
    "ask_for_5": "ask for 5",
    "ask_for_6": "ask for 6",
    "ask_for_7": "ask for 7",
    "ask_for_8": "ask for 8",
    "ask_for_9": "ask for 9",
}


class Intents(TaskBuilder):
    """Gold data of intents.py, and the prompts for it."""

    BUILDER_CONFIGS = [
        TaskConfig(
            name="intents",
            description="Intents: each utterance has one of 20 labels.",
            source=str(Path(__file__).resolve().parent / "intents.jsonl"),
            # Mistakes are found on `validation`; `test` is only scored. A file has one split, `train`.
            splits={"validation": "train", "test": "train"},
            # Both are the same split, so it is divided: this share becomes the test, chosen with this seed.
            test_share=0.5,
            split_seed=0,
            # The columns of what the LLM writes, and what the student learns.
            text="utterance",
            label="intent",
            labels=LABELS,
            prompts=Prompts(
                # Sent for each label; the answers go into `seed` as {rationales}.
                rationales='The task is called "intents". Name {count} things that an utterance with the '
                'label "{label}" may be about or say, as a numbered list with two to six words each.',
                # Sent for each row of the seed dataset.
                seed='The task is called "intents". Write one utterance of about 6 words with the '
                'label "{label}" that is about or says: {rationales}. Reply with the utterance only.',
                # Sent in its place in runs with --no-rationales.
                seed_plain='The task is called "intents". Write one utterance of about 6 words with the '
                'label "{label}". Reply with the utterance only.',
                # Sent for each gold row that the student got wrong.
                extrapolate='The task is called "intents". This utterance has the label "{label}":\n{text}\n\n'
                "Write another utterance like it that has the same label. Reply with the utterance only.",
            ),
            # Tokens in the LLM's longest answer, and words in the shortest answer that is kept.
            max_tokens=32,
            min_words=5,
            # No text of the data has a line break: only the first line of an answer is kept.
            one_line=True,
            # Tokens in the student's longest input; a longer one is cut.
            max_length=64,
            pretty_name="Intents",
            license="other",
            language="en",
        )
    ]
