"""RTE: does a text entail a sentence? (Bentivogli et al., 2009, and the earlier PASCAL challenges).

Source: `nyu-mll/glue`, configuration `rte`: 2,490 train and 277 validation pairs with two labels in nearly equal
parts; the labels of its test split are hidden. Licence: none stated. As in the paper (section 3.2.2), the train split
is the gold validation data and the validation split is the test. The premise is the context, and the LLM writes the
hypothesis for it (section 2.4). Prompts: Table 1, verbatim with its label words correct and wrong, for a model that
completes text; `chat` holds the same prompts as instructions for a chat model, and `zerogen` is the prompt of
ZeroGen's code. Metric: accuracy.
"""

from datasets import ClassLabel, Value

from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class Rte(TaskBuilder):
    """Gold RTE pairs and the paper's prompts for them."""

    BUILDER_CONFIGS = [
        TaskConfig(
            name="rte",
            description="Short texts, mostly news, and sentences: does the text entail the sentence?",
            source="nyu-mll/glue",
            source_config="rte",
            splits={"validation": "train", "test": "validation"},
            context="sentence1",
            text="sentence2",
            labels={"entailment": "correct", "not_entailment": "wrong"},
            features={
                "sentence1": Value("string"),
                "sentence2": Value("string"),
                "label": ClassLabel(names=["entailment", "not_entailment"]),
                "idx": Value("int32"),
            },
            prompts=Prompts(
                seed="{context} \nBased on the above description, the following sentence is definitely {label}:",
                extrapolate="{context} \nBased on the above description, the following sentence: {text} is definitely "
                "{label}. Now write a sentence similar to the given sentence and is definitely {label} based on the "
                "given description.",
                zerogen='"{context}"\nBased on the above description, the following sentence is definitely {label}: "',
            ),
            other_prompts={
                "chat": Prompts(
                    seed="{context}\n\nWrite one sentence that is definitely {label} according to this text. Reply "
                    "with the sentence only.",
                    extrapolate='{context}\n\nAccording to this text, the sentence "{text}" is definitely {label}. '
                    "Write another sentence like it that is definitely {label} according to this text. Reply with "
                    "the sentence only.",
                )
            },
            max_tokens=64,
            min_words=3,
            max_length=256,
            one_line=True,
            pretty_name="RTE",
            homepage="https://gluebenchmark.com",
            task_ids=("natural-language-inference",),
            citation="Bentivogli et al. The Fifth PASCAL Recognizing Textual Entailment Challenge. TAC 2009. Wang et "
            "al. GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding. 2018.",
        )
    ]
