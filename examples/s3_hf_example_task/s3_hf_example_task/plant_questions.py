"""Questions to a plant shop, each about water, light or pests.

Source: `plant_questions.jsonl` beside this file, 48 rows made up for this example, 16 of each label. They are divided
with seed 0: half are the gold validation data that errors are found on, half the test. Metric: accuracy.
"""

from pathlib import Path

from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class PlantQuestions(TaskBuilder):
    """Gold data and prompts of the example."""

    BUILDER_CONFIGS = [
        TaskConfig(
            name="plant_questions",
            description="Questions to a plant shop, each about water, light or pests.",
            source=str(Path(__file__).resolve().parent / "plant_questions.jsonl"),
            splits={"validation": "train", "test": "train"},
            text="question",
            label="topic",
            labels={"water": "watering", "light": "light", "pests": "pests and diseases"},
            prompts=Prompts(
                rationales="Name {count} things that people ask a plant shop about {label}, as a numbered list with "
                "two to six words each.",
                seed="Write one question to a plant shop about {label}, namely {rationales}. Reply with the question "
                "only.",
                seed_plain="Write one question to a plant shop about {label}. Reply with the question only.",
                extrapolate="This is a question to a plant shop about {label}:\n{text}\n\nWrite another one like it "
                "about {label}. Reply with the question only.",
            ),
            max_tokens=48,
            min_words=4,
            max_length=64,
            one_line=True,
            pretty_name="Plant questions",
            license="apache-2.0",
        )
    ]
