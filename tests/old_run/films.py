from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class Films(TaskBuilder):
    BUILDER_CONFIGS = [
        TaskConfig(
            name="films",
            description="Sentences about films, made up for tests.",
            source="gold",
            splits={"validation": "validation", "test": "test"},
            labels={"neg": "negative", "pos": "positive"},
            prompts=Prompts(
                rationales="Name {count} reasons for a {label} impression of a film as a numbered list.",
                seed="You saw a film that has {rationales}. Write one sentence of a {label} review.",
                seed_plain="Write one sentence of a {label} review of a film.",
                extrapolate="You saw a film that has {rationales}. Write a {label} sentence like: {text}",
                extrapolate_plain="Write a {label} sentence like: {text}",
            ),
            max_tokens=40,
            min_words=4,
            max_length=32,
            license="mit",
        )
    ]
